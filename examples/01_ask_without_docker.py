"""A real Kafka, three documents, a cited answer: everything starts and ends with this script.

    python examples/01_ask_without_docker.py

Needs the `local` extra (Kafka from pinned jars) and, for good answers, the `embed` extra.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from headwater import Answer, Client, ClientError
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack

DOCUMENTS = {
    "lease.md": "# Lease\n\nA mooring lease runs for twelve months. It ends with three months' notice.",
    "fees.md": "# Fees\n\nA mooring costs 40 euros a metre and year. Electricity is billed by the kilowatt hour.",
    "quiet.md": "# Quiet hours\n\nQuiet hours are from 22:00 to 6:00. Generators stay off during quiet hours.",
}
QUESTION = "How long does a mooring lease run?"


def first_answer(client: Client, question: str, within_s: float = 60.0) -> Answer:
    """Documents are searchable a moment after they are published: ask until they are."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            answer = client.ask(question)
            if answer.answered or time.monotonic() > deadline:
                return answer
        except ClientError:
            # Until its first document is in, a tenant is unknown.
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spec = StackSpec(Path(folder) / "stack", Path.home() / ".cache" / "headwater", detached=False)
        say = lambda line: print(line, file=sys.stderr)  # noqa: E731
        with Stack(spec, say) as stack, Client(stack.addresses.gateway_url, tenant="marina") as client:
            for name, text in DOCUMENTS.items():
                client.publish(name, text)
            answer = first_answer(client, QUESTION)
    print(answer.text)
    for citation in answer.citations:
        print(f"  [{citation.number}] {citation.document}: {citation.quote}")


if __name__ == "__main__":
    main()
