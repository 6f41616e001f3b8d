"""Gradient modulation: a modality that learns faster than the others is slowed down.

On-the-fly gradient modulation with generalisation enhancement (OGM-GE; Peng et al., CVPR 2022, equations 8 to 11, and
the authors' published code), after the backward pass of every step. With p_i(u) the probability that modality u alone
gives to the true label of clip i, the discrepancy ratio and the coefficient of u are::

    rho(u) = sum_i p_i(u) / sum_i p_i(other)
    k(u)   = 1 - tanh(alpha * rho(u))  where rho(u) > 1,  else 1                                        (equation 10)

and the gradient g of each weight of the encoder of u becomes ``k(u) * g + noise``, the noise Gaussian with the standard
deviation that the elements of g have, for every modality.

The paper has two modalities in every clip, a linear fusion, convolutional encoders and SGD. What goes beyond that here:
the other is the mean of all others that a clip has, and the sums run over the labelled clips with two modalities or
more; p(u) comes from the branch's own head, for not every fusion can be split by modality, and g holds the gradient of
that head's loss too; the weights are all parameters of two dimensions or more, but for embedding tables, whose rows the
noise would move although no clip has read them. The authors modulate in the first half of training, this to its end.
AdamW divides a gradient by its own size, so there k acts by how much of the gradient it leaves beside the noise.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.training.losses import Across
from multiemo.training.parallel import sharded_like, whole
from multiemo.types import Batch, Modality


class Modulation:
    """Collects how well each modality does in the batches of a step, then changes the step's gradients.

    Args:
        alpha: how strongly a modality that is ahead is slowed down; above 0.
        multi: whether a clip may have several labels; p is then the mean over those it has.
        across: sums over all processes.
    """

    def __init__(self, alpha: float, *, multi: bool, across: Across) -> None:
        self.alpha, self.multi, self.across = alpha, multi, across
        self._sums: dict[Modality, Tensor] = {}

    @torch.no_grad()
    def add(self, logits: Mapping[Modality, Tensor], batch: Batch) -> None:
        """Take note of a batch.

        Args:
            logits: {modality: ``[B, C]``} of the branches' own heads.
            batch: of the targets and the presence.
        """
        order = list(logits)
        here = torch.stack([batch.presence[m] & batch.labelled for m in order]).float()
        right = torch.stack([self._right(logits[m].float(), batch.target) for m in order]) * here
        others = (right.sum(0) - right) / (here.sum(0) - 1).clamp_min(1.0)
        compared = here * (here.sum(0) > 1)
        for m, own, other, rows in zip(order, right, others, compared, strict=True):
            sums = torch.stack([(own * rows).sum(), (other * rows).sum()])
            self._sums[m] = self._sums[m] + sums if m in self._sums else sums

    @torch.no_grad()
    def factors(self) -> dict[Modality, Tensor]:
        """{modality: k, a scalar in 0..1}, from the batches since the last call; one where no clip can be compared."""
        factors = {}
        for m, sums in self._sums.items():
            own, other = self.across(sums)
            ratio = own / other.clamp_min(1e-12)
            factors[m] = torch.where(ratio > 1, 1 - torch.tanh(self.alpha * ratio), torch.ones_like(ratio))
        self._sums = {}
        return factors

    @torch.no_grad()
    def __call__(self, encoders: Mapping[Modality, nn.Module], seed: int) -> None:
        """Change the gradients of the encoders' weights, alike in all processes.

        Args:
            encoders: {modality: encoder}, after the backward passes of a step.
            seed: of the noise; another one each step.
        """
        generator: torch.Generator | None = None
        for m, factor in self.factors().items():
            for gradient in (p.grad for p in modulated_weights(encoders[m]) if p.grad is not None):
                entire = whole({"": gradient})[""]
                if generator is None:
                    generator = torch.Generator(entire.device).manual_seed(seed)
                noise = torch.randn(entire.shape, generator=generator, dtype=entire.dtype, device=entire.device)
                noise *= entire.std(correction=int(entire.numel() > 1)) + 1e-8
                gradient.mul_(factor.to(gradient.dtype)).add_(sharded_like(noise, gradient))

    def _right(self, logits: Tensor, target: Tensor) -> Tensor:
        """``[B]``: the probability of what is true."""
        if self.multi:
            return (target * logits.sigmoid()).sum(1) / target.sum(1).clamp_min(1.0)
        return (target * logits.softmax(1)).sum(1)


def modulated_weights(encoder: nn.Module) -> list[nn.Parameter]:
    """Parameters of two dimensions or more, embedding tables left out."""
    tables = {id(p) for m in encoder.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag) for p in m.parameters()}
    return [p for p in encoder.parameters() if p.ndim > 1 and id(p) not in tables]
