"""Claim: whatever a model server does, each question ends once, in time, and an outage makes no dead letters.

One worker over a real Kafka answers while its model server misbehaves in every way a test server knows, is away for a
minute (T8), takes long (T9), or lets one generation hang among many (T13). Each part prints its figures and a verdict;
the last line is one JSON object. Parts: storm, steady, ladder, away, slow, hang; all where none is named.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from streams import metrics  # the path comes first
from streams.settings import Settings, user_cache
from tests.live.asking import REPLY, Asking, Count, answering, publish_document
from tests.live.bad_models import LADDER, one_by_one, storm, with_model
from tests.live.erasure_world import World, world
from tests.model_process import ModelProcess

GROUP: Final = "headwater.answer.admit.v1"
ROUNDS: Final = 6
AWAY_S: Final = 60.0
RESUME_WITHIN_S: Final = 5.0
SLOW_S: Final = 30.0
POLL_MS: Final = 10_000
OTHERS: Final = 1_000
RATE: Final = 25.0
WINDOW: Final = 100
SLOWER: Final = 1.2
SMALL: Final = (sys.executable, str(Path(__file__).parents[2] / "tests" / "local" / "small_program.py"))

Figures = dict[str, Any]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextmanager
def asking(made: World, settings: Settings) -> Iterator[Asking]:
    with answering(settings), Asking(made) as open_asking:
        publish_document(made)
        yield open_asking


def figures_of(count: Count, **more: Any) -> Figures:
    say(count.line())
    questions = sum(sum(each.values()) for each in count.outcomes.values())
    late = {"latest s after its deadline": round(count.latest_s, 2), "damage": count.damage[:5]}
    return {"passed": not count.damage, "questions": questions, **late, **more}


def stormy(made: World, **models: Any) -> Figures:
    with ModelProcess(REPLY, pause_s=0.05) as model, ModelProcess(REPLY) as small:
        with asking(made, with_model(made, model, **({"small_url": small.url, **models} if models else {}))) as asked:
            storm(asked, model, ROUNDS)
            count = asked.count()
        found = figures_of(count, given=sum(e[o] for e in count.outcomes.values() for o in e if o.startswith("given")))
    if models:
        found["expired"] = count.endings("expired")
        found["passed"] &= count.endings("expired") <= found["questions"] // 50
    return found


def steady(made: World) -> Figures:
    """Each behaviour for longer than a question is tried."""
    with ModelProcess(REPLY, pause_s=0.05) as model, asking(made, with_model(made, model)) as asked:
        one_by_one(asked, model)
        return figures_of(asked.count())


def away(made: World) -> Figures:
    """T8: the server is away for a minute; who asks meanwhile hears in time, and then it goes on."""
    with ModelProcess(REPLY) as model, asking(made, with_model(made, model)) as asked:
        rebalances = metrics.REBALANCES.labels(GROUP)._value.get()
        model.down()
        until = time.monotonic() + AWAY_S
        while time.monotonic() < until:
            asked.ask("away", 3.0)
            time.sleep(0.2)
        model.up()
        up, before = time.monotonic(), model.counts.answered
        while model.counts.answered == before and time.monotonic() - up < 4 * RESUME_WITHIN_S:
            asked.ask("back", 10.0)
            time.sleep(0.1)
        resumed_s, count = time.monotonic() - up, asked.count()
        moved = metrics.REBALANCES.labels(GROUP)._value.get() - rebalances
    found = figures_of(count, **{"resumed after s": round(resumed_s, 2), "rebalances": moved})
    found["passed"] &= resumed_s < RESUME_WITHIN_S and moved == 0
    return found


def slow(made: World) -> Figures:
    """T9: generations that take several poll intervals; nobody is evicted, nothing is asked twice."""
    words = len(REPLY.split(" "))
    kafka = made.settings.kafka.model_copy(update={"max_poll_interval_ms": POLL_MS})
    with ModelProcess(REPLY, mode="slow", pause_s=SLOW_S / words) as model:
        settings = with_model(made, model).model_copy(update={"kafka": kafka})
        with asking(made, settings) as asked:
            rebalances = metrics.REBALANCES.labels(GROUP)._value.get()
            for _ in range(20):
                asked.ask("slow", SLOW_S * 2)
            count = asked.count()
            moved = metrics.REBALANCES.labels(GROUP)._value.get() - rebalances
        found = figures_of(count, rebalances=moved, requests=model.counts.requests)
    found["passed"] &= moved == 0 and model.counts.requests == 20 and count.outcomes["slow"] == {"given": 20}
    return found


def hang(made: World) -> Figures:
    """T13: one generation hangs; the others of the one partition take as long as without it."""
    p95 = [_p95_s(made, hangs) for hangs in (0, 1)]
    (without, _), (beside, count) = p95
    found = figures_of(count, **{"p95 s without": round(without, 3), "p95 s": round(beside, 3)})
    found["passed"] &= beside <= SLOWER * without
    return found


def _p95_s(made: World, hangs: int) -> tuple[float, Count]:
    with ModelProcess(REPLY, mode="slow", pause_s=0.01) as model, asking(made, with_model(made, model)) as asked:
        for _ in range(5):
            asked.ask("warm", 10.0)
        time.sleep(2.0)
        if hangs:
            model.modes = ["hang"]
            asked.ask("hung", 60.0)
            time.sleep(1.0)
        for _ in range(OTHERS):
            asked.ask("other", 20.0)
            time.sleep(1 / RATE)
        count = asked.count()
    took = count.took_s["other"]
    windows = [took[at : at + WINDOW] for at in range(0, len(took), WINDOW)]
    # The median of the p95 of every few: what else the machine does for a second does not decide.
    return statistics.median(statistics.quantiles(window, n=20)[-1] for window in windows), count


PARTS: Final[dict[str, Callable[[World], Figures]]] = {
    "storm": stormy,
    "steady": steady,
    "ladder": lambda made: stormy(made, **LADDER),
    "away": away,
    "slow": slow,
    "hang": hang,
}


def main(names: list[str]) -> int:
    """Runs the parts; 1 where one did not pass."""
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names or list(PARTS):
            say(f"{name}: begins")
            with world(Path(folder) / name, user_cache(), SMALL) as made:
                found[name] = PARTS[name](made)
            say(f"{name}: {'passed' if found[name]['passed'] else 'FAILED'} {found[name]}")
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"claim": "models", "machine": machine, "parts": found}))
    return 0 if all(each["passed"] for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
