"""What can go wrong between the steps.

StreamsError                  base of what this room raises
├── ClusterUnavailableError   the brokers can't be reached, or did not answer in time
│   └── AccessRefusedError    they are there and do not let us in                         (access.py)
├── TopicMissingError         a topic that should be there is not; `headwater topics ensure` creates it
├── DeliveryError             the cluster refused a record, or did not confirm it in time
├── TooManyQuestionsError     as many questions wait as this door lets in; try again later
├── UnknownTraceError         no event of that id was found where traces are looked for
├── SettingsError             a setting is unknown or can't be used                       (settings.py)
├── JourneyError              hops that do not fit together, a step that is not there     (hop.py)
├── EvaluationError           labelled data that can't be used                            (evaluation.py)
├── GenerationError           an index generation that is not there, or must not be used so (generations.py)
│   └── GateError             a generation that must not be promoted, or retired, as things are (promotion.py)
├── LetterMissingError        no dead letter lies where one was looked for                (letters.py)
├── ReplayError               dead letters not confirmed as put back; run it again        (replaying.py)
├── AbortedError              a transaction did not happen; the batch is done again       (transactions.py)
├── StalledError              a partition stands still for good; its consumer is replaced  (watchdog.py)
└── what ends a worker, to be started again: ProducerLostError (transactions.py), IntakeError (intake.py),
    FollowError (follow.py)
"""

from __future__ import annotations


class StreamsError(Exception):
    """Base of what this room raises."""


class ClusterUnavailableError(StreamsError):
    """The brokers can't be reached, or did not answer within the deadline."""


class TopicMissingError(StreamsError):
    """A declared topic is not on the cluster."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"wanted topic {topic!r}, the cluster has none of that name; run: headwater topics ensure")
        self.topic = topic


class DeliveryError(StreamsError):
    """A record was not taken over by the cluster; it may be sent again."""


class TooManyQuestionsError(StreamsError):
    """The bound of waiting questions is reached; `retry_after_s` says when it is worth trying again."""

    def __init__(self, waiting: int, retry_after_s: float = 1.0) -> None:
        super().__init__(f"{waiting} questions wait for their answers already; try again in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class UnknownTraceError(StreamsError):
    """Nothing of this id was found."""
