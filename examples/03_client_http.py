"""The client over HTTP: publish, ask, judge, delete.

    python examples/03_client_http.py GATEWAY_URL

`headwater status` says where the gateway of a local stack is. The client needs nothing of the platform but its address.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from headwater import Client, TenantUnknownError


def main(url: str) -> None:
    with Client(url, tenant="example-http") as client:
        receipt = client.publish("harbour.md", "# Harbour\n\nThe harbour office opens at nine.", title="Harbour")
        print(f"published: {receipt.topic}/{receipt.partition}@{receipt.offset}", file=sys.stderr)
        answer = None
        # Searchable a moment later: until then the tenant is unknown, or its documents don't answer.
        for _ in range(200):
            with suppress(TenantUnknownError):
                answer = client.ask("When does the harbour office open?")
            if answer is not None and answer.answered:
                break
            time.sleep(0.1)
        if answer is None or not answer.answered:
            sys.exit("the document did not become searchable; does a worker run?")
        print(answer.text)
        for citation in answer.citations:
            print(f"  [{citation.number}] {citation.title}: {citation.quote}")
        client.feedback(answer, "up", comment="just what I wanted to know")
        client.delete("harbour.md")


if __name__ == "__main__":
    main(sys.argv[1])
