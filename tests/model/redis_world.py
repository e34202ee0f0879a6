"""The view in Redis for the random histories: flushed, put back to an older copy, served by another process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import redis

from adapters.host import SystemIds
from adapters.redis_heads import RedisHeads, RedisOptions
from adapters.redis_scripts import FOLD, FORGET, LOOK, MARK, PROVE, READ, WALK
from tests.model.world import World
from tests.processors.ingest.builders import GENERATION

RUN_ID = "string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')"
NOT_WHOLE = "if why then return {why, life()} end"
ANOTHER_LIFE = "if life() ~= ARGV[2] then return 0 end"


class HeadsOnAnyServer(RedisHeads):
    """The view as it is, on a server that the test may take for another one: a restart, a failover, in no time.

    `without` takes a line out of the scripts: the control, which must find damage.
    """

    def __init__(self, options: RedisOptions, without: str = "") -> None:
        super().__init__(options, GENERATION, SystemIds())
        self.server = redis.Redis.from_url(options.url, protocol=2)
        self._run_key = f"{options.namespace}:run"
        self._namespace = options.namespace
        self._without = without
        self._copy: dict[bytes, bytes] = {}
        self._runs = itertools.count()
        for text in (FOLD, FORGET, LOOK, MARK, PROVE, READ, WALK):
            self._scripts[text] = self.server.register_script(self._changed(text))

    def lose(self) -> None:
        """Behind the view's back: FLUSHALL, as far as this test is concerned."""
        self.server.delete(*self._keys(), self._run_key + "-none")

    def keep_copy(self) -> None:
        """A replica is this far."""
        self._copy = {key: bytes(self.server.dump(key) or b"") for key in self._keys()}

    def fail_over(self) -> None:
        """The server is gone, and another takes over with the copy that it has."""
        self.lose()
        for key, value in self._copy.items():
            self.server.restore(key, 0, value, replace=True)
        self.server.set(self._run_key, f"run{next(self._runs)}")

    @property
    def is_open(self) -> bool:
        return True if self._without == NOT_WHOLE else super().is_open

    def _changed(self, script: str) -> str:
        assert RUN_ID in script
        if self._without == NOT_WHOLE:
            script = script.replace("if why then return {why, life(), '0', {}} end", "").replace("{why or ''", "{''")
        return script.replace(RUN_ID, f"redis.call('GET', '{self._run_key}') or 'first'").replace(self._without, "")

    def _keys(self) -> list[bytes]:
        return list(self.server.scan_iter(f"{self._namespace}:heads:*", count=1_000))


@dataclass
class RedisWorld(World):
    """The same world; only that its view is in Redis, what happens there happens behind its back, and another process
    reads: one that committed nothing, so that it has nothing to give back to a view that lost something."""

    view: Any = field(default=None)
    other: Any = field(default=None)

    @property
    def reader(self) -> Any:
        return self.other

    def flush(self) -> None:
        self.view.lose()

    def keep_copy(self) -> None:
        self.view.keep_copy()

    def fail_over(self) -> None:
        self.view.fail_over()
