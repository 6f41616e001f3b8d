"""Gradient modulation: a modality that learns faster than the others is slowed down.

On-the-fly gradient modulation with generalisation enhancement (OGM-GE; Peng et al., CVPR 2022), for any number of
modalities. There, as here, the score of a modality is the probability that its own head gives to the true label, summed
over the batch; a modality whose score is above the others' by the ratio r gets its gradient times
``1 - tanh(alpha * (r - 1))``, and Gaussian noise as large as what the gradient itself varies. Here both act on the
gradient that reaches an encoder through the fusion, once for all of its weights, and leave the branch's own loss alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multiemo.losses import Across
from multiemo.types import Batch, Modality


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (factor,) = ctx.saved_tensors
        gradient = gradients[0]
        noise = torch.randn_like(gradient) * gradient.std(dim=0, unbiased=False)
        slowed = (factor < 1).to(gradient.dtype)
        return gradient * factor + slowed * factor * noise, None


class Modulation:
    """Scales the gradients of the embeddings that go into the fusion.

    Args:
        alpha: how strongly; above 0.
        multi: whether a clip may have several labels.
        across: sums the scores over all processes.
    """

    def __init__(self, alpha: float, *, multi: bool, across: Across) -> None:
        self.alpha, self.multi, self.across = alpha, multi, across

    def __call__(
        self, embeddings: Mapping[Modality, Tensor], logits: Mapping[Modality, Tensor], batch: Batch
    ) -> dict[Modality, Tensor]:
        """The same embeddings, whose gradients will be modulated.

        Args:
            embeddings: {modality: ``[B, D]``}.
            logits: {modality: ``[B, C]``} of the branches' own heads.
            batch: of the targets and the presence.
        """
        factors = self.factors(logits, batch)
        return {m: _Scale.apply(x, factors[m]) for m, x in embeddings.items()}  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def factors(self, logits: Mapping[Modality, Tensor], batch: Batch) -> dict[Modality, Tensor]:
        """{modality: scalar in 0..1}; one for the modalities that are not ahead."""
        scores = {m: self._score(logits[m].float(), batch, batch.presence[m]) for m in logits}
        factors = {}
        for m, score in scores.items():
            others = torch.stack([s for o, s in scores.items() if o != m]).mean()
            ahead = (score / others.clamp_min(1e-6) - 1).clamp_min(0.0)
            factors[m] = 1 - torch.tanh(self.alpha * ahead)
        return factors

    def _score(self, logits: Tensor, batch: Batch, here: Tensor) -> Tensor:
        """Mean probability of what is true, over the clips that have the modality and a label."""
        rows = (here & batch.labelled).float()
        if self.multi:
            given = logits.sigmoid()
            right = (batch.target * given).sum(1) / batch.target.sum(1).clamp_min(1.0)
        else:
            right = (batch.target * logits.softmax(1)).sum(1)
        return self.across((right * rows).sum()) / self.across(rows.sum()).clamp_min(1.0)
