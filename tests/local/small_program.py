"""Headwater's command line with everything slow left out, so that a stack can be started without a model.

The commands of the local stack are the real ones. `run`, `gateway` and `topics ensure` keep only what a stack asks of
them: they serve /readyz on the port they are told, and the topic is created on the real broker.
"""

from __future__ import annotations

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import typer

from headwater.cli import doctor, local
from headwater.cli.exits import code_of, say
from streams.probe import probe

app = typer.Typer()
topics = typer.Typer()
app.add_typer(topics, name="topics")
local.register(app)
doctor.register(app)


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def _serve(port: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("serving", flush=True)
    HTTPServer(("127.0.0.1", port), _Ready).serve_forever()


@app.command()
def run(step: str, sources: bool = False) -> None:
    """Stand for the worker; `sources` is said where other systems' topics are to be read."""
    print(f"{step}{' with sources' * sources}", flush=True)
    if os.environ.get("SMALL_PROGRAM_FAILS") == "worker":
        print(f"{step}: the index folder is not writable", flush=True)
        raise typer.Exit(1)
    _serve(int(os.environ["HEADWATER_WORKER__OPS_PORT"]))


@app.command()
def gateway() -> None:
    """Stand for the gateway."""
    _serve(int(os.environ["HEADWATER_GATEWAY__PORT"]))


@topics.command()
def ensure() -> None:
    """Use the broker."""
    probe(os.environ["HEADWATER_KAFKA__BOOTSTRAP"], timeout_s=5.0)


@topics.command()
def ls() -> None:
    """Be a second command, so that `ensure` keeps its name."""


if __name__ == "__main__":
    try:
        app()
    except Exception as error:
        say(f"error: {error}")
        sys.exit(code_of(error) or 1)
