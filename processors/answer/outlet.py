"""The outlet: what may be said of an answer, sentence by sentence, before anybody sees it.

The same kinds of data as at ingest, under the same actions, and phrases that a tenant does not want said. It is needed
though documents are redacted: a model may make up a number, put one together from two places, or quote what came in
under another policy.

Nothing that lies across the end of a sentence is shown by halves: a sentence whose end may be the beginning of a number
waits for the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from processors.answer.phrases import Phrases
from processors.answer.sentences import locate
from processors.ingest.policies import Action, RedactionPolicy
from processors.ingest.recognise import HIDDEN, covered
from processors.ingest.redact import found_in
from processors.ports import Finding
from schemas.queries import Passage, Sentence

__all__ = ["PHRASE", "Gate", "Outlet", "Screened"]

PHRASE: Final = "phrase"
"""The kind under which an answer says that a sentence held one of its tenant's phrases."""

# With these the whole sentence goes: an answer has no blocks, and its document is not its own.
_LEAVES_OUT: Final[frozenset[Action]] = frozenset({"drop_block", "drop_document"})
_SECRET: Final = "secret"
# Data that begins in a sentence ends within so many characters behind it (a telephone number in groups has 60).
_REACH: Final = 80
# A sentence that does not end with a stop (an item of a list, a line) may end amid a number with letters in it.
_NEAR_END: Final = 40
# How much of what was said before decides about what is said now: a word that calls a number, the head of a key.
_BEFORE: Final = 200
_STOPPED: Final = re.compile(r"[.!?…。！？][\"'”’)\]]*$")
_NUMBER_AT_END: Final = re.compile(r"[0-9][^0-9]{0,4}$")

Tell = Callable[[str, str], None]


@dataclass(frozen=True)
class Outlet:
    """What is done with each kind in answers, and the phrases that are not said, by tenant; `""` is for all.

    >>> outlet = Outlet(RedactionPolicy(), phrases={"acme": ("Project Falcon",)})
    >>> gate = outlet.gate("acme")
    >>> [one.text for one in gate.take(Sentence(text="Her card is 4111 1111 1111 1111, she said.", cites=(1,)))]
    ['Her card is ███████████████████, she said.']
    >>> gate.take(Sentence(text="Project Falcon is late.", cites=(2,))), gate.kinds
    ([], ('card', 'phrase'))

    `on` says where it is used at all. `tell` hears of each find: its kind and what was done.
    """

    policy: RedactionPolicy = field(default_factory=RedactionPolicy)
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    on: Mapping[str, bool] = field(default_factory=dict)
    tell: Tell = lambda _kind, _action: None

    def gate(self, tenant: str) -> Gate | None:
        """The gate for one answer of a tenant; None where there is to be none."""
        return Gate(self, tenant) if self.is_on(tenant) else None

    def is_on(self, tenant: str) -> bool:
        return self.on.get(tenant, self.on.get("", True))

    def passage(self, tenant: str, passage: Passage) -> Screened:
        """A passage as it may be quoted: masked, so that every place in it holds."""
        if not self.is_on(tenant):
            return Screened(passage, passage.text)
        found = self.find(tenant, passage.text)
        title = self.find(tenant, passage.title)
        uri = found_in(passage.source_uri, self.policy, {_SECRET: "mask"} if _SECRET in self.rules(tenant) else {})
        if not (found or title or uri):
            return Screened(passage, passage.text)
        shown = replace(
            passage,
            text=_masked(passage.text, found),
            title=_masked(passage.title, title),
            source_uri=_masked(passage.source_uri, uri),
        )
        return Screened(shown, passage.text, tuple(found), frozenset(one.kind for one in (*title, *uri)))

    def find(self, tenant: str, text: str) -> list[Finding]:
        """What a text holds that may not be said, in order; a phrase may lie over data."""
        phrases = [Finding(PHRASE, *place) for place in self._of(tenant).find(text)]
        return sorted([*found_in(text, self.policy, self.rules(tenant)), *phrases], key=lambda one: one.start)

    def rules(self, tenant: str) -> Mapping[str, Action]:
        return self.policy.rules(tenant)

    def fingerprint(self) -> str:
        """Names all that decides what may be said to anybody."""
        tenants = sorted({"", *self.policy.tenants, *self.policy.secrets, *self.phrases, *self.on})
        told = [(one, self.policy.fingerprint(one), self.phrases.get(one, ()), self.is_on(one)) for one in tenants]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def _of(self, tenant: str) -> Phrases:
        return self._finders.get(tenant) or self._finders[""]

    @cached_property
    def _finders(self) -> Mapping[str, Phrases]:
        for_all = self.phrases.get("", ())
        return {tenant: Phrases((*for_all, *self.phrases.get(tenant, ()))) for tenant in {"", *self.phrases}}


@dataclass(frozen=True)
class Screened:
    """A passage as it may be quoted, its text as it is, and what was hidden: where in the text, what kinds beside."""

    passage: Passage
    text: str
    found: tuple[Finding, ...] = ()
    beside: frozenset[str] = frozenset()

    def kinds(self, start: int, end: int) -> frozenset[str]:
        """What a quote from `start` up to `end` of the text does not show."""
        return self.beside | {one.kind for one in self.found if one.start < end and one.end > start}


class Gate:
    """Lets sentences of one answer through, in order, as its tenant's policy says. `kinds` are those it hid."""

    def __init__(self, outlet: Outlet, tenant: str) -> None:
        self._outlet = outlet
        self._tenant = tenant
        self._rules = outlet.rules(tenant)
        self._before = ""
        self._held: list[Sentence] = []
        self._hidden: set[str] = set()

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted(self._hidden))

    def take(self, sentence: Sentence) -> list[Sentence]:
        """What may be shown now that this sentence has come: it, those that waited for it, or nothing yet."""
        self._held.append(sentence)
        return self._let_through(_REACH if _may_go_on(sentence.text) else 0)

    def rest(self) -> list[Sentence]:
        """What still waited, since nothing comes any more."""
        return self._let_through(0)

    def _let_through(self, reach: int) -> list[Sentence]:
        window = " ".join([self._before, *(one.text for one in self._held)]) if self._held else ""
        found = self._outlet.find(self._tenant, window)
        shown, start = [], len(self._before) + 1
        while self._held and start + len(self._held[0].text) + reach <= len(window):
            sentence = self._held.pop(0)
            end = start + len(sentence.text)
            passed = self._passed(sentence, start, [one for one in found if one.start < end and one.end > start])
            shown += [passed] if passed else []
            start = end + 1
        self._before = window[: start - 1][-_BEFORE:] if window else self._before
        return shown

    def _passed(self, sentence: Sentence, start: int, found: Sequence[Finding]) -> Sentence | None:
        for one in found:
            self._hidden.add(one.kind)
            self._outlet.tell(one.kind, self._action(one.kind))
        if any(self._action(one.kind) in _LEAVES_OUT for one in found):
            return None
        if not found:
            return sentence
        text = self._replaced(sentence.text, start, found)
        span = locate(sentence.span, text) if sentence.span else None
        return replace(sentence, text=text, span=sentence.span if span else "")

    def _replaced(self, text: str, at: int, found: Sequence[Finding]) -> str:
        """The text that begins at `at` with masks and tokens; what goes on in another sentence has no token."""
        pieces, done = [], 0
        for kind, start, end in found:
            begin, stop = max(done, start - at), min(len(text), end - at)
            whole = start >= at and end - at <= len(text)
            token = whole and self._action(kind) == "tokenise"
            value = text[begin:stop]
            new = self._outlet.policy.token(self._tenant, kind, value) if token else HIDDEN * len(value)
            pieces += [text[done:begin], new]
            done = max(done, stop)
        return "".join([*pieces, text[done:]])

    def _action(self, kind: str) -> Action:
        return "drop_block" if kind == PHRASE else self._rules[kind]


def _masked(text: str, found: Sequence[Finding]) -> str:
    """A text with all that was found covered; what lies over another is covered once."""
    places, done = [], 0
    for _, start, end in found:
        if end > done:
            places.append((max(start, done), end))
            done = end
    return covered(text, places) if places else text


def _may_go_on(text: str) -> bool:
    """Whether what stands at the end of a sentence may be the beginning of a number that goes on in the next."""
    if _STOPPED.search(text):
        return _NUMBER_AT_END.search(text) is not None
    return any("0" <= char <= "9" for char in text[-_NEAR_END:])
