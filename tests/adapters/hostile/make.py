"""Writes the hostile and odd files, the same each time, and the manifest that says what must become of each.

Run it with `python tests/adapters/hostile/make.py`. A file is called as its document is, with `.sample` behind it, so
that no tool takes it for what it claims to be. What is expected is either `text`, words that must be read, or `reason`,
words of the refusal.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.adapters.hostile import office, pdfs, texts

FOLDER = Path(__file__).parent / "files"
MANIFEST = FOLDER / "manifest.json"
LARGEST = 100_000


@dataclass(frozen=True)
class Sample:
    """A file and what must become of it."""

    name: str
    body: bytes
    text: str = ""
    reason: str = ""
    media_type: str = ""
    page: int = 0


def noise(size: int, seed: bytes = b"noise") -> bytes:
    """Bytes without any order, the same each time."""
    return b"".join(hashlib.sha256(seed + n.to_bytes(4, "big")).digest() for n in range(size // 32 + 1))[:size]


def portable_documents() -> Iterator[Sample]:
    two = [
        [(72.0, 720.0, 20.0, "The lease"), (72, 690, 11, "A lease runs for twelve months."), (72, 30, 9, "Page 1")],
        [(72.0, 720.0, 11.0, "The deposit is returned within thirty days."), (72, 30, 9, "Page 2")],
    ]
    good = pdfs.pdf(two)
    yield Sample("lease.pdf", good, text="returned within thirty days", page=2)
    yield Sample("ruled-table.pdf", pdfs.ruled([["Flat", "Rent"], ["A1", "900"], ["B2", "750"]]), text="A1 | 900")
    yield Sample("a-pdf-called.txt", good, text="twelve months", page=1)
    yield Sample("junk-before.pdf", b"\0\1\2 sent by fax\n" + good, text="twelve months")
    yield Sample("locked.pdf", pdfs.locked(b"secret", "Nobody reads this."), reason="encrypted")
    yield Sample("locked-for-printing.pdf", pdfs.locked(b"", "Anybody reads this."), text="Anybody reads this")
    yield Sample("cut.pdf", good[: len(good) * 2 // 3], reason="breaks off")
    yield Sample("noise.pdf", b"%PDF-1.7\n" + noise(20_000) + b"\nstartxref\n9\n%%EOF\n", reason="damaged")
    yield Sample("only-a-header.pdf", b"%PDF-1.7\n", reason="breaks off")
    yield Sample("login-page.pdf", b"<!DOCTYPE html><html><body>Please log in</body></html>", reason="an HTML page")
    yield Sample("scanned.pdf", pdfs.scanned(), reason="needs OCR")
    yield Sample("blank.pdf", pdfs.pdf([[], []]), reason="needs OCR")
    yield Sample("packed-twice.pdf", pdfs.packed_twice(600), reason="can be read within")
    yield Sample("forms-in-forms.pdf", pdfs.forms_in_forms(12, 10), reason="can be read within")
    yield Sample("circle-of-pages.pdf", pdfs.circular(), reason="pages, got 100,000")
    yield Sample("map-of-lines.pdf", pdfs.many_paths(3_000), text="A map of many lines")


def word_documents() -> Iterator[Sample]:
    words = office.paragraph
    table = office.table([["Flat", "Rent"], ["A1", "900"]])
    good = office.docx(words("Rent", "Heading1") + words("The rent is due on the fifth.") + table)
    yield Sample("lease.docx", good, text="A1 | 900")
    yield Sample("cut.docx", good[: len(good) // 2], reason="damaged")
    yield Sample("bomb.docx", office.docx(words(" " * 140_000_000), method=12), reason="decompression bomb")
    yield Sample("laughs.docx", office.docx(words("&d;"), texts.laughs("w:document")), reason="document type")
    yield Sample("nested-tables.docx", office.docx(office.nested_tables(2_000)), reason="nested too deep")
    yield Sample("empty.docx", office.docx(""), reason="without any")
    yield Sample("encrypted.docx", office.compound_file("EncryptionInfo", "EncryptedPackage"), reason="encrypted")
    yield Sample("not-word.docx", office.archive({"a.txt": b"a"}), reason="ZIP archive")
    yield Sample("text.docx", b"This is no Word document.", reason="got a text")


def other_containers() -> Iterator[Sample]:
    kind = b"application/vnd.oasis.opendocument.text"
    yield Sample("old.doc", office.compound_file("WordDocument"), reason="old Word document")
    yield Sample("letter.rtf", rb"{\rtf1\ansi A letter.}", reason="RTF")
    yield Sample("letter.odt", office.archive({"mimetype": kind, "content.xml": b"<x/>"}, 0), reason="OpenDocument")
    yield Sample("sheet.xlsx", office.archive({"xl/workbook.xml": b"<x/>"}), reason="Excel")
    yield Sample("talk.pptx", office.archive({"ppt/presentation.xml": b"<x/>"}), reason="PowerPoint")
    yield Sample("files.zip", office.archive({"a.txt": b"a"}), reason="unpack it")
    yield Sample("files.tar.gz", b"\x1f\x8b\x08\0" + noise(200), reason="gzip")
    yield Sample("photo.md", b"\x89PNG\r\n\x1a\n" + noise(400), reason="PNG")
    yield Sample("photo.jpg", b"\xff\xd8\xff\xe0" + noise(400), reason="OCR")
    yield Sample("program.txt", b"\x7fELF\x02\x01\x01" + bytes(200), reason="a program")
    yield Sample("rows.csv", b"SQLite format 3\0" + bytes(200), reason="SQLite")


def samples() -> list[Sample]:
    """Every file there is."""
    written = [Sample(*one) for one in texts.every(noise)]
    return [*portable_documents(), *word_documents(), *other_containers(), *written]


def main() -> int:
    """Writes all files; 1 where one is too large."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    manifest = []
    for sample in samples():
        if len(sample.body) > LARGEST:
            print(f"{sample.name}: {len(sample.body)} bytes, at most {LARGEST}", file=sys.stderr)
            return 1
        (FOLDER / f"{sample.name}.sample").write_bytes(sample.body)
        manifest.append({key: value for key, value in asdict(sample).items() if key != "body" and value})
    MANIFEST.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(manifest)} files in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
