"""What every store of sessions must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from time import monotonic
from typing import Any, Final

import msgspec
import pytest
from redis import Redis

from adapters.erasables import SessionTurns
from adapters.errors import SessionsUnavailableError
from adapters.host import SystemClock
from adapters.redis_heads import RedisOptions
from adapters.redis_sessions import RedisSessions
from adapters.session_memory import MemorySessions
from processors.answer.sessions import NOTHING_SAID, Cited, SessionLimits, Sessions, Turn, session_of
from processors.ingest.memories import OWNER_DIGITS, owner_of, root_of
from schemas.envelope import Micros, Version
from schemas.queries import Query
from tests.conformance.test_heads import head

NOW: Final = SystemClock().now()
SECOND: Final = 1_000_000
MakesSessions = Callable[[SessionLimits], Sessions]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.live)])
def makes(request: pytest.FixtureRequest) -> MakesSessions:
    """Makes a store with these bounds; one made again is empty in memory, and the same in Redis."""
    if request.param == "memory":
        return lambda limits: MemorySessions(SystemClock(), limits)
    options = request.getfixturevalue("redis_options")
    return lambda limits: RedisSessions(options, "main", limits, SystemClock())


@pytest.fixture
def sessions(makes: MakesSessions) -> Sessions:
    return makes(SessionLimits())


def key(name: str) -> str:
    """A session's key, which is a digest."""
    return hashlib.sha256(name.encode()).hexdigest()


def turn(number: int, *documents: str, version: int = 1, words: str = "") -> Turn:
    """The turn of a second; what it quotes stands in these documents."""
    cites = tuple(Cited(name, Version(source=0, offset=version)) for name in documents)
    quotes = tuple(f"{name} says {number}. {words}" for name in documents)
    return Turn(
        f"q-{number}", Micros(NOW + number * SECOND), f"What of {number}? {words}", quotes, documents, cites=cites
    )


def told(sessions: Sessions, name: str = "s") -> list[str]:
    """The ids of the turns in full, oldest first."""
    found = sessions.read(key(name))
    assert found is not None
    return [one.answer_id for one in found.turns]


def notes(sessions: Sessions, name: str = "s") -> list[str]:
    """The questions of what was summarised, oldest first."""
    found = sessions.read(key(name))
    assert found is not None
    return [one.question for one in found.earlier]


def test_when_nobody_spoke_then_nothing_was_said(sessions: Sessions) -> None:
    assert sessions.read(key("s")) == NOTHING_SAID


def test_when_a_turn_is_recorded_then_it_comes_back_whole(sessions: Sessions) -> None:
    said = turn(1, "a.md", "b.md")
    assert sessions.record("acme", key("s"), said)
    found = sessions.read(key("s"))
    assert found is not None and found.turns == (said,) and not found.earlier


def test_when_turns_come_in_any_order_then_they_are_read_in_that_of_their_time(sessions: Sessions) -> None:
    for number in (3, 1, 2):
        sessions.record("acme", key("s"), turn(number))
    assert told(sessions) == ["q-1", "q-2", "q-3"]


def test_when_a_turn_comes_again_then_there_is_one(sessions: Sessions) -> None:
    said = turn(1)
    assert sessions.record("acme", key("s"), said)
    assert sessions.record("acme", key("s"), said)
    assert sessions.record("acme", key("s"), replace(said, at=Micros(said.at + 5 * SECOND)))
    assert told(sessions) == ["q-1"]


def test_when_one_session_hears_then_no_other_does(sessions: Sessions) -> None:
    sessions.record("acme", key("one"), turn(1))
    sessions.record("acme", key("two"), turn(2))
    assert (told(sessions, "one"), told(sessions, "two")) == (["q-1"], ["q-2"])


def test_when_there_are_more_turns_than_kept_then_the_oldest_are_summarised_and_come_no_second_time(
    makes: MakesSessions,
) -> None:
    sessions = makes(SessionLimits(turns=2))
    long = "And so on. " * 60
    for number in range(1, 6):
        sessions.record("acme", key("s"), turn(number, "a.md", words=long))
    assert told(sessions) == ["q-4", "q-5"]
    summarised = sessions.read(key("s"))
    assert summarised is not None
    assert [one.question[:9] for one in summarised.earlier] == ["What of 1", "What of 2", "What of 3"]
    assert all(len(one.question) <= 160 and len(one.quotes[0]) <= 160 for one in summarised.earlier)
    assert sessions.record("acme", key("s"), turn(2, "a.md", words=long))
    assert (told(sessions), len(notes(sessions))) == (["q-4", "q-5"], 3)


def test_when_a_late_turn_is_older_than_all_kept_then_it_is_summarised_in_its_place(makes: MakesSessions) -> None:
    sessions = makes(SessionLimits(turns=2))
    for number in (1, 3, 4, 5, 2):
        sessions.record("acme", key("s"), turn(number))
    assert told(sessions) == ["q-4", "q-5"]
    assert notes(sessions) == ["What of 1? ", "What of 2? ", "What of 3? "]


def test_when_it_goes_on_and_on_then_it_stays_within_its_bytes_and_what_was_given_up_stays_so(
    makes: MakesSessions,
) -> None:
    limits = SessionLimits(turns=50, turn_bytes=2_000, note_bytes=1_000)
    sessions, draw = makes(limits), Random(7)
    for number in range(60):
        sessions.record("acme", key("s"), turn(number, "a.md", words="word " * draw.randrange(120)))
    found = sessions.read(key("s"))
    assert found is not None
    assert 0 < sum(len(msgspec.msgpack.encode(one)) for one in found.turns) <= limits.turn_bytes
    assert 0 < sum(len(msgspec.msgpack.encode(one)) for one in found.earlier) <= limits.note_bytes
    assert found.turns[-1].answer_id == "q-59"
    for number in range(5):
        assert sessions.record("acme", key("s"), turn(number, "a.md"))
    assert sessions.read(key("s")) == found


def test_when_one_turn_is_larger_than_all_may_be_then_it_is_summarised_at_once(makes: MakesSessions) -> None:
    sessions = makes(SessionLimits(turn_bytes=300))
    sessions.record("acme", key("s"), turn(1, "a.md", words="word " * 90))
    assert not told(sessions)
    assert len(notes(sessions)) == 1


def test_when_its_time_is_over_then_a_session_is_gone_and_a_turn_that_old_is_not_taken(makes: MakesSessions) -> None:
    sessions = makes(SessionLimits(ttl_s=0.3))
    first = replace(turn(1), at=SystemClock().now())
    assert sessions.record("acme", key("s"), first)
    deadline = monotonic() + 5
    while sessions.read(key("s")) != NOTHING_SAID:
        assert monotonic() < deadline
    assert not sessions.record("acme", key("s"), first)
    assert sessions.read(key("s")) == NOTHING_SAID


def test_when_it_is_spoken_in_then_a_session_lasts_from_its_last_turn_on(makes: MakesSessions) -> None:
    sessions = makes(SessionLimits(ttl_s=60.0))
    old = replace(turn(1), at=Micros(SystemClock().now() - 59_700_000))
    sessions.record("acme", key("lasts"), old)
    sessions.record("acme", key("over"), old)
    sessions.record("acme", key("lasts"), replace(turn(2), at=SystemClock().now()))
    deadline = monotonic() + 5
    while sessions.read(key("over")) != NOTHING_SAID:
        assert monotonic() < deadline
    assert told(sessions, "lasts") == ["q-1", "q-2"]


def test_when_there_is_no_room_then_the_session_that_is_over_soonest_goes(makes: MakesSessions) -> None:
    sessions = makes(SessionLimits(most=2))
    for number, name in ((1, "one"), (2, "two"), (3, "one"), (4, "three")):
        sessions.record("acme", key(name), turn(number))
    assert [told(sessions, name) for name in ("one", "two", "three")] == [["q-1", "q-3"], [], ["q-4"]]


def test_when_a_document_is_erased_then_the_turns_that_quote_it_are_emptied_and_do_not_come_back(
    makes: MakesSessions,
) -> None:
    sessions = makes(SessionLimits(turns=2))
    store = SessionTurns(sessions)
    recorded = [turn(1, "a.md"), turn(2, "b.md"), turn(3, "a.md", "b.md"), turn(4, "a.md", version=9)]
    for said in recorded:
        sessions.record("acme", key("s"), said)
    sessions.record("globex", key("other"), turn(5, "a.md"))
    life = head(9, document="a.md")
    assert len(store.held("acme", "a.md", None)) == 3
    store.erase("acme", "a.md", store.held("acme", "a.md", life))
    assert not store.held("acme", "a.md", life)
    for said in recorded:
        assert sessions.record("acme", key("s"), said)
    assert not store.held("acme", "a.md", life)
    assert (told(sessions), notes(sessions), told(sessions, "other")) == (["q-4"], ["What of 2? "], ["q-5"])
    sessions.record("acme", key("s"), turn(6))
    sessions.record("acme", key("s"), turn(7))
    assert told(sessions) == ["q-6", "q-7"]
    assert notes(sessions) == ["What of 2? ", "What of 4? "]
    sessions.forget([f"{key('s')}/nothing", f"{key('nobody')}/nothing"])


def test_when_many_write_at_once_then_each_turn_is_there_once(sessions: Sessions) -> None:
    def say(number: int) -> bool:
        return sessions.record("acme", key("s"), turn(number % 6))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(say, range(48)))
    assert told(sessions) == [f"q-{number}" for number in range(6)]


@pytest.mark.live
def test_when_sessions_come_and_go_then_what_a_document_is_quoted_by_stays_bounded(
    redis_options: RedisOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.redis_sessions._CITES_MOST", 10)
    sessions = RedisSessions(redis_options, "main", SessionLimits(most=3), SystemClock())
    for number in range(40):
        sessions.record("acme", key(f"s-{number}"), turn(number, "a.md"))
    with Redis.from_url(redis_options.url) as redis:
        names = sorted(redis.scan_iter(f"{redis_options.namespace}:*"))
        (cites,) = (name for name in names if b":cites:" in name)
        assert redis.hlen(cites) <= 11
        assert len([name for name in names if b":of:" in name]) == 3
        assert all(redis.pttl(name) > 0 for name in names if not name.endswith(b":until"))


def test_when_redis_is_away_then_nobody_can_say_and_what_is_to_be_written_waits() -> None:
    options = RedisOptions("redis://127.0.0.1:1/0", timeout_s=0.2)
    sessions = RedisSessions(options, "main", SessionLimits(), SystemClock())
    assert sessions.read(key("s")) is None
    with pytest.raises(SessionsUnavailableError, match="a moment ago"):
        sessions.record("acme", key("s"), turn(1))
    fresh = RedisSessions(options, "main", SessionLimits(), SystemClock())
    with pytest.raises(SessionsUnavailableError, match="is the server there"):
        fresh.citing("acme", "a.md")


def test_when_a_user_is_to_be_forgotten_then_all_turns_of_their_sessions_are_named_and_stay_away(
    makes: MakesSessions,
) -> None:
    sessions = makes(SessionLimits(turns=2))
    ada, bob = owner_of("acme", "ada"), owner_of("acme", "bob")
    mine = [ada + key(name)[OWNER_DIGITS:] for name in ("s", "t")]
    other = bob + key("s")[OWNER_DIGITS:]
    for number in range(3):
        for name in (*mine, other):
            assert sessions.record("acme", name, turn(number, "a.md"))
    named = sessions.of(ada)
    # Two sessions of two turns in full and one that was summarised.
    assert len(named) == 6 and len(sessions.of(bob)) == 3 and sessions.of(owner_of("acme", "eve")) == frozenset()
    assert SessionTurns(sessions).held("acme", root_of(ada), None) == named
    assert SessionTurns(sessions).held("globex", "a.md", None) == frozenset()
    sessions.forget(named)
    assert sessions.of(ada) == frozenset() and len(sessions.of(bob)) == 3
    for name in mine:
        assert sessions.read(name) == NOTHING_SAID
        sessions.record("acme", name, turn(1, "a.md"))
        assert sessions.read(name) == NOTHING_SAID, "a replay does not bring it back"


def test_when_sessions_are_named_then_those_of_a_user_begin_alike_and_of_nobody_else() -> None:
    def named(tenant: str = "acme", session: str = "s", **who: Any) -> str:
        return session_of(tenant, Query(query_id="q", question="?", session=session, **who))

    ada = owner_of("acme", "ada")
    assert {named(user="ada")[:OWNER_DIGITS], named(user="ada", session="t")[:OWNER_DIGITS]} == {ada}
    every = [named(user="ada"), named(user="ada", session="t"), named(user="bob"), named("globex", user="ada")]
    every += [named(), named(groups=("ada",)), named(session="t")]
    assert len(set(every)) == len(every) and all(re.fullmatch("[0-9a-f]{64}", one) for one in every)
    assert not any(one.startswith(ada) for one in every[2:])
