"""A passage as a model reads it, and the name it goes by."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from schemas.documents import Chunk, Place

__all__ = ["NAME_HASH_CHARS", "digest_in", "named", "passage_text", "placed", "text_hash"]

# Context is there to say what a passage is about, not to crowd it out of the model's window.
MOST_CONTEXT_CHARS: Final = 160
NAME_HASH_CHARS: Final = 32
"""How much of a text's SHA-256 a chunk's name holds."""


def passage_text(title: str, heading_path: Iterable[str], text: str) -> str:
    """What is embedded: title and headings that the text does not say itself, then the text.

    >>> passage_text("Tea", ("Tea", "Green"), "It is hot.")
    'Tea › Green\\nIt is hot.'
    """
    own = set(text.split("\n"))
    context = [words for words in dict.fromkeys((title, *heading_path)) if words and words not in own]
    return f"{' › '.join(context)[:MOST_CONTEXT_CHARS]}\n{text}" if context else text


def text_hash(text: str) -> str:
    """The name of a text in the embedding cache: SHA-256 of exactly what is embedded."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_in(name: str) -> str:
    """The part of the text's hash that a chunk's name holds; empty where it is no such name.

    >>> digest_in("s1-0123456789abcdef0123456789abcdef-0")
    '0123456789abcdef0123456789abcdef'
    """
    digest = name.rsplit("-", 2)[-2] if name.count("-") > 1 else ""
    return digest if len(digest) == NAME_HASH_CHARS else ""


def placed(chunk: Chunk, ordinal: int, place: Place | None) -> Chunk:
    """A chunk where it stands in the version that a head lists; what was written for an earlier one may have moved.

    >>> old = Chunk(name="c", ordinal=0, text="It is hot.", start=0, end=10, tokens=4)
    >>> moved = placed(old, 1, Place(start=7, end=17))
    >>> moved.ordinal, moved.start, moved.end
    (1, 7, 17)
    """
    if place is None:
        return chunk
    by, parent = place.start - chunk.start, chunk.parent
    if parent is not None and by:
        parent = msgspec.structs.replace(parent, start=parent.start + by, end=parent.end + by)
    return msgspec.structs.replace(
        chunk, ordinal=ordinal, start=place.start, end=place.end, page=place.page, parent=parent
    )


def named(chunks: Iterable[Chunk], title: str, version: str) -> Iterator[Chunk]:
    """Chunks with their names: chunker version, SHA-256 of the passage, how-manieth of its like.

    The passage counts, not its bare text: another title or heading above it is another vector, so another chunk. So
    does the parent that is read in its place: where that changed, the chunk is another one, with the same vector.
    """
    seen: Counter[str] = Counter()
    for chunk in chunks:
        passage = passage_text(title, chunk.heading_path, chunk.text)
        around = f"\0{chunk.parent.text}" if chunk.parent else ""
        digest = text_hash(f"{passage}{around}")[:NAME_HASH_CHARS]
        yield msgspec.structs.replace(chunk, name=f"{version}-{digest}-{seen[digest]}")
        seen[digest] += 1
