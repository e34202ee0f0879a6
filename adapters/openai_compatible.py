"""Any server that speaks OpenAI's chat completions, streamed: vLLM first, hosted services as well."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import httpx

from adapters.errors import GeneratorUnavailableError
from processors.contract import Reject
from processors.ports import ANY_OCCASION, Occasion, Piece

# What makes a request wrong for good; every other refusal (key, model name, load) can be mended without the question.
_WRONG_FOREVER: Final = frozenset({400, 413, 422})
_SHOWN_CHARS: Final = 300
# vLLM serves lower ones first.
_BULK_PRIORITY: Final = 100
# A line of the stream holds one small delta; a server that sends more than this without a line end is not speaking SSE.
_MAX_LINE_BYTES: Final = 1_000_000
_KEPT_CONNECTIONS: Final = 32
MAX_CHARS_PER_TOKEN: Final = 32
"""No tokenizer makes more of a token on average: a server that sends more ignores how many were asked for."""


Shapes = Literal["response_format", "structured_outputs", "none"]


@dataclass(frozen=True)
class ServerOptions:
    """How to talk to a server. `timeout_s` bounds a whole generation, `connect_s` the way to the server.

    `salt_secret` keeps tenants apart in vLLM's prefix cache: each gets the HMAC of its name as `cache_salt`.
    `priorities` lets people go before bulk (vLLM with `--scheduling-policy priority`), `counts_always` has tokens
    counted with every piece, so that what a broken answer cost is known (vLLM). Leave all three out for servers that
    refuse unknown fields. `shapes` is the field by which a reply is held to a JSON schema: OpenAI's, or vLLM's own.
    """

    api_key: str = ""
    timeout_s: float = 60.0
    connect_s: float = 5.0
    temperature: float = 0.0
    salt_secret: str = ""
    priorities: bool = False
    counts_always: bool = False
    shapes: Shapes = "response_format"


class _BrokenStreamError(Exception):
    """The stream ended or turned to nonsense before the server said that it was done."""


class OpenAICompatible:
    """A Generator over HTTP. `url` is the base address with or without `/v1`.

    Before the first piece every failure that may pass is a GeneratorUnavailableError, and a request that the server
    calls wrong is a Reject. After the first piece a failure ends the stream without a finished piece.
    """

    def __init__(self, url: str, model: str, options: ServerOptions = ServerOptions()) -> None:
        self.model = model
        self._url = f"{url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"
        self._options = options
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def generate(
        self, system: str, prompt: str, *, tenant: str, max_tokens: int, occasion: Occasion = ANY_OCCASION
    ) -> AsyncGenerator[Piece, None]:
        """Streams the completion piece by piece; the last has no text and carries the server's count of tokens."""
        until = asyncio.get_running_loop().time() + self._options.timeout_s
        reply = _Reply(max_tokens * MAX_CHARS_PER_TOKEN)
        body = self._body(system, prompt, max_tokens) | self._extensions(tenant, occasion)
        async with aclosing(self._stream(body, reply)) as pieces:
            while piece := await self._next(pieces, until, reply):
                yield piece

    async def _next(self, pieces: AsyncGenerator[Piece, None], until: float, reply: _Reply) -> Piece | None:
        """The next piece; None at the end. Where the stream broke after its first piece, the last says what was
        spent."""
        try:
            async with asyncio.timeout_at(until):
                return await anext(pieces, None)
        except (TimeoutError, httpx.HTTPError, _BrokenStreamError) as error:
            if reply.begun:
                return reply.broken()
            raise GeneratorUnavailableError(self._reason(error)) from error

    async def aclose(self) -> None:
        """Closes the connections. Use it when the worker drains."""
        client, self._client = self._client, None
        if client:
            await client.aclose()

    def _body(self, system: str, prompt: str, max_tokens: int) -> dict[str, Any]:
        counting = {"continuous_usage_stats": True} if self._options.counts_always else {}
        return {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": self._options.temperature,
            "stream": True,
            "stream_options": {"include_usage": True, **counting},
        }

    def _extensions(self, tenant: str, occasion: Occasion) -> dict[str, Any]:
        """Fields that are not OpenAI's, as far as the server takes them."""
        fields: dict[str, Any] = {}
        if self._options.salt_secret:
            key = self._options.salt_secret.encode()
            fields["cache_salt"] = hmac.new(key, tenant.encode(), hashlib.sha256).hexdigest()
        if self._options.priorities:
            fields["priority"] = _BULK_PRIORITY if occasion.lane == "bulk" else 0
        if occasion.shape is not None and self._options.shapes != "none":
            fields[self._options.shapes] = self._shape(occasion.shape)
        return fields

    def _shape(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        if self._options.shapes == "structured_outputs":
            return {"json": schema}
        return {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}

    async def _stream(self, body: dict[str, Any], reply: _Reply) -> AsyncGenerator[Piece, None]:
        headers = {"Authorization": f"Bearer {self._options.api_key}"} if self._options.api_key else {}
        async with self._connected().stream("POST", self._url, json=body, headers=headers) as response:
            await self._refuse(response)
            async for line in _lines(response):
                piece = reply.read(line)
                if piece.text:
                    yield piece
                if reply.done:
                    break
            yield reply.ending()

    async def _refuse(self, response: httpx.Response) -> None:
        """Raises for an answer that is no stream."""
        if response.status_code == httpx.codes.OK:
            return
        said = await _beginning(response)
        if response.status_code in _WRONG_FOREVER:
            raise Reject(
                f"wanted a completion from model {self.model!r}, got HTTP {response.status_code}: {said}; "
                "check the prompt's length against the server's limit"
            )
        raise _BrokenStreamError(f"HTTP {response.status_code}: {said}")

    def _connected(self) -> httpx.AsyncClient:
        """One client per event loop: its connections belong to the loop that opened them."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            timeout = httpx.Timeout(self._options.timeout_s, connect=self._options.connect_s)
            # Proxies and certificates from the environment would be settings that our settings do not show.
            # The hop bounds them by what it has in hand; waiting for one here would look like a slow server.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_CONNECTIONS)
            self._client = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)
            self._loop = loop
        return self._client

    def _reason(self, error: Exception) -> str:
        said = str(error) or type(error).__name__
        return f"wanted a first word of model {self.model!r} from {self._url}, got {said}; the question waits"


class _Reply:
    """What a server has said so far, read line by line (WHATWG server-sent events, the `data` field only).

    `begun` says that text has been passed on. More than `most_chars` of it is no answer to what was asked.
    """

    def __init__(self, most_chars: int) -> None:
        self.done = False
        self.begun = False
        self._closed = False
        self._left = most_chars
        self._finish = ""
        self._usage: dict[str, Any] = {}

    def read(self, line: str) -> Piece:
        """The piece a line brings; one without text for everything else. Raises where it is not the protocol."""
        if not line.startswith("data:"):
            if line and not line.startswith((":", "event:", "id:", "retry:")):
                raise _BrokenStreamError(f"a line that is no server-sent event: {line[:_SHOWN_CHARS]!r}")
            return Piece()
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self.done = True
            return Piece()
        text = self._delta(data)
        self._left -= len(text)
        if self._left < 0:
            raise _BrokenStreamError("far more text than the tokens that were asked for can hold")
        self.begun = self.begun or bool(text)
        return replace(self._counted(), text=text)

    def _delta(self, data: str) -> str:
        try:
            event = json.loads(data)
            if event.get("error"):
                raise _BrokenStreamError(f"an error in the stream: {str(event['error'])[:_SHOWN_CHARS]}")
            self._usage = event.get("usage") or self._usage
            text = ""
            for choice in event.get("choices") or ():
                self._finish = choice.get("finish_reason") or self._finish
                text += (choice.get("delta") or {}).get("content") or ""
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise _BrokenStreamError(f"a chunk that is no completion: {data[:_SHOWN_CHARS]!r}") from error
        # Half of a surrogate pair is valid JSON, and can't be encoded by anybody further on.
        return text.encode("utf-8", "replace").decode()

    def ending(self) -> Piece:
        """The last piece. Finished only where the model itself stopped, not where a length cut it off."""
        if not self._finish and not (self.done and self.begun):
            raise _BrokenStreamError(f"the end of the stream before {'the end' if self.begun else 'anything'} was said")
        # What stands at the end was said, whatever becomes of the line.
        self.begun = self._closed = True
        return replace(self._counted(), finished=self._finish == "stop")

    def broken(self) -> Piece | None:
        """The last piece of a stream that broke off, with what was counted until then; None where it was said."""
        if self._closed:
            return None
        self._closed = True
        return replace(self._counted(), broken=True)

    def _counted(self) -> Piece:
        return Piece(tokens_in=self._count("prompt_tokens"), tokens_out=self._count("completion_tokens"))

    def _count(self, key: str) -> int:
        """A count of the server; 0 for anything that is none."""
        count = self._usage.get(key) if isinstance(self._usage, dict) else None
        return count if isinstance(count, int) and count > 0 else 0


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """The lines of a stream as they arrive, decoded whole, so that a character cut by a packet survives."""
    held = b""
    async for block in response.aiter_bytes():
        held += block
        *lines, held = held.split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r").decode("utf-8", "replace")
        if len(held) > _MAX_LINE_BYTES:
            raise _BrokenStreamError(f"more than {_MAX_LINE_BYTES} bytes without a line end")
    if held:
        yield held.decode("utf-8", "replace")


async def _beginning(response: httpx.Response) -> str:
    """What a server says in place of a stream, as far as it is shown; the rest of it is not read."""
    held = b""
    async for block in response.aiter_bytes():
        held += block
        if len(held) >= _SHOWN_CHARS:
            break
    return held.decode("utf-8", "replace")[:_SHOWN_CHARS]
