"""A consumer one of whose partitions falls silent: it is assigned and never fetched again (librdkafka#5591).

The library is told to pause the partition behind the engine's back, once in the life of a process: to the engine it
looks like the defect. No error comes, polling goes on, the other partitions flow.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import confluent_kafka
from confluent_kafka import TopicPartition

from tests.chaos.recording import RecordedConsumer

SILENT_AFTER: Final = 200
"""Records of the process, so that the partition was in flow before."""


class SilencedConsumer(RecordedConsumer):
    """Silences the partition of a record it has just given out."""

    given: ClassVar[int] = 0
    silenced: ClassVar[bool] = False

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.silent: list[tuple[str, int]] = []

    def poll(self, timeout: float = -1) -> Any:
        message = super().poll(timeout)
        if message is not None and message.error() is None:
            SilencedConsumer.given += 1
            if not SilencedConsumer.silenced and SilencedConsumer.given >= SILENT_AFTER:
                SilencedConsumer.silenced = True
                self.silent = [(message.topic(), message.partition())]
                self.pause([TopicPartition(*place) for place in self.silent])
                self.recorder.note("fault", what="silence", target=f"{message.topic()}/{message.partition()}")
        return message

    def resume(self, partitions: list[TopicPartition]) -> None:
        super().resume([one for one in partitions if (one.topic, one.partition) not in self.silent])


def install_silence() -> None:
    """From here on the first partition of this process to be read so far falls silent."""
    confluent_kafka.Consumer = SilencedConsumer
