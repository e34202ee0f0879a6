"""The reader's network as it learns: MiniLM stays as it is, and each of its matrices has a correction of low rank.

Written out rather than taken from the model's own classes: a correction is added to its matrix before the product, and
its gradient needs no gradient of the whole matrix. On a processor that learns nearly four times as fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch.nn import functional

from adapters.minilm_reader import CUES, NOWHERE, SCALE, TOLD_AGAIN

__all__ = ["Network"]

RANK: Final = 16
DROPPED: Final = 0.1
STATE: Final = 384
HEADS: Final = 12
LAYERS: Final = 6
# The matrices of a layer; those that read the same state are one.
MATRICES: Final = {
    "asked": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "met": ("attention.output.dense",),
    "wide": ("intermediate.dense",),
    "narrow": ("output.dense",),
}


class Network(torch.nn.Module):  # type: ignore[misc]
    """MiniLM with its corrections. `begun` are weights to go on from; what they lack begins at nothing."""

    def __init__(self, bert: Any, begun: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._embeddings = bert.embeddings.requires_grad_(False)
        self._kept = [_kept(layer) for layer in bert.encoder.layer]
        self._norms = [_norms(layer) for layer in bert.encoder.layer]
        self.corrections = torch.nn.ModuleList([_corrections(number, begun) for number in range(LAYERS)])
        # Weights of a time when cues were told only in the middle name those so.
        again = "again" if "again.weight" in begun else "own"
        self.own = _linear(CUES, STATE, begun, "own" if again == "again" else "")
        self.again = _linear(CUES, STATE, begun, again)
        self.head = _linear(STATE + CUES, 3, begun, "head")
        self.drop = torch.nn.Dropout(DROPPED)

    def forward(self, ids: torch.Tensor, parts: torch.Tensor, told: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """How likely the answer begins and ends at each token; the first's third number says whether there is one."""
        state = self._embeddings(input_ids=ids, token_type_ids=parts).bfloat16() + self.own(told).bfloat16()
        hidden = ((1.0 - mask.float()) * NOWHERE).bfloat16()[:, None, None, :]
        for number in range(LAYERS):
            if number == TOLD_AGAIN:
                state = state + self.again(told).bfloat16()
            state = self._layer(number, state, hidden)
        scores: torch.Tensor = self.head(torch.cat([self.drop(state.float()), told], -1))
        return scores

    def learned(self) -> dict[str, np.ndarray]:
        """What was learned, under the names that the adapter reads."""
        found = {f"{name}.{kind}": value for name in ("own", "again", "head") for kind, value in self._pair(name)}
        for number, layer in enumerate(self.corrections):
            for name, correction in layer.items():
                rows = correction.b.split(len(correction.b) // len(MATRICES[name]))
                for matrix, b in zip(MATRICES[name], rows, strict=True):
                    found |= {f"{number}.{matrix}.a": correction.a, f"{number}.{matrix}.b": b}
        return {name: value.detach().numpy().astype(np.float16) for name, value in found.items()}

    def _pair(self, name: str) -> list[tuple[str, torch.Tensor]]:
        return list(getattr(self, name).named_parameters())

    def _layer(self, number: int, state: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        rows, width, _ = state.shape
        first, second = self._norms[number]
        asked = self._product(number, "asked", state).view(rows, width, 3, HEADS, STATE // HEADS)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        looked = torch.softmax(query * (STATE // HEADS) ** -0.5 @ key.transpose(-1, -2) + hidden, -1) @ value
        met = self._product(number, "met", looked.transpose(1, 2).reshape(rows, width, STATE))
        state = functional.layer_norm(met + state, (STATE,), *first)
        wide = functional.gelu(self._product(number, "wide", state))
        return functional.layer_norm(self._product(number, "narrow", wide) + state, (STATE,), *second)

    def _product(self, number: int, name: str, state: torch.Tensor) -> torch.Tensor:
        matrix, bias = self._kept[number][name]
        a, b = self.corrections[number][name].both(self.training)
        corrected = (matrix + SCALE * b.detach() @ a.detach()).bfloat16()
        found: torch.Tensor = _Product.apply(state, corrected, bias, a.bfloat16(), b.bfloat16())
        return found


class _Correction(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, a: torch.Tensor, b: torch.Tensor) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Parameter(a), torch.nn.Parameter(b)

    def both(self, learning: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Its two sides; while it learns, some of its ranks are left out, which costs nothing."""
        if not learning:
            return self.a, self.b
        return self.a, self.b * ((torch.rand(self.b.shape[1]) > DROPPED) / (1 - DROPPED))


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """A state times a corrected matrix. The gradient goes to the two sides of the correction only."""

    @staticmethod
    def forward(context: Any, state: Any, corrected: Any, bias: Any, *sides: Any) -> Any:
        context.save_for_backward(state, corrected, *sides)
        return functional.linear(state, corrected, bias)

    @staticmethod
    def backward(context: Any, slope: Any) -> Any:
        state, corrected, a, b = context.saved_tensors
        flat, seen = slope.reshape(-1, slope.shape[-1]), state.reshape(-1, state.shape[-1])
        return slope @ corrected, None, None, SCALE * (flat @ b).T @ seen, SCALE * flat.T @ (seen @ a.T)


def _kept(layer: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    found = {name: [layer.get_submodule(one) for one in matrices] for name, matrices in MATRICES.items()}
    return {
        name: (
            torch.cat([one.weight.detach() for one in some]),
            torch.cat([one.bias.detach() for one in some]).bfloat16(),
        )
        for name, some in found.items()
    }


def _norms(layer: Any) -> tuple[tuple[torch.Tensor, torch.Tensor, float], ...]:
    norms = (layer.attention.output.LayerNorm, layer.output.LayerNorm)
    return tuple((norm.weight.detach().bfloat16(), norm.bias.detach().bfloat16(), norm.eps) for norm in norms)


def _corrections(number: int, begun: Mapping[str, torch.Tensor]) -> torch.nn.ModuleDict:
    return torch.nn.ModuleDict({name: _correction(number, matrices, begun) for name, matrices in MATRICES.items()})


def _correction(number: int, matrices: tuple[str, ...], begun: Mapping[str, torch.Tensor]) -> _Correction:
    names = [f"{number}.{matrix}" for matrix in matrices]
    if f"{names[0]}.a" not in begun:
        taken = 4 * STATE if matrices == MATRICES["narrow"] else STATE
        given = 4 * STATE if matrices == MATRICES["wide"] else STATE * len(matrices)
        return _Correction(torch.randn(RANK, taken) / math.sqrt(taken), torch.zeros(given, RANK))
    sides = [(begun[f"{name}.a"], begun[f"{name}.b"]) for name in names]
    if all(torch.equal(a, sides[0][0]) for a, _ in sides):
        return _Correction(sides[0][0], torch.cat([b for _, b in sides]))
    return _Correction(torch.cat([a for a, _ in sides]), torch.block_diag(*(b for _, b in sides)))


def _linear(taken: int, given: int, begun: Mapping[str, torch.Tensor], name: str) -> torch.nn.Linear:
    """As begun, wider where that knew fewer cues; all 0 where nothing was begun, except the head."""
    found = torch.nn.Linear(taken, given)
    with torch.no_grad():
        if name != "head" or f"{name}.weight" in begun:
            found.weight.zero_()
            found.bias.zero_()
        if f"{name}.weight" in begun:
            weight, bias = begun[f"{name}.weight"], begun[f"{name}.bias"]
            found.weight[: len(weight), : weight.shape[1]] = weight
            found.bias[: len(bias)] = bias
    return found
