"""What a client means when Python says SystemError."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.unmasking import unmasked


def test_when_a_fatal_error_is_masked_by_a_line_of_the_log_then_it_is_what_is_raised() -> None:
    fenced = KafkaException(KafkaError(KafkaError._FENCED, "fenced by a newer instance", fatal=True))
    with pytest.raises(KafkaException) as raised, unmasked():
        raise SystemError("returned a result with an exception set") from fenced
    assert raised.value is fenced


def test_when_a_system_error_is_one_then_it_stays() -> None:
    with pytest.raises(SystemError), unmasked():
        raise SystemError("something else")
