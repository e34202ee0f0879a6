"""Headwater for applications: ask, publish, delete, give feedback. Imports none of the platform's rooms.

>>> from headwater import Client
>>> client = Client("http://127.0.0.1:18080", tenant="acme")  # doctest: +SKIP
>>> client.ask("How long is a lease?").text  # doctest: +SKIP
'A lease runs for twelve months [1].'
"""

from __future__ import annotations

from headwater.client import (
    Answer,
    AsyncClient,
    Change,
    Citation,
    Client,
    Delta,
    Forgotten,
    Memory,
    Receipt,
    Subscription,
)
from headwater.errors import (
    AnswerExpiredError,
    ClientError,
    DocumentRefusedError,
    GatewayUnavailableError,
    MemoryRefusedError,
    MemoryUnknownError,
    MissingPackageError,
    ProtocolError,
    QuestionCancelledError,
    QuestionRefusedError,
    TenantUnknownError,
)

__all__ = [
    "Answer",
    "AnswerExpiredError",
    "AsyncClient",
    "Change",
    "Citation",
    "Client",
    "ClientError",
    "Delta",
    "DocumentRefusedError",
    "Forgotten",
    "GatewayUnavailableError",
    "Memory",
    "MemoryRefusedError",
    "MemoryUnknownError",
    "MissingPackageError",
    "ProtocolError",
    "QuestionCancelledError",
    "QuestionRefusedError",
    "Receipt",
    "Subscription",
    "TenantUnknownError",
]
