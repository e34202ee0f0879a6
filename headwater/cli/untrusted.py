"""What strangers wrote, for terminals: as data, bounded, with whatever can't be seen written out."""

from __future__ import annotations

import codecs
import unicodedata
from typing import Any, Final

__all__ = ["plain", "preview", "shown", "text_of"]

_PREVIEW_BYTES: Final = 256
# Controls, formats (some turn the direction of writing), surrogates, line and paragraph separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def plain(text: str) -> str:
    """Text that does nothing to a terminal.

    >>> print(plain("a\\x1b[2Jb\\u202ec"))
    a\\x1b[2Jb\\u202ec
    """
    return "".join(_escaped(letter) if unicodedata.category(letter) in _UNSEEN else letter for letter in text)


def text_of(value: bytes | None) -> str | None:
    """A key or the value of a header as text; bytes that are none are written out, what is long is cut.

    >>> text_of(b"acme|a.md"), text_of(b"\\xff")
    ('acme|a.md', '\\\\xff')
    """
    if value is None:
        return None
    return value[:_PREVIEW_BYTES].decode(errors="backslashreplace") + (" …" if len(value) > _PREVIEW_BYTES else "")


def preview(value: bytes | None) -> dict[str, Any] | None:
    """The size and the first bytes of a value: as text where they are UTF-8, else in hex.

    >>> preview(b"not avro"), preview(b"\\xff\\x00")
    ({'bytes': 8, 'text': 'not avro'}, {'bytes': 2, 'hex': 'ff00'})
    """
    if value is None:
        return None
    first = value[:_PREVIEW_BYTES]
    try:
        # A character that the cut goes through is no reason to call the rest binary.
        text = codecs.getincrementaldecoder("utf-8")().decode(first, final=len(first) == len(value))
    except UnicodeDecodeError:
        return {"bytes": len(value), "hex": first.hex()}
    return {"bytes": len(value), "text": text}


def shown(previewed: dict[str, Any] | None) -> str:
    """A preview in one line.

    >>> shown(preview(b"\\xff")), shown(None)
    ('1 bytes, hex: ff', 'null')
    """
    if previewed is None:
        return "null"
    kind = "text" if "text" in previewed else "hex"
    cut = " …" if previewed["bytes"] > _PREVIEW_BYTES else ""
    return f"{previewed['bytes']} bytes, {kind}: {plain(previewed[kind])}{cut}"


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
