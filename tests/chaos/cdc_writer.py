"""What happens to T10's table: random rows inserted, updated, deleted, inserted again or copied, in interleaved
transactions, a tenth of which are rolled back."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

_Connection = psycopg.Connection[tuple[object, ...]]

WRITERS = 4
ROLLED_BACK = 0.1
COPIED = 0.05
PAUSES_S = (0.0, 0.01)


@dataclass
class Writer:
    """Writes `operations` in all, `rate` of them a second, by some connections at once.

    A document is locked before its revision is drawn, so that a later commit has the higher one. `committed` says of
    which document each revision is that was ever to be seen.
    """

    dsn: str
    documents: int
    operations: int
    seed: int
    rate: float
    done: Counter[str] = field(default_factory=Counter)
    committed: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def create(self) -> None:
        """The table, and the first half of its rows by COPY."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute("CREATE TABLE texts (id int PRIMARY KEY, title text, body text)")
            connection.execute("ALTER TABLE texts REPLICA IDENTITY FULL")
            connection.execute("CREATE SEQUENCE revision")
        with psycopg.connect(self.dsn) as connection:
            made = self._copy(connection, range(self.documents // 2), random.Random(self.seed))
        self.committed |= made

    def run(self) -> list[threading.Thread]:
        """Begins to write; join the threads to wait for the end."""
        threads = [threading.Thread(target=self._guarded, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, number: int) -> None:
        try:
            self._write(number)
        except psycopg.Error as error:
            self.problems.append(f"writer {number}: {error}")

    def _write(self, number: int) -> None:
        chance = random.Random(self.seed * WRITERS + number)
        began, written = time.monotonic(), 0
        with psycopg.connect(self.dsn) as connection:
            while written < self.operations // WRITERS:
                count = min(self.operations // WRITERS - written, chance.randint(1, 5))
                written += count
                # In one order everywhere, so that no two of them wait for each other.
                self._transact(connection, sorted(chance.sample(range(self.documents), count)), chance)
                due = began + written * WRITERS / self.rate
                threading.Event().wait(max(0.0, due - time.monotonic()) * chance.uniform(0.5, 1.5))

    def _transact(self, connection: _Connection, chosen: list[int], chance: random.Random) -> None:
        made: dict[int, int] = {}
        if chance.random() < COPIED:
            made |= self._copy_absent(connection, chosen, chance)
        else:
            for one in chosen:
                made |= self._change(connection, one, chance)
                threading.Event().wait(chance.uniform(*PAUSES_S))
        if chance.random() < ROLLED_BACK:
            connection.rollback()
            self.done["rolled back"] += 1
        else:
            connection.commit()
            self.committed |= made
            self.done["transactions"] += 1

    def _locked(self, connection: _Connection, one: int) -> bool:
        """Locks a document until the transaction ends; whether it is there."""
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (one,))
        return connection.execute("SELECT 1 FROM texts WHERE id = %s", (one,)).fetchone() is not None

    def _change(self, connection: _Connection, one: int, chance: random.Random) -> dict[int, int]:
        there = self._locked(connection, one)
        what = chance.choice(["update", "update", "delete", "again"] if there else ["insert"])
        self.done[what] += 1
        if what in ("delete", "again"):
            connection.execute("DELETE FROM texts WHERE id = %s", (one,))
        if what == "delete":
            return {}
        revision, title, body = self._text(connection, one, chance)
        if what == "update":
            connection.execute("UPDATE texts SET (title, body) = (%s, %s) WHERE id = %s", (title, body, one))
        else:
            connection.execute("INSERT INTO texts VALUES (%s, %s, %s)", (one, title, body))
        return {revision: one}

    def _copy_absent(self, connection: _Connection, chosen: list[int], chance: random.Random) -> dict[int, int]:
        """COPY of those that are not there."""
        absent = [one for one in chosen if not self._locked(connection, one)]
        self.done["copied"] += len(absent)
        return self._copy(connection, absent, chance)

    def _copy(self, connection: _Connection, ids: Sequence[int], chance: random.Random) -> dict[int, int]:
        rows, made = io.StringIO(), {}
        for one in ids:
            revision, title, body = self._text(connection, one, chance)
            made[revision] = one
            rows.write(f"{one}\t{title}\t" + body.replace("\n", "\\n") + "\n")
        with connection.cursor().copy("COPY texts FROM STDIN") as copy:
            copy.write(rows.getvalue())
        return made

    @staticmethod
    def _text(connection: _Connection, one: int, chance: random.Random) -> tuple[int, str, str]:
        """A revision, a title that says it, and a text of some paragraphs that do so too, but for one that never
        changes."""
        row = connection.execute("SELECT nextval('revision')").fetchone()
        assert row is not None
        revision = int(str(row[0]))
        filler = " ".join(f"word{(revision * 7 + step) % 997}" for step in range(60))
        parts = [f"document{one} revision r{revision} part {part}. {filler}" for part in range(chance.randint(1, 6))]
        steady = f"document{one} is steady here. " + " ".join(f"steady{step}" for step in range(80))
        return revision, f"r{revision}", "\n\n".join([steady, *parts])
