"""The peers, each in an environment of its own below build/: LangChain in its process, Pathway behind its server."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import local
from typing import Any, Final

from bench.engine.environments import PeerMissingError, python_of
from bench.peers.asking import TOP, fresh, measured
from bench.peers.material import EDITED, EDITS, GATE, Material
from headwater.local.ports import HOST, choose_port
from streams.settings import child_environment

__all__ = ["PEERS", "measured_peer"]

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final = Path(__file__).with_name("peers")
# Where the pinned requirements of each stand: Pathway's are those it counts embeddings with.
PINNED: Final = {"langchain": SCRIPTS, "pathway": ROOT / "bench" / "edits" / "peers"}
HOME: Final = ROOT / "build" / "peers"
RUN_S: Final = 300.0
READY_S: Final = 90.0
ANSWER_S: Final = 30.0
STOP_S: Final = 10.0

PEERS: Final = {
    "LangChain, EnsembleRetriever (BM25, FAISS)": ("langchain", "ensemble"),
    "LangChain, the same, BM25 over lower-cased words": ("langchain", "ensemble-words"),
    "LangChain, FAISS alone": ("langchain", "dense"),
    "Pathway, DocumentStoreServer (BM25, KNN)": ("pathway", "hybrid"),
    "Pathway, the same store, a commit every ms": ("pathway", "hybrid-1ms"),
    "Pathway, DocumentStoreServer, KNN alone": ("pathway", "dense"),
}


def measured_peer(name: str, material: Material, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """One way of a peer; the reason where it can't be had or does not run."""
    peer, way = PEERS[name]
    say(name)
    try:
        python = str(python_of(peer, PINNED[peer], HOME))
        return _langchain(python, way, folder) if peer == "langchain" else _pathway(python, way, material, folder)
    except (PeerMissingError, TimeoutError, OSError) as error:
        return {"missing": str(error)}


def _langchain(python: str, way: str, folder: Path) -> dict[str, Any]:
    command = [python, str(SCRIPTS / "by_langchain.py"), way, str(folder), EDITED, GATE]
    done = subprocess.run(
        command,
        env=child_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    if done.returncode != 0:
        raise PeerMissingError(f"langchain failed: {done.stderr[-600:]}")
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def _pathway(python: str, way: str, material: Material, folder: Path) -> dict[str, Any]:
    edits = json.loads((folder / "edits.json").read_text(encoding="utf-8"))
    with _serving(python, way, folder) as (process, server):
        row = measured(server.names, material.pairs(material.judged), material.pairs(material.others), [process.pid])
        row["fresh_ms"] = fresh(
            lambda number: _tell(process, [EDITED, edits[number]]),
            lambda number: any(found["text"] == edits[number] for found in server.ask(GATE)),
            EDITS,
        )
    return row


class Server:
    """Pathway's endpoint for retrieval; each thread keeps a connection open."""

    def __init__(self, port: int) -> None:
        self._port, self._mine = port, local()

    def ask(self, question: str, count: int = TOP) -> list[dict[str, Any]]:
        """What it found. Raises OSError while nobody listens, PeerMissingError where it refuses."""
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = http.client.HTTPConnection(HOST, self._port, timeout=ANSWER_S)
        try:
            # A mark such as a dash alone is an error of its query parser, and any error ends the whole server.
            plain = " ".join(re.findall(r"\w+", question.lower()))
            body = json.dumps({"query": plain, "k": count})
            connection.request("POST", "/v1/retrieve", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            read = answer.read()
        except http.client.HTTPException as error:
            connection.close()
            raise OSError(str(error)) from error
        except OSError:
            connection.close()
            raise
        if answer.status != http.client.OK:
            raise PeerMissingError(f"pathway answered {answer.status}: {read[:300]!r}")
        found: list[dict[str, Any]] = json.loads(read)
        return found

    def names(self, question: str) -> list[str]:
        return [found["metadata"]["path"] for found in self.ask(question)]


@contextmanager
def _serving(python: str, way: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Server]]:
    port = choose_port("pathway")
    command = [python, str(SCRIPTS / "by_pathway.py"), way, str(folder), str(port)]
    with (folder / f"pathway-{way}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
    try:
        server = Server(port)
        _await(process, server, folder / f"pathway-{way}.log")
        yield process, server
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[str], server: Server, log: Path) -> None:
    """Until it has everything: the chunks come in one commit."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if len(server.ask(GATE)) >= TOP:
                return
        except (OSError, PeerMissingError):
            time.sleep(0.2)
    raise PeerMissingError(f"pathway was not ready within {READY_S:g} s: {log.read_text(encoding='utf-8')[-600:]}")


def _tell(process: subprocess.Popen[str], edit: list[str]) -> None:
    if process.stdin is None:
        raise PeerMissingError("pathway can't be told of an edit")
    print(json.dumps(edit), file=process.stdin, flush=True)
