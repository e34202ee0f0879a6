"""Redact: masks personal data and secrets before anything is stored for long. A mask is as long as what it hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from processors.ingest.patterns import PATTERNS
from schemas.documents import Block, DocumentDeleted, DocumentParsed, DocumentRedacted, Redaction

__all__ = ["MASK", "RedactionPolicy", "masked", "redact"]

# One token to the embedding model however long it is, and nothing that a text says by itself.
MASK: Final = "█"

KINDS: Final = frozenset(pattern.kind for pattern in PATTERNS)


@dataclass(frozen=True)
class RedactionPolicy:
    """Which kinds are masked. Addresses and phone numbers are often what is asked for, so they stay unless named here.

    >>> RedactionPolicy(kinds=frozenset({"email"})).kinds
    frozenset({'email'})
    """

    kinds: frozenset[str] = frozenset({"secret", "card", "iban", "ssn"})

    def __post_init__(self) -> None:
        if unknown := self.kinds - KINDS:
            raise ValueError(f"wanted kinds among {', '.join(sorted(KINDS))}, got {', '.join(sorted(unknown))}")


def redact(
    document: DocumentParsed | DocumentDeleted, redaction: RedactionPolicy
) -> Iterator[DocumentRedacted | DocumentDeleted]:
    """The same document with masks in title, headings, text and properties, and how many of each kind."""
    if isinstance(document, DocumentDeleted):
        yield document
        return
    found: Counter[str] = Counter()
    title = masked(document.title, redaction, found)
    blocks = tuple(_block(block, redaction, found) for block in document.blocks)
    properties = {name: masked(value, redaction, found) for name, value in document.properties.items()}
    yield DocumentRedacted(
        tenant=document.tenant,
        document=document.document,
        version=document.version,
        title=title,
        media_type=document.media_type,
        source_uri=document.source_uri,
        access=document.access,
        blocks=blocks,
        properties=properties,
        redactions=tuple(Redaction(kind=kind, count=count) for kind, count in sorted(found.items())),
    )


def masked(text: str, policy: RedactionPolicy, found: Counter[str]) -> str:
    """A text with its data masked, as long as before; adds to `found` what it masked.

    >>> masked("card 4111 1111 1111 1111.", RedactionPolicy(), Counter())
    'card ███████████████████.'
    """
    for pattern in PATTERNS:
        if pattern.kind not in policy.kinds:
            continue
        pieces, at = [], 0
        for match in pattern.expression.finditer(text):
            start, end = match.span("it" if "it" in pattern.expression.groupindex else 0)
            if not pattern.holds(text[start:end]):
                continue
            found[pattern.kind] += 1
            pieces += [text[at:start], MASK * (end - start)]
            at = end
        text = "".join([*pieces, text[at:]])
    return text


def _block(block: Block, policy: RedactionPolicy, found: Counter[str]) -> Block:
    text = masked(block.text, policy, found)
    # The same words were counted where the heading stands itself.
    path = tuple(masked(heading, policy, Counter()) for heading in block.heading_path)
    if text == block.text and path == block.heading_path:
        return block
    return msgspec.structs.replace(block, text=text, heading_path=path)
