"""What T11 ingests: documents that are edited, shrink, are deleted and come back, each change with a version."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Version

TENANT = "chaos"
DELETED = 0.15
WORDS = 45

Change = DocumentChanged | DocumentDeleted


def changes(records: int, seed: int) -> list[Change]:
    """So many changes of a fifth as many documents. The source's position grows with each, as a database's does."""
    chance = random.Random(seed)
    documents = [f"texts/{number}" for number in range(max(1, records // 5))]
    return list(_changes(documents, records, chance))


def _changes(documents: Sequence[str], records: int, chance: random.Random) -> Iterator[Change]:
    texts: dict[str, list[str]] = {}
    for number in range(records):
        # Each document once, then any of them.
        document = documents[number] if number < len(documents) else chance.choice(documents)
        version = Version(source=1_000 + number, offset=0)
        if document in texts and chance.random() < DELETED:
            del texts[document]
            yield DocumentDeleted(tenant=TENANT, document=document, version=version)
            continue
        texts[document] = edited(texts.get(document, []), number, chance)
        body = "\n\n".join(texts[document]).encode()
        yield DocumentChanged(
            tenant=TENANT, document=document, media_type="text/plain", body=body, title=document, version=version
        )


def edited(paragraphs: list[str], number: int, chance: random.Random) -> list[str]:
    """One paragraph written anew, or one more, or the last ones cut off."""
    new = f"change {number} says. " + " ".join(f"word{chance.randrange(997)}" for _ in range(WORDS))
    if not paragraphs:
        return [f"{new} part {part}" for part in range(chance.randint(1, 4))]
    if len(paragraphs) > 1 and chance.random() < 0.3:
        return paragraphs[: chance.randint(1, len(paragraphs) - 1)]
    at = chance.randrange(len(paragraphs) + 1)
    return [*paragraphs[:at], new, *paragraphs[at + 1 :]]


def newest(made: Sequence[Change]) -> dict[str, Change]:
    """The last change of each document."""
    return {change.document: change for change in made}
