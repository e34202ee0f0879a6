"""Which charset a text is in when nobody says, by charset-normalizer and by alphabets: sure, or not at all."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["detected_charset"]

# Enough to be sure, and quick to look at.
SAMPLE_BYTES: Final = 64 * 1024
LEAST_EVIDENCE: Final = 4
"""So few bytes beyond ASCII say nothing."""
LATIN_SHARE: Final = 0.35
"""Alphabets with few letters beyond ASCII have a smaller share of such bytes; any other script a larger one."""

_FOREIGN: Final = ["cp932", "euc_jp", "gb18030", "big5", "cp949", "koi8_r", "cp1251", "cp866", "iso8859_5", "cp1253"]
_MOST_CHAOS: Final = 0.05
_LEAST_LEAD: Final = 0.08
_SCRIPTS: Final = re.compile(r"[\u0370-\u04ff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff00-\uffef]")

# Any single-byte text is such kana to Shift-JIS, and nobody writes them any more.
_HALF_WIDTH: Final = re.compile(r"[\uff61-\uff9f]")

_LATIN: Final = ("cp1252", "cp1250", "iso8859_2", "cp1254")
_MARKS: Final = frozenset("«»‹›“”‘’„‚–—…€£§°·•¡¿©®™²³½¼×÷\xa0\xad")
# The letters that a language writes beyond a to z: a wrong charset gives some that never stand together. Icelandic is
# left out, since Turkish in the wrong charset looks like it.
_ALPHABETS: Final = {
    "western": (
        "àâæçéèêëîïôœùûüÿ",
        "äöüß",
        "áéíóúüñªº",
        "àèéìíîòóùú",
        "àáâãçéêíóôõúü",
        "äåöéü",
        "åæøéóòèêâ",
        "éèëêïóöüáíúàçâôîûœñäåæø",
    ),
    "central": ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäĺľôŕ", "áéíóöőúüű", "čćđšž", "ăâîşţșț"),
    "turkish": ("çğıöşüâîû",),
}
_OF: Final = {"cp1252": "western", "cp1250": "central", "iso8859_2": "central", "cp1254": "turkish"}
_LEAST_DISTINCT: Final = {"western": 1, "central": 4, "turkish": 4}
"""Western letters are the usual case; the others must show more of theirs to be believed."""


def detected_charset(body: bytes) -> str | None:
    """The charset of a text that is no UTF-8, None where more than one fits. Use it as the detector of `read_document`.

    >>> detected_charset("Die Straße führt über die Brücke zum Schloß.".encode("cp1252"))
    'cp1252'
    >>> detected_charset(b"caf\\xe9 au lait") is None
    True
    """
    sample = _sample(body)
    beyond = sum(byte > 127 for byte in sample)
    if beyond < LEAST_EVIDENCE:
        return None
    latin = beyond < LATIN_SHARE * len(sample)
    charset = _latin(sample) if latin else _foreign(sample, beyond)
    return charset if charset and _decodes(body, charset) is not None else None


def _sample(body: bytes) -> bytes:
    if len(body) <= SAMPLE_BYTES:
        return body
    # No charset here has a newline or a space within a character.
    cut = max(body.rfind(b"\n", 0, SAMPLE_BYTES), body.rfind(b" ", 0, SAMPLE_BYTES))
    return body[: cut if cut > 0 else SAMPLE_BYTES]


def _decodes(body: bytes, charset: str) -> str | None:
    try:
        return body.decode(charset)
    except UnicodeDecodeError:
        return None


def _latin(sample: bytes) -> str | None:
    texts: dict[str, str] = {}
    for charset in _LATIN:
        text = _decodes(sample, charset)
        if text is not None and _fits(text, _OF[charset]):
            texts.setdefault(text, charset)
    return next(iter(texts.values())) if len(texts) == 1 else None


def _fits(text: str, family: str) -> bool:
    """Whether what is beyond ASCII is the alphabet of one language of a family, with the usual marks."""
    letters = {char for char in text.lower().replace("i̇", "i") if char > "\x7f"} - _MARKS
    fitting = any(letters <= set(alphabet) for alphabet in _ALPHABETS[family])
    return fitting and len(letters) >= _LEAST_DISTINCT[family]


def _foreign(sample: bytes, beyond: int) -> str | None:
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=_FOREIGN, enable_fallback=False)
    matches = [match for match in found if len(_HALF_WIDTH.findall(str(match))) < beyond / 10]
    if not matches or matches[0].chaos > _MOST_CHAOS:
        return None
    best, text = matches[0], str(matches[0])
    rivals = [match for match in matches[1:] if str(match) != text]
    if any(rival.chaos < best.chaos + _LEAST_LEAD for rival in rivals):
        return None
    foreign = [char for char in text if char > "\x7f"]
    return best.encoding if len(_SCRIPTS.findall(text)) > len(foreign) / 2 else None
