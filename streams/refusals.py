"""What brokers and handshakes say of our certificates, passwords and rights, in words that say what to do.

librdkafka tries again for ever, whatever the reason: a broker that restarts and a password that is wrong look the same
from outside. The reason stands only in the errors that it hands to a callback.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import structlog
from confluent_kafka import KafkaError

__all__ = ["Refusals", "advice", "log_refusal"]

_LOG = structlog.get_logger(__name__)

_PAGE: Final = "; docs/security.md"
# What an error's text contains, and what to do about it; the first that fits counts.
_BY_TEXT: Final = (
    (
        ("certificate verify failed", "could not be verified"),
        "the broker's certificate is not vouched for by an authority that we trust, or names another host: give that"
        " authority's file as ssl.ca.location, and reach the broker by a name in its certificate",
    ),
    (
        ("alert bad certificate", "alert certificate", "alert unknown ca", "alert handshake failure"),
        "the broker wants a certificate of ours (mTLS), or does not trust the one it got: give ssl.certificate.location"
        " and ssl.key.location, signed by an authority that the broker trusts",
    ),
    (
        ("mechanism handshake failed",),
        "the broker does not offer this sasl.mechanism: choose one of those that it names",
    ),
)
_BY_CODE: Final = {
    KafkaError._AUTHENTICATION: "the broker knows no such user or password: check sasl.username and sasl.password",
    KafkaError.SASL_AUTHENTICATION_FAILED: (
        "the broker knows no such user or password: check sasl.username and sasl.password"
    ),
    KafkaError._SSL: "the TLS handshake failed: check security.protocol and the files that kafka.extra names",
    **dict.fromkeys(
        (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
        "this user lacks a right: add the ACL",
    ),
}
_PLAIN: Final = "connecting to a PLAINTEXT broker listener"
_PLAIN_ADVICE: Final = "this port speaks without TLS: take the port of the TLS listener, or another security.protocol"
# A broker that is starting or stopping closes connections too.
_SURELY_PLAIN: Final = 3
# Reasons come once a second and more for every broker: the first is told, then one in so many.
_TELL_EVERY: Final = 500
_MOST_REASONS: Final = 100
_told: Counter[str] = Counter()


def advice(code: int, text: str) -> str | None:
    """What to do about an error; None where it is none of access, and waiting may heal it.

    >>> advice(KafkaError._AUTHENTICATION, "SASL authentication error: Authentication failed")
    'the broker knows no such user or password: check sasl.username and sasl.password; docs/security.md'
    >>> advice(KafkaError._TRANSPORT, "Connection refused") is None
    True
    """
    found = next((said for marks, said in _BY_TEXT if any(mark in text for mark in marks)), None) or _BY_CODE.get(code)
    return found + _PAGE if found else None


class Refusals:
    """An error callback that remembers why the cluster refuses us. Use one per client that is asked about it.

    >>> refusals = Refusals()
    >>> refusals.reason
    ''
    """

    def __init__(self) -> None:
        self.reason = ""
        self._closed = 0

    def __call__(self, error: KafkaError) -> None:
        text = error.str()
        self._closed += _PLAIN in text
        said = advice(error.code(), text) or (_PLAIN_ADVICE + _PAGE if self._closed >= _SURELY_PLAIN else None)
        if said and not self.reason:
            self.reason = f"{said} (it said: {_shortened(text)})"


def log_refusal(error: KafkaError) -> None:
    """An error callback that tells refusals in the log: the first of a kind, then one in some hundreds.

    Use it in clients that go on for long, where a password may expire or a right be taken away.
    """
    said = advice(error.code(), error.str())
    if said is None:
        return
    if len(_told) > _MOST_REASONS:
        _told.clear()
    _told[said] += 1
    if _told[said] % _TELL_EVERY == 1:
        _LOG.error("access.refused", reason=_shortened(error.str()), remedy=said)


def _shortened(text: str) -> str:
    """Without what differs from one try to the next."""
    return re.sub(r" ?\((?:after \d+ms )?in state \w+\)", "", text).strip()
