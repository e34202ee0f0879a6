"""What a step is, and how it says what the engine must do next. This docstring is the source of truth.

A step is a plain function without Kafka, clock, environment or sleep. Its signature is its contract:

    def chunk(document: DocumentRedacted, splitter: Splitter) -> Iterator[ChunkCreated | DocumentChunked]: ...

The first parameter is the event it takes (a union where its topics carry several), or `Sequence[Event]`
for a step that works on batches; the others are ports and settings, given by name when a worker starts.

- A step of single events yields its events. Emitting nothing is fine: the record is then done.
- A step of batches returns one list of events per event it was given, in the same order; an entry may be a
  `Reject` instead, which dead-letters that record alone.
- An asynchronous step (`async def` with `yield`) streams: each event is sent when it is yielded.

The engine fills ids, times, version and trail of what is emitted (`schemas.envelope.Event`), so a step sets the tenant
and its own fields only. It routes an event by its class to the hop's topic that carries it. A step must be repeatable:
after a crash the same record comes again, and the same events must come out.

A step that can't go on raises one of three, named for what happens next:

- `Reject`: this record will never work (undecodable, invalid). It goes to the dead letters at once, reason beside it.
- `Retry`: it may work next time, the reason is unknown. The batch is halved until the guilty record is alone, that one
  is tried again within a budget, then dead-lettered. Any other exception is treated the same. Where the hop declares
  retry topics, it is first tried again after each of their delays; what has its key waits behind it meanwhile.
- `Stop`: a dependency is down or says "slower". Nothing is dead-lettered; the hop pauses and tries the same again.

A step of a batch hop may also die with its process. A record that was alone in hand each time becomes a dead letter
without being handled again (`streams/suspects.py`).
"""

from __future__ import annotations


class Outcome(Exception):
    """Base of what a step raises to direct the engine."""


class Reject(Outcome):
    """Raise it for a record that can never be processed; the reason reaches the operator who reads the dead letters.

    >>> raise Reject("wanted a UTF-8 text, got a PNG image; publish it with its media type")
    Traceback (most recent call last):
    ...
    processors.contract.Reject: wanted a UTF-8 text, got a PNG image; publish it with its media type
    """


class Retry(Outcome):
    """Raise it for a failure that may pass when tried again."""


class Stop(Outcome):
    """Raise it when a dependency is away: the hop pauses for `after_s` seconds, then tries the same records again."""

    def __init__(self, reason: str, after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.after_s = after_s
