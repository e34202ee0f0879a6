"""Dead letters without a broker: what they say, what is forged, how they are counted and chosen, how they are shown."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from headwater.cli.main import app
from headwater.cli.untrusted import plain, preview, shown, text_of
from headwater.local.ports import choose_port
from schemas.envelope import Micros
from schemas.failures import REASON, SOURCE_TOPIC, DeadLetter
from streams.letters import REPLAY_ID, REPLAYED, Letter, Pile, RawHeaders, Reason
from streams.replaying import Choice

NOBODY = f"127.0.0.1:{choose_port('nothing')}"


def letter(
    offset: int = 7, headers: RawHeaders = (), reason: str = "no schema", source: str = "t.v1", at: int = 1
) -> Letter:
    """A dead letter as the engine writes it: the original headers first, its own behind them."""
    dead = DeadLetter(
        key=b"k", value=b"v", headers=(), reason=reason, exception="Reject", step="parse",
        topic=source, partition=3, offset=4, attempts=2,
    )  # fmt: skip
    raw = (*headers, *dead.reason_headers())
    return Letter("t.v1.dlq", 0, offset, Micros(at), "k", (), b"v", raw_key=b"k", raw_headers=raw)


def test_when_a_letter_is_read_then_it_says_what_the_engine_wrote() -> None:
    found = letter(headers=(("event-id", b"e1"),))
    assert (found.reason, found.attempts, found.source) == ("no schema", 2, ("t.v1", 3, 4))
    assert (found.home, found.event_id, found.is_marker) == ("t.v1", "e1", False)


def test_when_the_original_brought_headers_of_ours_then_they_neither_count_nor_come_back() -> None:
    forged: RawHeaders = (
        (SOURCE_TOPIC, b"rag.answer.given.v1"), (REASON, b"none"), (REPLAYED, b"x"), (REPLAY_ID, b"y"), ("lane", None),
    )  # fmt: skip
    found = letter(headers=forged)
    assert (found.home, found.reason, found.is_marker) == ("t.v1", "no schema", False)
    assert found.original == (("lane", None),)


@pytest.mark.parametrize(
    ("dead_letters", "source", "home"),
    [
        ("t.v1.dlq", "t.v1", "t.v1"),
        ("t.v1.dlq", "t.v1.retry.30s", "t.v1"),
        ("t.v1.dlq", "other.v1", ""),
        ("t.v1.dlq", "", ""),
        ("cdc.dlq", "cdc.public.documents", "cdc.public.documents"),
        ("cdc.dlq", "rag.document.changed.v1", ""),
    ],
)
def test_when_a_letter_names_its_source_then_only_a_topic_of_these_letters_is_its_home(
    dead_letters: str, source: str, home: str
) -> None:
    found = Letter(dead_letters, 0, 0, Micros(0), "", (), None, raw_headers=((SOURCE_TOPIC, source.encode()),))
    assert found.home == home


def test_when_two_replay_the_same_letter_then_its_id_is_the_same_and_no_other_letters() -> None:
    assert letter(7).replay_id == letter(7, reason="another").replay_id
    assert len({letter(n).replay_id for n in range(100)}) == 100


def test_when_a_record_says_what_was_replayed_then_it_is_no_letter() -> None:
    marker = Letter("t.v1.dlq", 0, 8, Micros(1), "", (), None, raw_headers=((REPLAYED, b"x"),))
    assert marker.is_marker


def test_when_letters_are_counted_then_those_of_one_kind_are_one_line() -> None:
    pile = Pile("t.v1.dlq")
    for n, reason in enumerate(("a  b", "a b", "c")):
        pile.add(letter(n, reason=reason, at=n))
    assert (pile.letters, pile.newest) == (3, 2)
    assert pile.kinds == {Reason("a b", "parse", "Reject"): 2, Reason("c", "parse", "Reject"): 1}


def test_when_no_two_reasons_are_the_same_then_the_kinds_are_bounded() -> None:
    pile = Pile("t.v1.dlq")
    for n in range(1_000):
        pile.add(letter(n, reason=f"{n} {'x' * 10_000}"))
    assert len(pile.kinds) <= 201
    assert sum(pile.kinds.values()) == 1_000
    assert max(len(kind.text) for kind in pile.kinds) < 120


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(frozenset({(0, 7)})), True),
        (Choice(frozenset({(1, 7)})), False),
        (Choice(reason="schema"), True),
        (Choice(reason="timeout"), False),
        (Choice(frozenset({(0, 7)}), "timeout"), False),
    ],
)
def test_when_letters_are_chosen_then_place_and_reason_must_both_fit(choice: Choice, taken: bool) -> None:
    assert choice.takes(letter()) is taken


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain — ünï 漢字", "plain — ünï 漢字"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\nb\tc\x7f\x9b", "a\\x0d\\x0ab\\x09c\\x7f\\x9b"),
        ("\u202egnp.exe\u2028", "\\u202egnp.exe\\u2028"),
        ("\U000e0041{0}%s", "\\U000e0041{0}%s"),
    ],
)
def test_when_strangers_text_is_printed_then_a_terminal_sees_only_text(text: str, safe: str) -> None:
    assert plain(text) == safe


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "null"),
        (b"", "0 bytes, text: "),
        (b"\x1b[2J", "4 bytes, text: \\x1b[2J"),
        (b"\x00\xff", "2 bytes, hex: 00ff"),
        (b"a" * 300, f"300 bytes, text: {'a' * 256} …"),
        (b"a" * 255 + "é".encode() * 9, f"273 bytes, text: {'a' * 255} …"),
        (b"a" * 255 + b"\xc3", f"256 bytes, hex: {'61' * 255}c3"),
    ],
)
def test_when_a_value_is_previewed_then_it_is_bounded_and_text_only_where_it_is(value: bytes | None, line: str) -> None:
    assert shown(preview(value)) == line


def test_when_a_header_is_long_or_binary_then_it_is_cut_and_written_out() -> None:
    assert text_of(None) is None
    assert text_of(b"\xfe") == "\\xfe"
    assert len(text_of(b"x" * 1_000) or "") == 258


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("replay", "t.v1", "--offset", "7"), 2, "wanted PARTITION@OFFSET"),
        (("replay", "t.v1", "--to", "t.v1.dlq"), 2, "wanted a topic that a hop reads"),
        (("show", "t.v1"), 2, "Missing argument"),
    ],
)
def test_when_the_command_cant_be_meant_then_it_says_so_before_any_broker_is_asked(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = CliRunner().invoke(app, ["dlq", *arguments, "--kafka", NOBODY])
    assert (result.exit_code, words in result.output) == (code, True), result.output


def test_when_json_is_printed_then_it_is_ascii_and_the_same_to_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    from headwater.cli.dlq import _emit

    _emit({"reason": "\x1b\x7f\x9b\u202eé"})
    printed = capsys.readouterr().out
    assert all(" " <= sign <= "~" for sign in printed.rstrip("\n"))
    assert json.loads(printed) == {"reason": "\x1b\x7f\x9b\u202eé"}
