"""Integrated gradients of a text encoder, over a gate for each token.

A gate of one is the token, a gate of zero the token that hides others. Between them the input embedding lies on the
straight line, which is the path of integrated gradients on the embedding layer (Sundararajan et al. 2017). An n-gram of
a hashed table counts by the product of its tokens' gates. Along the path each of its tokens gets the same share of it.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.encoders.text.ngrams import HashedNgrams
from multiemo.explanation.target import ClipTarget

#: Numbers of points on the path: more are used if the scores do not sum to the difference of its ends.
_STEPS = (24, 96)
_BATCH = 24
#: Largest error of the sum, in log-odds and as a share of the difference.
_TOLERANCE = 0.02


class _Gates:
    """The gates of the current call, shared by the gated modules of one encoder."""

    values: Tensor


class _GatedTable(nn.Module):
    def __init__(self, table: nn.Embedding, hiding: int, gates: _Gates) -> None:
        super().__init__()
        self.table, self.hiding, self.gates = table, hiding, gates

    @property
    def weight(self) -> Tensor:
        return self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        own, base = self.table(tokens), self.table(torch.full_like(tokens, self.hiding))
        mixed: Tensor = base + self.gates.values.to(own.dtype).unsqueeze(-1) * (own - base)
        return mixed


class _GatedNgrams(nn.Module):
    def __init__(self, bag: HashedNgrams, gates: _Gates) -> None:
        super().__init__()
        self.bag, self.gates = bag, gates

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        mixed: Tensor = self.bag(tokens, mask, self.gates.values)
        return mixed


def gradient_scores(target: ClipTarget, x: Tensor, hiding: int, own: Tensor) -> Tensor | None:
    """Scores ``[L]`` of the tokens by integrated gradients.

    ``None`` if the encoder has no gradient, or the scores do not sum to the difference of the path's ends.

    Args:
        target: what is explained.
        x: ``[L]`` token ids.
        hiding: id of the token at the start of the path.
        own: ``[L]`` bool, true for tokens that vary.
    """
    gates = _Gates()
    encoder = _gated(target.model.encoders[target.modality], hiding, gates)
    if encoder is None:
        return None
    x, own = x.to(target.compute.device), own.to(target.compute.device)

    def score(values: Tensor) -> Tensor:
        gates.values = torch.where(own, values, 1.0)
        tokens = x.expand(len(values), -1)
        with target.compute.autocast():
            embeddings = encoder(tokens, torch.ones_like(tokens, dtype=torch.bool))
        return target.of_embeddings(embeddings)

    from captum.attr import IntegratedGradients

    method: Any = IntegratedGradients(score)
    ones = torch.ones(1, len(x), device=x.device)
    try:
        with torch.no_grad():
            start, end = score(torch.cat([ones * 0, ones])).tolist()
        for steps in _STEPS:
            with torch.enable_grad():
                found: Tensor = method.attribute(ones, 0.0, n_steps=steps, internal_batch_size=_BATCH)[0].detach()
            if abs(float(found.sum()) - (end - start)) <= _TOLERANCE * max(1.0, abs(end - start)):
                return found
    except RuntimeError:  # the encoder runs without gradients
        return None
    return None


def _gated(encoder: nn.Module, hiding: int, gates: _Gates) -> nn.Module | None:
    """A copy of an encoder, with the same weights, whose tables of tokens and n-grams are gated."""
    new: dict[int, nn.Module] = {
        id(m): _GatedNgrams(m, gates) for m in encoder.modules() if isinstance(m, HashedNgrams)
    }
    backbone = getattr(encoder, "backbone", None)
    inner = getattr(encoder, "transformer", None)
    table = inner.tokens if inner is not None else None if backbone is None else backbone.get_input_embeddings()
    if isinstance(table, nn.Embedding):
        new[id(table)] = _GatedTable(table, hiding, gates)
    return _copy_with(encoder, new) if new else None


def _copy_with(module: nn.Module, new: dict[int, nn.Module]) -> nn.Module:
    """A copy of a module with some modules inside replaced; everything else is shared."""
    if id(module) in new:
        return new[id(module)]
    children = {n: None if c is None else _copy_with(c, new) for n, c in module._modules.items()}
    if all(child is module._modules[n] for n, child in children.items()):
        return module
    other = copy(module)
    other._modules = children
    return other
