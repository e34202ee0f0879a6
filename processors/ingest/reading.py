"""One document read by the reader of its format: what it is, its text, its outline, within limits; or why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from processors.contract import Reject
from processors.ingest.encoding import Detector, decoded
from processors.ingest.formats import USUAL_LIMITS, BinaryFormat, Formats, Outline, ParseLimits
from processors.ingest.media import media_type_of, recognised

__all__ = ["read_document"]

LONGEST_SAID: Final = 200
"""What a library says of a failure goes into a reason so far: it may repeat the document."""


def read_document(
    body: bytes, declared: str, formats: Formats, detect: Detector, limits: ParseLimits = USUAL_LIMITS
) -> Outline:
    """A document's outline. Use it in whatever implements the port `Parser`.

    >>> from processors.ingest.plain import PlainText
    >>> read_document(b"Tea.", "text/plain", {"text/plain": PlainText()}, lambda _: None).pieces[0].text
    'Tea.'

    Raises Reject for what can't be read, whatever its reader raised: the same bytes would fail again.
    """
    media_type = recognised(body, declared)
    if media_type not in formats:
        raise Reject(f"wanted one of the media types {', '.join(sorted(formats))}, got {declared!r}")
    format, detected = formats[media_type], ""
    try:
        if isinstance(format, BinaryFormat):
            outline = format.read_bytes(body)
        else:
            _, charset = media_type_of(declared)
            text, detected = decoded(body, f"{media_type}; charset={charset}" if charset else media_type, detect)
            outline = format.read(text)
    except (Reject, MemoryError):
        raise
    except RecursionError:
        raise Reject(f"wanted {media_type} that a reader can follow, got one nested too deep; flatten it") from None
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:LONGEST_SAID]
        raise Reject(f"wanted {media_type} that can be read, got what its reader failed at ({said})") from error
    length = sum(len(piece.text) for piece in outline.pieces)
    if length > limits.characters:
        raise Reject(f"wanted at most {limits.characters:,} characters of text, got {length:,}; split the document")
    properties = {**outline.properties, "charset": detected} if detected else outline.properties
    return replace(outline, media_type=media_type, properties=properties)
