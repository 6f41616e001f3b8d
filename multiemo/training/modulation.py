"""Gradient modulation: slows down a modality that learns faster than the others.

On-the-fly gradient modulation with generalisation enhancement (OGM-GE; Peng et al., CVPR 2022, equations 8 to 11, and
the authors' published code) runs after the backward pass of every step. With p_i(u) the probability of the true label
of clip i given by modality u alone, the discrepancy ratio and the coefficient of u are::

    rho(u) = sum_i p_i(u) / sum_i p_i(other)
    k(u)   = 1 - tanh(alpha * rho(u))  where rho(u) > 1,  else 1                                        (equation 10)

and the gradient g of each weight of the encoder of u becomes ``k(u) * g + noise``. The noise is Gaussian, with the
standard deviation of the elements of g, and is added for every modality.

The paper has two modalities in every clip, a linear fusion, convolutional encoders and SGD. This implementation differs
as follows:

- ``other`` is the mean of all other modalities of a clip, and the sums run over labelled clips with at least two.
- p(u) comes from the branch's own head, since not every fusion can be split by modality. So g includes the gradient of
  that head's loss.
- The weights are all parameters of two or more dimensions except embedding tables, in which noise would move rows that
  no clip has read.
- The authors modulate during the first half of training; here it lasts to the end.
- AdamW divides a gradient by its own magnitude, so k acts through the ratio of gradient to noise.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.training.losses import Across
from multiemo.training.parallel import full_tensors, sharded_like
from multiemo.types import Batch, Modality


class Modulation:
    """Accumulates the performance of each modality over the batches of a step, then scales the step's gradients.

    Args:
        alpha: strength of the reduction for a leading modality; above 0.
        multi: whether a clip may have several labels; p is then the mean over its labels.
        across: sums a tensor over all processes.
    """

    def __init__(self, alpha: float, *, multi: bool, across: Across) -> None:
        self.alpha, self.multi, self.across = alpha, multi, across
        self._sums: dict[Modality, Tensor] = {}

    @torch.no_grad()
    def add(self, logits: Mapping[Modality, Tensor], batch: Batch) -> None:
        """Accumulate one batch.

        Args:
            logits: {modality: ``[B, C]``} of the branches' own heads.
            batch: batch with targets and presence.
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
        """{modality: coefficient k, a scalar in 0..1} of the batches since the last call; 1 if none is comparable."""
        factors = {}
        for m, sums in self._sums.items():
            own, other = self.across(sums)
            ratio = own / other.clamp_min(1e-12)
            factors[m] = torch.where(ratio > 1, 1 - torch.tanh(self.alpha * ratio), torch.ones_like(ratio))
        self._sums = {}
        return factors

    @torch.no_grad()
    def __call__(self, encoders: Mapping[Modality, nn.Module], seed: int) -> None:
        """Scale the gradients of the encoders' weights and add noise, identically in all processes.

        Args:
            encoders: {modality: encoder}, after the backward passes of a step.
            seed: seed of the noise; must differ between steps.
        """
        generator: torch.Generator | None = None
        for m, factor in self.factors().items():
            for gradient in (p.grad for p in modulated_weights(encoders[m]) if p.grad is not None):
                entire = full_tensors({"": gradient})[""]
                if generator is None:
                    generator = torch.Generator(entire.device).manual_seed(seed)
                noise = torch.randn(entire.shape, generator=generator, dtype=entire.dtype, device=entire.device)
                noise *= entire.std(correction=int(entire.numel() > 1)) + 1e-8
                gradient.mul_(factor.to(gradient.dtype)).add_(sharded_like(noise, gradient))

    def _right(self, logits: Tensor, target: Tensor) -> Tensor:
        """``[B]`` probability of the true label; with several labels, the mean over them."""
        if self.multi:
            return (target * logits.sigmoid()).sum(1) / target.sum(1).clamp_min(1.0)
        return (target * logits.softmax(1)).sum(1)


def modulated_weights(encoder: nn.Module) -> list[nn.Parameter]:
    """Parameters of two or more dimensions, except embedding tables."""
    tables = {id(p) for m in encoder.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag) for p in m.parameters()}
    return [p for p in encoder.parameters() if p.ndim > 1 and id(p) not in tables]
