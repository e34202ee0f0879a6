"""The client in an event loop, straight over Kafka: several answers at once, each shown while it is written.

    python examples/04_client_async_stream.py BROKERS REGISTRY_URL TENANT "QUESTION" "ANOTHER"

`AsyncClient("http://…")` does the same over HTTP.
"""

from __future__ import annotations

import asyncio
import sys

from headwater import AsyncClient, ClientError, Delta


async def show(client: AsyncClient, question: str) -> None:
    shown = []
    try:
        async for piece in client.ask_stream(question):
            if isinstance(piece, Delta):
                shown.append(piece.text)
                print(f"{question} … {len(''.join(shown))} characters", file=sys.stderr)
            else:
                cited = ", ".join(f"[{citation.number}] {citation.document}" for citation in piece.citations)
                print(f"{question}\n  {piece.text}\n  {cited}")
    except ClientError as error:
        print(f"{question}\n  {type(error).__name__}: {error}")


async def main(brokers: str, registry_url: str, tenant: str, *questions: str) -> None:
    async with AsyncClient(kafka=brokers, registry=registry_url, tenant=tenant) as client:
        await asyncio.gather(*(show(client, question) for question in questions))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
