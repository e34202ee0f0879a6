"""What became of a hostile file, to be compared with its manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from adapters.folder_source import media_type_of
from processors.contract import Reject
from processors.ingest.formats import parsed_text
from processors.ingest.parse import parse
from processors.ports import Parser
from schemas.documents import Block, DocumentChanged, DocumentParsed
from schemas.envelope import Version

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Expected:
    """A line of the manifest."""

    name: str
    text: str = ""
    reason: str = ""
    page: int = 0

    def change(self, offset: int = 1) -> DocumentChanged:
        """The document as a folder would publish it."""
        return DocumentChanged(
            tenant="acme",
            document=self.name,
            media_type=media_type_of(self.name),
            body=(FILES / f"{self.name}.sample").read_bytes(),
            version=Version(source=0, offset=offset),
        )

    def differs(self, blocks: tuple[Block, ...], reason: str) -> str:
        """What is otherwise than the manifest says, in words; empty where nothing is."""
        if self.reason:
            return (
                "" if self.reason in reason else f"{self.name}: wanted {self.reason!r}, got {reason or blocks!r:.300}"
            )
        found = [block for block in blocks if self.text in block.text]
        if not found:
            return f"{self.name}: wanted the text {self.text!r}, got {reason or parsed_text(blocks)!r:.300}"
        pages = {block.page for block in found}
        return f"{self.name}: wanted page {self.page}, got {pages}" if self.page and pages != {self.page} else ""


def manifest() -> list[Expected]:
    """Every file there is."""
    return [Expected(**one) for one in json.loads((FILES / "manifest.json").read_text(encoding="utf-8"))]


def outcome(expected: Expected, parser: Parser) -> str:
    """Reads a file as the parse step does; what is otherwise than expected."""
    try:
        (event,) = parse(expected.change(), None, parser)  # type: ignore[arg-type]  # nothing lies elsewhere
    except Reject as reject:
        return expected.differs((), str(reject))
    assert isinstance(event, DocumentParsed)
    text = parsed_text(event.blocks)
    assert [text[block.start : block.end] for block in event.blocks] == [block.text for block in event.blocks]
    return expected.differs(event.blocks, "")
