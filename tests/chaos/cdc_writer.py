"""What happens to T10's table: inserts, updates, deletes and re-inserts of random rows in interleaved transactions."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from dataclasses import dataclass, field

import psycopg

WRITERS = 4
ROLLED_BACK = 0.1
PAUSES_S = (0.0, 0.01)


@dataclass
class Writer:
    """Writes `operations` in all, by some connections at once; each row's revision grows with its commits.

    A document is locked before its revision is drawn, so that a later commit has the higher one.
    """

    dsn: str
    documents: int
    operations: int
    seed: int
    pause_s: float = 0.02
    done: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def create(self) -> None:
        """The table, and the first half of its rows by COPY."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute("CREATE TABLE texts (id int PRIMARY KEY, title text, body text)")
            connection.execute("ALTER TABLE texts REPLICA IDENTITY FULL")
            connection.execute("CREATE SEQUENCE revision")
        with psycopg.connect(self.dsn) as connection:
            self._copy(connection, range(self.documents // 2), random.Random(self.seed))

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
        with psycopg.connect(self.dsn) as connection:
            left = self.operations // WRITERS
            while left > 0:
                count = min(left, chance.randint(1, 5))
                left -= count
                # In one order everywhere, so that no two of them wait for each other.
                for one in sorted(chance.sample(range(self.documents), count)):
                    self._change(connection, one, chance)
                    threading.Event().wait(chance.uniform(*PAUSES_S))
                if chance.random() < ROLLED_BACK:
                    connection.rollback()
                    self.done["rolled back"] += 1
                else:
                    connection.commit()
                    self.done["transactions"] += 1
                threading.Event().wait(chance.uniform(0.0, self.pause_s))

    def _change(self, connection: psycopg.Connection, one: int, chance: random.Random) -> None:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (one,))
        there = connection.execute("SELECT 1 FROM texts WHERE id = %s", (one,)).fetchone()
        what = chance.choice(["update", "update", "delete", "again"] if there else ["insert"])
        self.done[what] += 1
        if what in ("delete", "again"):
            connection.execute("DELETE FROM texts WHERE id = %s", (one,))
        if what == "update":
            connection.execute(
                "UPDATE texts SET (title, body) = (%s, %s) WHERE id = %s", (*self._text(connection, one, chance), one)
            )
        elif what != "delete":
            connection.execute("INSERT INTO texts VALUES (%s, %s, %s)", (one, *self._text(connection, one, chance)))

    def _copy(self, connection: psycopg.Connection, ids: range, chance: random.Random) -> None:
        rows = io.StringIO()
        for one in ids:
            title, body = self._text(connection, one, chance)
            rows.write(f"{one}\t{title}\t" + body.replace("\n", "\\n") + "\n")
        with connection.cursor().copy("COPY texts FROM STDIN") as copy:
            copy.write(rows.getvalue())

    @staticmethod
    def _text(connection: psycopg.Connection, one: int, chance: random.Random) -> tuple[str, str]:
        """A title with the revision, and a text of some paragraphs that all say it, but for one that never changes."""
        row = connection.execute("SELECT nextval('revision')").fetchone()
        assert row is not None
        revision = int(row[0])
        filler = " ".join(f"word{(revision * 7 + step) % 997}" for step in range(60))
        parts = [f"document{one} revision r{revision} part {part}. {filler}" for part in range(chance.randint(1, 6))]
        steady = f"document{one} is steady here. " + " ".join(f"steady{step}" for step in range(80))
        return f"r{revision}", "\n\n".join([steady, *parts])
