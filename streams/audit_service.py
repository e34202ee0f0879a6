"""The auditor as a thread of the worker that holds the index."""

from __future__ import annotations

import threading

import structlog

from streams.audit import Auditor
from streams.parts import Parts

__all__ = ["audit_thread"]

_LOG = structlog.get_logger(__name__)


def audit_thread(parts: Parts, stop: threading.Event) -> threading.Thread | None:
    """A thread that looks every so often until `stop`; None where the settings want none or no hop here has an index.

    A look that fails is told and counted, and does not end the worker: what it watches goes on.
    """
    settings = parts.settings.audit
    if not settings.every_s or not parts.has("store") or not parts.has("heads"):
        return None
    auditor = Auditor(parts, settings.grace_s, settings.repair)

    def run() -> None:
        while not stop.wait(settings.every_s):
            try:
                auditor.look_safely()
            except Exception:
                # A fault of the auditor must not take the work with it that it only looks at.
                _LOG.exception("audit.broken")

    return threading.Thread(target=run, name="audit", daemon=True)
