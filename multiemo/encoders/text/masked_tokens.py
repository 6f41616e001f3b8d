"""Masked tokens: a text encoder learns from text without labels (Devlin et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, MaskedTask

#: Share of the tokens that are drawn for prediction.
_DRAWN_SHARE = 0.15
#: Shares of the drawn tokens that become the mask token, or a random token. The rest stays unchanged.
_MASKED_SHARE, _RANDOM_SHARE = 0.8, 0.1


class ReadsTokens(Protocol):
    """The methods of a text encoder that the task uses."""

    def token_states(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode token ids ``[B, L]`` with the mask ``[B, L]`` to ``[B, L, H]``."""
        ...

    def token_table(self) -> nn.Embedding:
        """The input embeddings, ``[V, E]``."""
        ...


class MaskedTokens(MaskedTask):
    """Predicts hidden tokens of an utterance and its context from the tokens around them.

    In each text ``max(1, round(0.15 n))`` of its n tokens are drawn, as in BERT's published code, so even the shortest
    text contributes. Of the drawn tokens 80% become the mask token, 10% a random token and 10% stay unchanged. The
    decoder is a linear layer, GELU and layer norm, then the product with the encoder's input embeddings plus a bias.

    Shapes depend only on the shape of the batch, and only the drawn positions are decoded, so the host never waits for
    the device.

    Args:
        table: the encoder's input embeddings, ``[V, E]``; they set the scale of the first logits to about one.
        width: H, the width of the encoder's token states.
        special: ids that are never hidden and never used as a random token.
        mask_token: id of the token that hides others.
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
        """As :meth:`MaskedTask.forward`. The guess is the add-one frequency of each token in the batches so far.

        Args:
            encoder: the text encoder that created this task.
            x: ``[B, L]`` token ids.
            mask: ``[B, L]`` bool, true for real tokens.
        """
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
        """Positions ``[B, K]`` in the texts, and which of them are drawn; a short text has fewer than K."""
        usable = mask & ~self.special[x]
        wanted = (_DRAWN_SHARE * usable.sum(1)).round().clamp_min(1).minimum(usable.sum(1))
        most = max(1, math.ceil(_DRAWN_SHARE * x.shape[1]))
        order = torch.rand(x.shape, device=x.device).masked_fill(~usable, -1.0).topk(most, dim=1).indices
        return order, torch.arange(most, device=x.device) < wanted.unsqueeze(1)

    def _hide(self, x: Tensor, places: Tensor, drawn: Tensor) -> Tensor:
        """Mask, replace or keep the drawn tokens of the batch."""
        before = x.gather(1, places)
        draw = torch.rand(places.shape, device=x.device)
        other = self.ordinary[torch.randint(len(self.ordinary), places.shape, device=x.device)]
        replaced = torch.where(draw < _MASKED_SHARE + _RANDOM_SHARE, other, before)
        after = torch.where(draw < _MASKED_SHARE, self.mask_token, replaced)
        return x.scatter(1, places, torch.where(drawn, after, before))

    def _guess(self, truth: Tensor) -> Tensor:
        """Cross-entropy of the tokens under their frequencies so far, nats."""
        total = (self.counts.sum() + len(self.ordinary)).float()
        return total.log() - (self.counts[truth] + 1).float().log()
