"""What a client can meet, in words for the application that uses it.

ClientError                     base: catch this one to catch all
├── GatewayUnavailableError     the gateway or the brokers can't be reached; `retry_after_s` says when to try again
├── AnswerExpiredError          no answer before the deadline
├── QuestionCancelledError      somebody cancelled the question before it was answered
├── QuestionRefusedError        the question was not let in: empty, too long, or against a policy
├── TenantUnknownError          nobody has published anything for this tenant
├── DocumentRefusedError        the document was not taken: too large, or not well formed
├── MemoryRefusedError          the note was not kept: too long, one too many, or its name was given up
├── MemoryUnknownError          the user has no such note
├── ProtocolError               something else came than a gateway or a topic would send
└── MissingPackageError         a package for this way of asking is not installed
"""

from __future__ import annotations

__all__ = [
    "AnswerExpiredError",
    "ClientError",
    "DocumentRefusedError",
    "GatewayUnavailableError",
    "MemoryRefusedError",
    "MemoryUnknownError",
    "MissingPackageError",
    "ProtocolError",
    "QuestionCancelledError",
    "QuestionRefusedError",
    "TenantUnknownError",
]


class ClientError(Exception):
    """Base of what the client raises; `request_id` finds the request in the gateway's logs."""

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class GatewayUnavailableError(ClientError):
    """Nobody answers, or the platform says that it can't now."""

    def __init__(self, message: str, request_id: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, request_id)
        self.retry_after_s = retry_after_s


class AnswerExpiredError(ClientError):
    """The deadline passed before an answer came."""


class QuestionCancelledError(ClientError):
    """The question was cancelled before it was answered."""


class QuestionRefusedError(ClientError):
    """The question was not let in; the message says why."""


class TenantUnknownError(ClientError):
    """The tenant has no documents and is not declared."""


class DocumentRefusedError(ClientError):
    """The document was not taken over; the message says why."""


class MemoryRefusedError(ClientError):
    """The note was not kept; the message says why."""


class MemoryUnknownError(ClientError):
    """The user has no note of this name; one of somebody else is told as one that never was."""


class ProtocolError(ClientError):
    """What came can't be understood: another server, or another version."""


class MissingPackageError(ClientError):
    """A package is missing; the message holds the install line."""
