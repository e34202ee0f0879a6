"""A worker's /metrics page, read into the numbers of each hop."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

__all__ = ["HopNumbers", "PageError", "WorkerPage", "fetch_page", "read_page"]

_HOP: Final = "headwater_hop_"
_BEGAN: Final = "process_start_time_seconds"
# A worker with every hop writes 60 kB; a page of many megabytes is no worker's.
_MOST_BYTES: Final = 8 << 20


class PageError(Exception):
    """No page that can be read: the worker is away, or something else answers there."""


@dataclass
class HopNumbers:
    """What one hop has counted: `counts` and `buckets` grow until a restart, `gauges` are as of now.

    Names are without `headwater_hop_` and `_total`; values of the same name and hop are added up over other labels.
    """

    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    buckets: dict[str, dict[float, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    gauges: dict[str, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(frozen=True)
class WorkerPage:
    """One look at one worker: when it was taken, when its process began (0 where it doesn't say), and its hops."""

    at: float
    began: float
    hops: dict[str, HopNumbers]


def fetch_page(url: str, at: float, timeout_s: float) -> WorkerPage:
    """Asks a worker for its page. Raises PageError, with a few words of why."""
    import httpx

    address = url if url.endswith("/metrics") else f"{url.rstrip('/')}/metrics"
    try:
        # Never through a proxy: metrics are served inside, whatever the environment says of proxies.
        answer = httpx.get(address, timeout=timeout_s, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PageError(_short(error)) from error
    if answer.status_code != httpx.codes.OK:
        raise PageError(f"it answers with status {answer.status_code}")
    if len(answer.content) > _MOST_BYTES:
        raise PageError("what answers there is no metrics page")
    return read_page(answer.text, at)


def read_page(text: str, at: float) -> WorkerPage:
    """The hops of a page in Prometheus's text format.

    >>> read_page('headwater_hop_records_total{hop="parse"} 7', at=0.0).hops["parse"].counts["records"]
    7.0

    Raises PageError for other text.
    """
    from prometheus_client.parser import text_string_to_metric_families

    hops: dict[str, HopNumbers] = defaultdict(HopNumbers)
    began = 0.0
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        for sample in samples:
            if sample.name == _BEGAN:
                began = sample.value
            elif sample.name.startswith(_HOP) and "hop" in sample.labels:
                _note(hops[sample.labels["hop"]], sample.name.removeprefix(_HOP), sample.labels, sample.value)
    except (ValueError, KeyError) as error:
        raise PageError(f"what answers there is no metrics page: {error}") from error
    return WorkerPage(at, began, dict(hops))


def _note(numbers: HopNumbers, name: str, labels: dict[str, str], value: float) -> None:
    if math.isnan(value) or name.endswith("_created"):
        return
    if name.endswith("_bucket"):
        numbers.buckets[name.removesuffix("_bucket")][float(labels["le"])] += value
    elif name.endswith(("_total", "_sum", "_count")):
        numbers.counts[name.removesuffix("_total")] += value
    else:
        numbers.gauges[name] += value


def _short(error: Exception) -> str:
    """What a person needs of a failed request: refused, timed out, or the library's own words in one line."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError) and "refused" in str(error).lower():
        return "connection refused"
    return " ".join(str(error).split()) or type(error).__name__
