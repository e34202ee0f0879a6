"""Outlet: nothing that may not be said is in any delta or answer, however a model writes it and however it is cut."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.judges import OverlapJudge
from processors.answer.caching import Answers
from processors.answer.check import AnswerBar, check
from processors.answer.edition import Edition
from processors.answer.generate import generate
from processors.answer.outlet import Outlet
from processors.answer.verifying import Unverified
from processors.answer.writing import Draft, Written, cited, cited_sentences
from processors.ingest.policies import Action, RedactionPolicy
from processors.ingest.recognise import HIDDEN
from schemas.queries import AnswerDelta, AnswerDrafted, AnswerGiven, PromptAssembled, Sentence
from tests.processors.answer.questions import passage, prompt

SECRETS = {
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "email": "ann.lee@example.org",
    "phone": "+49 30 901820 44",
    "ssn": "123-45-6789",
    "national_id": "RSSMRA85T10A562S",
    "ipv4": "203.0.113.77",
    "secret": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
}
EVERYTHING: dict[str, Action] = dict.fromkeys(SECRETS, "mask")
ACTIONS: tuple[Action, ...] = ("mask", "tokenise", "drop_block", "drop_document")
WHOLE = "A lease runs for three years."


def outlet(action: Action = "mask") -> Outlet:
    return Outlet(RedactionPolicy(default=dict.fromkeys(SECRETS, action), secret=b"s"))


class Dictated:
    """A writer that streams what it is given, in these pieces."""

    model = "dictated"

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        for piece in self._pieces:
            yield piece
        yield Draft(tuple(cited_sentences("".join(self._pieces))), 1.0)


def answered(pieces: Sequence[str], chosen: Outlet, *texts: str) -> tuple[list[str], AnswerDrafted, list[object]]:
    """What is shown while it is written, the draft, and what comes of it."""

    async def run() -> list[object]:
        return [event async for event in generate(prompt("How long?", *texts), Dictated(pieces), chosen, Unverified())]

    *deltas, drafted = asyncio.run(run())
    assert isinstance(drafted, AnswerDrafted)
    shown = [delta.text for delta in deltas if isinstance(delta, AnswerDelta)]
    final = check(drafted, OverlapJudge(), AnswerBar(0.0, 0.0), Edition("g1"), Answers(), chosen)
    return shown, drafted, list(final)


def bare(text: str) -> str:
    """A text without what groups numbers: what a reader would put together."""
    return re.sub(r"[\s.\[\]-]", "", text)


def cut(text: str, sizes: Sequence[int]) -> list[str]:
    pieces: list[str] = []
    while text:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.one_of(st.sampled_from(sorted(SECRETS)), st.sampled_from([WHOLE, "So.", "- one", "In 1999.", "\n\n"])),
        min_size=1,
        max_size=7,
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from(ACTIONS),
    st.sampled_from([" ", "\n", " [1] ", ". ", " [1]. "]),
)
@example(["card"], [1], "mask", " ")
@example(["phone", "So.", "iban"], [3], "tokenise", " [1]. ")
def test_when_a_model_says_secrets_then_none_is_in_any_delta_or_answer(
    parts: list[str], sizes: list[int], action: Action, between: str
) -> None:
    text = between.join(f"It is {SECRETS[part]}" if part in SECRETS else part for part in parts) + " [1]."
    source = f"{WHOLE} It is {' or '.join(SECRETS.values())}."
    shown, drafted, finals = answered(cut(text, sizes), outlet(action), source)
    for secret in SECRETS.values():
        for seen in ("".join(shown), *(one.text for one in drafted.sentences), str(finals)):
            assert bare(secret) not in bare(seen)
    # What was shown is what was drafted, and says of which kinds there was more.
    assert "".join(shown) == " ".join(map(cited, drafted.sentences))
    assert set(drafted.withheld_kinds) == {part for part in parts if part in SECRETS}


@pytest.mark.parametrize(
    "text",
    [
        "Call her at +49 30. [1] 9018 2044. [2] Then wait.",
        "Call her at +49 30.\n\n9018 2044\n\nThen wait.",
        "Hers is DE89 3704 0044 [1]\n\n0532 0130 00 [2]\n\nThen wait.",
        "Hers is GB82 WEST\n\n1234 5698\n\n7654 32\n\nThen wait.",
        "Hers is 4111 1111\n\n1111\n\n1111\n\nThen wait.",
        "Born on the 3. May 1984. Then wait.",
    ],
)
def test_when_a_number_goes_on_in_the_next_sentence_then_no_half_of_it_is_shown(text: str) -> None:
    policy = RedactionPolicy(default={**EVERYTHING, "birth_date": "mask"})
    shown, _, _ = answered(list(text), Outlet(policy), WHOLE)
    said = "".join(shown)
    assert not re.search(r"[0-9]{2}", re.sub(r"\[[0-9]\]", "", said)), said
    assert said.endswith("Then wait.")


def test_when_a_key_is_said_in_several_parts_then_all_of_them_are_hidden() -> None:
    block = "PGP PRIVATE KEY BLOCK-----"
    key = f"-----BEGIN {block}\n\nlQdGBGJxJvkBEAC3\nq8VwYz\n\n=aBcD\n-----END {block}"
    shown, _, _ = answered(list(f"Here it is:\n{key}\nThere."), Outlet(), WHOLE)
    assert not re.search("lQdG|q8Vw|aBcD", "".join(shown))


def test_when_nothing_may_go_on_then_a_sentence_is_shown_before_the_next_has_come() -> None:
    gate = Outlet().gate("acme")
    assert gate is not None
    first, number, last = (Sentence(text=text, cites=(1,)) for text in (WHOLE, "It has 12.", "So it is."))
    assert (gate.take(first), gate.take(number), gate.take(last)) == ([first], [], [number, last])


def test_when_many_lines_end_with_numbers_then_only_the_last_ones_wait() -> None:
    gate = Outlet().gate("acme")
    assert gate is not None
    lines = [Sentence(text=f"- the year {year} had {year % 7} of them", cites=(1,)) for year in range(1900, 1950)]
    waits = 0
    for line in lines:
        waits = waits + 1 - len(gate.take(line))
        assert waits <= 4
    assert len(gate.rest()) == waits


def test_when_a_sentence_loses_its_span_then_it_has_none() -> None:
    gate = outlet().gate("acme")
    assert gate is not None
    text = "Ann has ann.lee@example.org since May."
    mail = Sentence(text=text, cites=(1,), span="ann.lee@example.org")
    when = replace(mail, span="since May")
    assert [one.span for one in (*gate.take(mail), *gate.take(when), *gate.rest())] == ["", "since May"]


def test_when_a_kind_is_tokenised_then_the_token_is_the_one_of_the_documents() -> None:
    chosen = outlet("tokenise")
    gate = chosen.gate("acme")
    assert gate is not None
    (said,) = gate.take(Sentence(text="Ann has Ann.Lee@example.org, she says.", cites=()))
    assert said.text == f"Ann has {chosen.policy.token('acme', 'email', SECRETS['email'])}, she says."


def test_when_a_number_goes_on_in_the_next_sentence_then_its_parts_have_no_token() -> None:
    gate = outlet("tokenise").gate("acme")
    assert gate is not None
    parts = [Sentence(text=text, cites=()) for text in ("Call +49 30.", "9018 2044.")]
    said = [one.text for part in parts for one in gate.take(part)] + [one.text for one in gate.rest()]
    assert said == [f"Call {HIDDEN * 7}", f"{HIDDEN * 9}."]


def test_when_phrases_are_a_tenants_then_they_are_no_other_ones() -> None:
    chosen = Outlet(phrases={"": ("Falcon",), "acme": ("Eagle",)}, on={"off": False})
    said = [Sentence(text=f"The {bird} flies.", cites=()) for bird in ("falcon", "eagle", "owl")]
    for tenant, left in (("acme", 1), ("globex", 2)):
        gate = chosen.gate(tenant)
        assert gate is not None
        assert len([one for sentence in said for one in gate.take(sentence)]) == left
        assert gate.kinds == ("phrase",)
    assert chosen.gate("off") is None


def test_when_a_phrase_goes_on_in_the_next_sentence_then_that_one_is_left_out() -> None:
    gate = Outlet(phrases={"": ("Project Falcon",)}).gate("acme")
    assert gate is not None
    assert [
        one.text for text in ("A project.", "Falcon is it.") for one in gate.take(Sentence(text=text, cites=()))
    ] == ["A project."]


def test_when_finds_are_told_then_each_is_named_with_what_was_done() -> None:
    told: list[tuple[str, str]] = []
    chosen = Outlet(phrases={"": ("Falcon",)}, tell=lambda kind, action: told.append((kind, action)))
    gate = chosen.gate("acme")
    assert gate is not None
    for text in (f"It is {SECRETS['card']}, she says.", "Falcon it is."):
        gate.take(Sentence(text=text, cites=()))
    assert told == [("card", "mask"), ("phrase", "drop_block")]


def test_when_a_passage_is_screened_then_every_place_in_it_holds() -> None:
    text = f"Card {SECRETS['card']} of Falcon."
    screened = Outlet(phrases={"": ("falcon",)}).passage("acme", passage(text))
    assert screened.passage.text == f"Card {HIDDEN * 19} of {HIDDEN * 6}."
    assert [*map(sorted, (screened.kinds(0, 10), screened.kinds(25, 30), screened.kinds(0, 4)))] == [
        ["card"],
        ["phrase"],
        [],
    ]
    clean = passage(WHOLE)
    assert Outlet().passage("acme", clean).passage is clean


def test_when_anything_decides_otherwise_then_the_fingerprint_is_another() -> None:
    policy = RedactionPolicy(default={"email": "mask"})
    chosen = [Outlet(), Outlet(policy), Outlet(phrases={"": ("x",)}), Outlet(on={"": False}), Outlet(on={"a": False})]
    assert len({one.fingerprint() for one in chosen}) == len(chosen)
    assert Outlet(policy).fingerprint() == Outlet(RedactionPolicy(default={"email": "mask"})).fingerprint()


def test_when_the_model_only_cites_what_is_clean_then_the_answer_is_as_without_an_outlet() -> None:
    source = f"{WHOLE} A deposit of 500 euro is due on 2024-05-03 in room 12."
    said = "A lease runs for three years [1]. A deposit of 500 euro is due on 2024-05-03 in room 12. [1]"
    results = [answered(cut(said, [4]), chosen, source)[2] for chosen in (Outlet(), Outlet(on={"": False}))]
    assert results[0] == results[1] and isinstance(results[0][0], AnswerGiven)
