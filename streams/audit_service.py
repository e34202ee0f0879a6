"""The auditor as a thread of the worker that holds the indexes: each generation that is open there, one by one."""

from __future__ import annotations

import threading

import structlog

from adapters.errors import AdapterError
from streams.audit import Auditor
from streams.generations import Generations, Held
from streams.parts import Parts
from streams.regeneration import hops_of
from streams.settings import Audit

__all__ = ["Audits", "audit_thread"]

_LOG = structlog.get_logger(__name__)


class Audits:
    """An auditor for each index generation that lives and is open here; what is retired is forgotten."""

    def __init__(self, generations: Generations, settings: Audit) -> None:
        self._generations, self._settings = generations, settings
        self._auditors: dict[str, Auditor] = {}

    def look(self) -> list[str]:
        """One look at each; says at which. A dependency that is away is told and counted by the auditor itself."""
        with self._generations.at_hand() as held:
            self._auditors = {one.generation: self._auditor(one) for one in held}
            for auditor in self._auditors.values():
                auditor.look_safely()
        return list(self._auditors)

    def _auditor(self, held: Held) -> Auditor:
        known = self._auditors.get(held.generation)
        if known is not None:
            return known
        registered = self._generations.living().get(held.generation)
        group = hops_of(held.generation)[0].group if registered and registered.built else ""
        return Auditor(held.ports, self._settings.grace_s, self._settings.repair, group)


def audit_thread(parts: Parts, stop: threading.Event) -> threading.Thread | None:
    """A thread that looks every so often until `stop`; None where the settings want none or no hop here has an index.

    A look that fails is told and counted, and does not end the worker: what it watches goes on.
    """
    settings = parts.settings.audit
    if not settings.every_s or not parts.has("serving"):
        return None
    audits = Audits(parts.port("serving"), settings)

    def run() -> None:
        while not stop.wait(settings.every_s):
            try:
                audits.look()
            except AdapterError as error:
                _LOG.warning("audit.waits", reason=str(error))
            except Exception:
                # A fault of the auditor must not take the work with it that it only looks at.
                _LOG.exception("audit.broken")

    return threading.Thread(target=run, name="audit", daemon=True)
