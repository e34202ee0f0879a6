"""Redact: personal data and secrets go before anything is stored for long, as the tenant's policy says.

A mask is as long as what it hides. Tokens and dropped blocks move what follows: from here on every offset is one in the
redacted text, which is the text that is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from processors.ingest.formats import GAP
from processors.ingest.policies import Action, RedactionPolicy
from processors.ingest.recognise import HIDDEN, covered
from processors.ports import Finding
from schemas.documents import Block, DocumentDeleted, DocumentParsed, DocumentRedacted, Redaction

__all__ = ["MASK", "found_in", "redact", "replaced"]

MASK: Final = HIDDEN


def redact(
    document: DocumentParsed | DocumentDeleted, redaction: RedactionPolicy
) -> Iterator[DocumentRedacted | DocumentDeleted]:
    """The same document without what its tenant's policy hides, and how many of each kind; or its delete.

    A document that the policy drops is deleted in this version: no older one of it stays to be found. It is no dead
    letter, since that would keep what must not be kept.
    """
    if isinstance(document, DocumentDeleted):
        yield document
        return
    work = _Work(document.tenant, redaction)
    redacted = _redacted(document, work)
    if work.dropping:
        yield DocumentDeleted(
            tenant=document.tenant,
            document=document.document,
            reason=f"dropped by the redaction policy: {', '.join(sorted(work.dropping))}",
            version=document.version,
        )
        return
    yield redacted


def found_in(text: str, policy: RedactionPolicy, kinds: Mapping[str, Action]) -> list[Finding]:
    """What all recognisers of a policy find of these kinds, in order; none lies over another."""
    found: list[Finding] = []
    left = text
    for recogniser in policy.recognisers:
        if wanted := recogniser.kinds & kinds.keys():
            new = recogniser.find(left, wanted)
            found += new
            left = covered(left, [(start, end) for _, start, end in new])
    return sorted(found, key=lambda finding: finding.start)


def replaced(text: str, tenant: str, policy: RedactionPolicy) -> str:
    """A text by itself as it would be kept. Use it for what is no document: a question, a value to look for.

    >>> replaced("card 4111 1111 1111 1111.", "acme", RedactionPolicy())
    'card ███████████████████.'
    """
    return _Work(tenant, policy).text(text)


class _Work:
    """The redaction of one document: what was found so far, by kind and action."""

    def __init__(self, tenant: str, policy: RedactionPolicy) -> None:
        self.tenant = tenant
        self.policy = policy
        self.rules = policy.rules(tenant)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.dropping: set[str] = set()

    def text(self, text: str) -> str:
        """A title, a heading in a path, a property: nothing to drop but the value itself, which is masked."""
        return self.stand_in(text, self.find(text), 0)

    def find(self, text: str) -> list[Finding]:
        found = found_in(text, self.policy, self.rules)
        self.counts.update((finding.kind, self.rules[finding.kind]) for finding in found)
        self.dropping |= {finding.kind for finding in found if self.rules[finding.kind] == "drop_document"}
        return found

    def stand_in(self, text: str, found: Sequence[Finding], at: int) -> str:
        """A part of a text that begins at `at`, with masks and tokens; a find that began before it is masked here."""
        pieces, done = [], 0
        for kind, start, end in found:
            begin, stop = max(0, start - at), min(len(text), end - at)
            token = self.rules[kind] == "tokenise" and start >= at
            value = text[begin:stop]
            new = self.policy.token(self.tenant, kind, value) if token else MASK * len(value)
            pieces += [text[done:begin], new]
            done = stop
        return "".join([*pieces, text[done:]])


def _redacted(document: DocumentParsed, work: _Work) -> DocumentRedacted:
    title = work.text(document.title)
    blocks = tuple(_blocks(document.blocks, work))
    properties = {name: _property(name, value, work) for name, value in document.properties.items()}
    redactions = tuple(
        Redaction(kind=kind, count=count, action=action) for (kind, action), count in sorted(work.counts.items())
    )
    return DocumentRedacted(
        tenant=document.tenant,
        document=document.document,
        version=document.version,
        title=title,
        media_type=document.media_type,
        source_uri=_without_secrets(document.source_uri, work),
        access=document.access,
        blocks=blocks,
        properties=properties,
        redactions=redactions,
        policy=work.policy.fingerprint(work.tenant),
    )


def _blocks(blocks: Sequence[Block], work: _Work) -> Iterator[Block]:
    """Blocks in their new places. They are searched as one text: a key may go on in the next block."""
    starts, at = [], 0
    for block in blocks:
        starts.append(at)
        at += len(block.text) + len(GAP)
    found = work.find(GAP.join(block.text for block in blocks))
    headings: dict[str, str] = {}
    shift = first = 0
    for place, (block, start) in enumerate(zip(blocks, starts, strict=True)):
        while first < len(found) and found[first].end <= start:
            first += 1
        inside = _inside(found, first, start + len(block.text))
        if any(work.rules[finding.kind] == "drop_block" for finding in inside):
            shift -= (blocks[place + 1].start if place + 1 < len(blocks) else block.end) - block.start
            continue
        text = work.stand_in(block.text, inside, start) if inside else block.text
        grown = len(text) - len(block.text)
        if block.kind == "heading" and inside:
            headings[" ".join(block.text.split())] = " ".join(text.split())
        yield _moved(block, text, shift, tuple(_heading(above, headings, work) for above in block.heading_path))
        shift += grown


def _inside(found: Sequence[Finding], first: int, end: int) -> list[Finding]:
    inside = []
    for finding in found[first:]:
        if finding.start >= end:
            break
        inside.append(finding)
    return inside


def _moved(block: Block, text: str, shift: int, path: tuple[str, ...]) -> Block:
    if shift == 0 and text == block.text and path == block.heading_path:
        return block
    end = block.end + shift + len(text) - len(block.text)
    return msgspec.structs.replace(block, text=text, start=block.start + shift, end=end, heading_path=path)


def _heading(heading: str, known: dict[str, str], work: _Work) -> str:
    """A heading in a path says what the heading itself says; it was counted there."""
    if heading not in known:
        known[heading] = _Work(work.tenant, work.policy).text(heading)
    return known[heading]


def _property(name: str, value: str, work: _Work) -> str:
    """A property's name may say what its value is."""
    said = f"{name}: {value}"
    at = len(said) - len(value)
    return work.stand_in(value, [finding for finding in work.find(said) if finding.end > at], at)


def _without_secrets(uri: str, work: _Work) -> str:
    """An address stays an address; only what opens doors is masked in it."""
    if "secret" not in work.rules:
        return uri
    found = found_in(uri, work.policy, {"secret": "mask"})
    return covered(uri, [(start, end) for _, start, end in found])
