"""Threads that decode a class for the first time at once, in a process of their own: it may end that process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Hundreds of classes whose fields take msgspec a while to learn; the threads meet before each.
PROGRAM = """
import sys, threading, typing
import msgspec
from topics.topic import Topic

def made(number):
    fields = [("a", typing.Optional[int], None), ("b", typing.List[str], ()), ("c", typing.Dict[str, int], None)]
    return msgspec.defstruct(f"Made{number}", fields)

sys.setswitchinterval(1e-6)
events = [made(number) for number in range(400)]
topic = Topic("rag.made.up.v1", tuple(events), key=str)
together = threading.Barrier(4)

def decode():
    for event in topic.events:
        together.wait()
        msgspec.convert({"a": 1, "b": ["x"], "c": {"z": 1}}, event)

threads = [threading.Thread(target=decode) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_when_threads_decode_a_class_for_the_first_time_at_once_then_the_process_lives() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
