"""What the gateway counts and times. Questions and tenants never become labels."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)

REQUESTS: Final = Counter("headwater_gateway_requests_total", "Requests answered.", ["route", "method", "status"])
SECONDS: Final = Histogram(
    "headwater_gateway_request_seconds", "From a request to the end of its response.", ["route"], buckets=_SECONDS
)
WAITING: Final = Gauge("headwater_gateway_questions_waiting", "Questions that wait for their answers.")
FIRST_TOKEN: Final = Histogram("headwater_answer_ttft_seconds", "From a question to its first text.", buckets=_SECONDS)
ANSWER: Final = Histogram("headwater_answer_seconds", "From a question to its final answer.", buckets=_SECONDS)
OUTCOMES: Final = Counter(
    "headwater_answer_outcome_total", "Answers by outcome: answered, abstained, blocked, cancelled, error.", ["outcome"]
)
