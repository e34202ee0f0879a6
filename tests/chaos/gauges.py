"""What a worker's metrics say while something is wrong: a file beside its history, written again and again."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, write_to_textfile

EVERY_S: Final = 0.5


def with_gauges() -> None:
    """The engine as it is; its metrics go into `<slot>.prom` of the run's folder."""
    spec = json.loads(sys.argv[1])
    path = Path(spec["folder"]) / f"{spec['slot']}.prom"
    threading.Thread(target=_write, args=(path,), name="gauges", daemon=True).start()


def gauge(folder: Path, name: str) -> float:
    """The largest value of a metric over all workers now; 0 where none has said one."""
    pattern = re.compile(rf"^{name}(?:{{[^}}]*}})? (\S+)$", re.MULTILINE)
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("*.prom"))
    return max((float(found) for text in texts for found in pattern.findall(text)), default=0.0)


def _write(path: Path) -> None:
    while True:
        write_to_textfile(str(path), REGISTRY)
        time.sleep(EVERY_S)
