"""What a consumer has fetched already, taken in bounded amounts and sorted into runs of one partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, Message

from schemas.failures import Headers
from streams.records import Partition

__all__ = ["fetched", "headers_of", "runs"]

# Between two slices the bytes are counted, so one more than is wanted is the most that comes too much.
SLICE: Final = 1_000


def fetched(consumer: Any, most: int, most_bytes: int) -> tuple[list[Message], bool]:
    """Messages that are there without waiting, and whether these were all. Use it after a poll.

    >>> fetched(consumer, 2_000, 16_000_000)  # doctest: +SKIP
    ([<cimpl.Message object at ...>, ...], True)

    At most `most`, and about `most_bytes` of values.
    """
    found, size = list[Message](), 0
    while len(found) < most and size < most_bytes:
        wanted = min(SLICE, most - len(found))
        part = consumer.consume(wanted, 0)
        found += part
        size += sum(map(len, part))
        if len(part) < wanted:
            return found, True
    return found, False


def runs(
    messages: Sequence[Message], only_topic: str | None, on_error: Callable[[KafkaError], object]
) -> Iterator[tuple[Partition, list[Message]]]:
    """Neighbours of one partition together, in their order, so that what they share is looked up once for all of them.

    `only_topic` is the one that is read, where it is one: then none is asked for its topic. What is no record but an
    error goes to `on_error`.
    """
    at, run = ("", -1), list[Message]()
    for message in messages:
        if (error := message.error()) is not None:
            on_error(error)
            continue
        place = (only_topic or message.topic() or "", message.partition() or 0)
        if place != at:
            if run:
                yield at, run
            at, run = place, []
        run.append(message)
    if run:
        yield at, run


def headers_of(message: Message) -> Headers:
    """The headers of a message, a missing value as an empty one."""
    found = message.headers()
    return tuple([(name, value or b"") for name, value in found]) if found else ()
