"""Masked tokens: a text encoder learns from its input alone (Devlin et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, MaskedTask

#: Share of the tokens that are asked for; of those, how many become the mask token, and how many any other token.
_HIDDEN, _MASKED, _RANDOM = 0.15, 0.8, 0.1


class ReadsTokens(Protocol):
    """What the task needs of a text encoder."""

    def token_states(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, L]`` ids and bool to ``[B, L, H]``."""
        ...

    def token_table(self) -> nn.Embedding:
        """The input embeddings, ``[V, E]``."""
        ...


class MaskedTokens(MaskedTask):
    """Predicts the hidden tokens of an utterance and its context from those around them.

    Of each text ``max(1, round(0.15 n))`` of its n tokens are drawn, as in BERT's published code, so that the shortest
    one teaches something too. Of the drawn ones 80% become the mask token, 10% a random token and 10% stay. The decoder
    is a linear layer, GELU and layer norm, then the product with the encoder's own input embeddings plus a bias.

    Shapes are fixed by the batch alone and only the drawn places are decoded, so that nothing waits for the device.

    Args:
        table: the encoder's input embeddings, ``[V, E]``; they set the scale of the first logits to about one.
        width: H, of the encoder's token states.
        special: ids that are neither hidden nor put in place of others.
        mask_token: the id that hides a token.
    """

    special: Tensor
    ordinary: Tensor
    counts: Tensor

    def __init__(self, table: nn.Embedding, width: int, special: Collection[int], mask_token: int) -> None:
        super().__init__()
        size, inner = table.weight.shape
        self.mask_token = mask_token
        norm = nn.LayerNorm(inner)
        nn.init.constant_(norm.weight, 1 / max(1e-6, float(table.weight.detach().norm(dim=1).mean())))
        self.transform = nn.Sequential(nn.Linear(width, inner), nn.GELU(), norm)
        self.bias = nn.Parameter(torch.zeros(size))
        kept = torch.zeros(size, dtype=torch.bool)
        kept[list(special)] = True
        self.register_buffer("special", kept, persistent=False)
        self.register_buffer("ordinary", (~kept).nonzero().flatten(), persistent=False)
        self.register_buffer("counts", torch.zeros(size, dtype=torch.int64))

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`; the guess is the add-one frequency of a token in the batches before."""
        reader = cast("ReadsTokens", encoder)
        places, drawn = self._draw(x, mask)
        truth = x.gather(1, places)
        states = reader.token_states(self._hide(x, places, drawn), mask)
        at = places.unsqueeze(-1).expand(-1, -1, states.shape[-1])
        logits = F.linear(self.transform(states.gather(1, at)), reader.token_table().weight, self.bias)
        losses = F.cross_entropy(logits.transpose(1, 2).float(), truth, reduction="none")
        guess = self._guess(truth)
        if self.training:
            seen = mask & ~self.special[x]
            self.counts.index_add_(0, x.flatten(), seen.flatten().to(self.counts.dtype))
        count = drawn.sum().clamp_min(1)
        return (losses * drawn).sum() / count, (guess * drawn).sum() / count

    def _draw(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, K]`` places in the texts, and which of them are drawn (a short text has fewer than K)."""
        usable = mask & ~self.special[x]
        wanted = (_HIDDEN * usable.sum(1)).round().clamp_min(1).minimum(usable.sum(1))
        most = max(1, math.ceil(_HIDDEN * x.shape[1]))
        order = torch.rand(x.shape, device=x.device).masked_fill(~usable, -1.0).topk(most, dim=1).indices
        return order, torch.arange(most, device=x.device) < wanted.unsqueeze(1)

    def _hide(self, x: Tensor, places: Tensor, drawn: Tensor) -> Tensor:
        """The batch with the drawn tokens masked, replaced or left."""
        before = x.gather(1, places)
        fate = torch.rand(places.shape, device=x.device)
        other = self.ordinary[torch.randint(len(self.ordinary), places.shape, device=x.device)]
        after = torch.where(fate < _MASKED, self.mask_token, torch.where(fate < _MASKED + _RANDOM, other, before))
        return x.scatter(1, places, torch.where(drawn, after, before))

    def _guess(self, truth: Tensor) -> Tensor:
        """Cross-entropy of the tokens by their frequency so far, nats."""
        total = (self.counts.sum() + len(self.ordinary)).float()
        return total.log() - (self.counts[truth] + 1).float().log()
