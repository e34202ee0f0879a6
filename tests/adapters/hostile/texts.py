"""Texts that are odd: in every charset, without an end, nested without an end, or multiplying."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Row = tuple[str, bytes, str, str]
"""A name, the bytes, the words that must be read, the words of the refusal."""

_GERMAN = "Die Straße führt über die Brücke zum Schloß, und ältere Bürger trinken süßen Kaffee für fünf Euro."
_FRENCH = "Le café est servi à la crème près du château ; l'été, les élèves goûtent une pâtisserie très chère."
_RUSSIAN = "Договор аренды действует двенадцать месяцев. Арендатор вносит плату до пятого числа каждого месяца."
_JAPANESE = "この賃貸契約は十二か月間有効です。借主は毎月五日までに家賃を支払わなければなりません。"
_CHINESE = "本租赁合同有效期为十二个月。承租人应在每月五日之前支付租金。押金将在退租后三十天内退还。"
_POLISH = "Umowa najmu obowiązuje przez dwanaście miesięcy, a kaucję zwraca się później. Zażółć gęślą jaźń."
_ENGLISH = "The rent is due on the fifth of each month."

PAGE = """<!doctype html><html><head><title>Tea | The Kettle</title></head><body>
<div class="top"><a href="/">Home</a> <a href="/shop">Shop</a> <a href="/login">Log in</a></div>
<div class="post"><h1>How to make tea</h1>{paragraphs}</div>
<div class="more"><h3>Most read</h3><ul><li><a href="/1">Ten mugs</a></li><li><a href="/2">Sugar?</a></li></ul></div>
<div class="bottom">Copyright The Kettle. All rights reserved. <a href="/imprint">Imprint</a></div></body></html>"""
SENTENCE = "Water for green tea is boiled first and then left to cool to eighty degrees before it is poured {n} times. "


def laughs(root: str) -> str:
    """Entities that make each other ten times as long (CVE-2003-1564)."""
    rows = [f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abc", "bcd", strict=True)]
    return f'<!DOCTYPE {root} [<!ENTITY a "laugh">{"".join(rows)}]>'


def every(noise: Callable[[int], bytes]) -> Iterator[Row]:
    yield from _charsets(noise)
    yield from _pages()
    yield from _tables()
    yield from _trees()
    yield from _listings(noise)


def _charsets(noise: Callable[[int], bytes]) -> Iterator[Row]:
    yield "utf8-mark.txt", _GERMAN.encode("utf-8-sig"), "Die Straße führt", ""
    yield "utf16-mark.txt", _GERMAN.encode("utf-16"), "Die Straße führt", ""
    yield "utf16-no-mark.txt", _GERMAN.encode("utf-16-be"), "Die Straße führt", ""
    yield "utf32-mark.txt", _GERMAN.encode("utf-32"), "Die Straße führt", ""
    yield "windows-1252.txt", _GERMAN.encode("cp1252"), "Die Straße führt", ""
    yield "latin-1.md", f"# Café\n\n{_FRENCH}\n".encode("latin-1"), "à la crème près du château", ""
    yield "shift-jis.txt", _JAPANESE.encode("shift_jis"), "家賃を支払わなければ", ""
    yield "gb18030.txt", _CHINESE.encode("gb18030"), "每月五日之前支付租金", ""
    yield "koi8-r.txt", _RUSSIAN.encode("koi8-r"), "двенадцать месяцев", ""
    yield "latin-2.txt", _POLISH.encode("iso8859-2"), "Zażółć gęślą jaźń", ""
    yield "could-be-any.txt", b"caf\xe9 au lait", "", "0xe9 at offset 3"
    yield "two-charsets.txt", _GERMAN.encode() + b"\n" + _JAPANESE.encode("shift_jis"), "", "not valid there"
    yield "cut-in-a-letter.txt", _RUSSIAN.encode()[:-2], "", "not valid there"
    yield "noise.txt", noise(3_000), "", "not valid there"
    yield "zeros.txt", bytes(5_000), "", "binary data"
    yield "a-zero.txt", b"The rent\0 is due.", "", "NUL at character 8"
    yield "controls.txt", b"\x01\x02\x03\x1b[31mred\x1b[0m" * 20, "", "control characters"
    yield "empty.txt", b"", "", "empty body"
    yield "blank.txt", b" \n\t\n\r\n  \n", "", "without any"
    yield "line-without-end.txt", b"tea " * 24_000, "tea tea", ""
    yield "word-without-end.md", b"a" * 99_000, "aaaa", ""
    yield "many-line-ends.txt", b"\r\n" * 40_000 + b"The end.\r", "The end.", ""
    yield "right-to-left.txt", "\u202eabc\u202c \u200bThe rent\ufeff is due.".encode(), "is due.", ""


def _pages() -> Iterator[Row]:
    body = "".join(f"<p>{SENTENCE.format(n=n) * 4}</p>" for n in range(12))
    yield "article.html", PAGE.format(paragraphs=body).encode(), "left to cool to eighty degrees", ""
    yield "nested-divs.html", b"<div>" * 12_000 + b"deep" + b"</div>" * 6_000, "deep", ""
    yield "nested-tables.html", b"<table><tr><td>" * 5_000 + b"deep", "deep", ""
    yield "attribute-without-end.html", b"<p>Tea</p><a title='" + b"x" * 90_000, "Tea", ""
    yield "never-closed.html", b"<!-- <p>" + b"x" * 1_000, "", "without any"
    yield "says-utf8.html", b"<meta charset=utf-8><p>caf\xe9</p>", "", "0xe9"
    yield "only-scripts.html", b"<script>alert(1)</script><style>p{}</style>", "", "without any"
    yield "nested-quotes.md", b">" * 50_000 + b" deep", "", "without any"
    yield "nested-lists.md", b"".join(b"  " * n + b"- x\n" for n in range(300)), "x", ""
    yield "brackets.md", b"[" * 15_000 + b"a" + b"](" * 6_000, "a", ""
    yield "stars.md", b"*a **b " * 5_000, "b", ""


def _tables() -> Iterator[Row]:
    yield "semicolons.csv", "Flat;Rent\nA1;900,50\n\nB2;750\n".encode("cp1252"), "A1 | 900,50", ""
    yield "ragged.csv", b"a,b,c\n1\n1,2,3,4,5,6\n,,\n7,8\n", "1 | 2 | 3 | 4 | 5 | 6", ""
    wide = [",".join(f"{kind}{n}" for n in range(3_000)) for kind in ("name", "value")]
    yield "wide.csv", "\n".join(wide).encode(), "name2999: value2999", ""
    yield "open-quote.csv", b'a,b\n1,"2\n' + b"3,4\n" * 5_000, "3,4", ""
    yield "only-commas.csv", b"," * 90_000, "", "without any"
    yield "rows.tsv", b"flat\trent\nA1\t900\n", "A1 | 900", ""


def _trees() -> Iterator[Row]:
    yield "laughs.xml", f"{laughs('x')}<x>&d;</x>".encode(), "", "without entities"
    fetched = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>'
    yield "fetches.xml", fetched, "", "without entities"
    yield "cut.xml", b"<menu><tea>Green</tea><tea>Bla", "", "well-formed"
    yield "nested.xml", b"<a>" * 9_000 + b"x" + b"</a>" * 9_000, "", "levels"
    yield "menu.xml", b"<menu><tea><name>Green</name><price>3</price></tea></menu>", "name: Green", ""
    yield "nested.json", b"[" * 40_000 + b"]" * 40_000, "[[[", ""
    yield "cut.json", b'{"rent": 900, "due": "the fif', '"rent": 900', ""
    yield "half-a-letter.json", b'{"a": "\\ud800 rent", "b": ' + b"1" * 500 + b"}", "rent", ""
    yield "laughs.yaml", b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n", "d: [*c, *c]", ""


def _listings(noise: Callable[[int], bytes]) -> Iterator[Row]:
    yield "rent.py", b'"""Rent."""\n\n\ndef due(day: int) -> bool:\n    return day == 5\n', "def due(day", ""
    yield "minified.js", b"function a(){return 1};" * 4_000, "function a()", ""
    yield "bundle.ts", b"export const a = (" + b"(" * 50_000, "export const a", ""
    yield "wrong.go", b"package main\n\nfunc main() {\n\tthis is no Go\n", "this is no Go", ""
    yield "setup.sh", b"#!/bin/sh\nstart() {\n  echo rent\n}\n", "echo rent", ""
    yield "table.sql", b"CREATE TABLE rent (flat text);\nSELECT 1;\n", "CREATE TABLE rent", ""
    yield "noise.py", noise(2_000), "", "not valid there"
