"""Makes a tiny Llama with random weights and a tokenizer of its own: it speaks a server's whole protocol, and nonsense.

Run by the interpreter of the vLLM environment: `tiny_llama.py FOLDER`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Final

# vLLM on a CPU refuses smaller heads.
HEAD_SIZE: Final = 64
HEADS: Final = 2
CONTEXT: Final = 2048
SPECIAL: Final = ("<unk>", "<s>", "</s>")
CHAT_TEMPLATE: Final = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
TEXT: Final = "A small river runs under the old bridge and turns the wheel of the mill. Rain fell on the hills in May. "


def make(folder: Path) -> None:
    """Writes model, tokenizer and chat template. The modules belong to another environment, so they load here."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(folder)
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=512,
        hidden_size=HEADS * HEAD_SIZE,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        bos_token_id=1,
        eos_token_id=2,
    )
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def _write_tokenizer(folder: Path) -> None:
    tokenizers = importlib.import_module("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=SPECIAL[0]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT * 50], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    head = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": SPECIAL[0],
        "bos_token": SPECIAL[1],
        "eos_token": SPECIAL[2],
        "chat_template": CHAT_TEMPLATE,
        "model_max_length": CONTEXT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(head), encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
