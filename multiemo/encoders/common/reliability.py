"""How far the input of a modality can be relied on: fully if it is like the training clips, less the more it differs.

Nothing is learnt from labels or from simulated noise. The statistics of the training inputs
(:mod:`multiemo.encoders.common.input_statistics`) have a mean and a covariance. A clip is as unusual as its statistics
are far from that mean, by the distance of Mahalanobis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.encoders.common.input_statistics import Statistics

#: How fast reliability falls with the distance.
EXPONENT = 2
#: Share of the clips of people left out that stay fully reliable. Fewer would cost accuracy on recordings like those of
#: train (docs/experiments/fusion.md).
CLEAN = 0.95
#: Number of parts into which the groups are divided to measure the distance of clips of new groups.
_FOLDS = 5
#: With fewer training clips, every clip is fully reliable.
FEWEST_CLIPS = 30
#: Standard deviations below this are constant columns, which are not used.
_CONSTANT = 1e-5


class InputReliability(nn.Module):
    """Reliability of the input of one modality, ``min(1, reference / d^2)^2``.

    ``d^2`` is the mean square of the clip's whitened statistics, about one for a training clip. The covariance is that
    of Ledoit and Wolf (2004). The reference is the 95% quantile of ``d^2`` over training clips whose group (speaker)
    was left out when mean and covariance were computed, so a new speaker alone does not make an input unreliable.

    Args:
        statistics: maps inputs to statistics, see :func:`statistics_of`.
    """

    mean: Tensor
    whitening: Tensor
    reference: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        self.statistics = statistics
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("whitening", torch.zeros(0, 0))
        self.register_buffer("reference", torch.ones(()))

    def fit(self, inputs: Sequence[Tensor], groups: Sequence[str]) -> None:
        """Fit to training inputs. With fewer than 30, every input stays fully reliable.

        Args:
            inputs: N inputs ``[T, ...]``.
            groups: group of each, usually its speaker.
        """
        if len(inputs) < FEWEST_CLIPS:
            return
        each = [torch.ones(1, len(x), dtype=torch.bool) for x in inputs]
        rows = torch.cat([self.statistics(_floats(x[None]), mask) for x, mask in zip(inputs, each, strict=True)])
        names = sorted(set(groups)) if len(set(groups)) > 1 else []
        fold = torch.tensor([names.index(g) if names else i for i, g in enumerate(groups)]) % _FOLDS
        distances = torch.zeros(len(rows))
        for number in sorted(set(fold.tolist())):
            held = fold == number
            distances[held] = _distances(rows[held], *_fitted(rows[~held]))
        self.mean, self.whitening = _fitted(rows)
        self.reference = distances.quantile(CLEAN)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Reliability ``[B]`` float32 within 0..1 of inputs ``[B, T, ...]`` with the mask ``[B, T]``."""
        if self.mean.numel() == 0:
            return torch.ones(len(x), device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            rows = self.statistics(_floats(x), mask)
            distances = _distances(rows, self.mean, self.whitening)
            return (self.reference / distances).clamp(max=1.0).pow(EXPONENT)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take the shapes of the stored statistics, which depend on the training data."""
        for name, own in self.named_buffers(recurse=False):
            if (stored := state_dict.get(prefix + name)) is not None:
                setattr(self, name, own.new_zeros(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[no-untyped-call]


def _floats(x: Tensor) -> Tensor:
    """Inputs in float32; pictures stay whole numbers."""
    return x.float() if x.is_floating_point() else x


def _fitted(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``[Q]`` of statistics ``[N, Q]``, and the matrix ``[Q, K]`` that whitens their K columns that vary."""
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    used = deviation > _CONSTANT
    scaled = ((rows - mean)[:, used] / deviation[used]).double()
    covariance = shrunk_covariance(scaled)
    # whitening @ whitening.T is the inverse of the covariance.
    inverse = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    whitening = rows.new_zeros(rows.shape[1], int(used.sum()))
    whitening[used] = (inverse / deviation[used].unsqueeze(1)).float()
    return mean, whitening


def shrunk_covariance(rows: Tensor) -> Tensor:
    """Covariance ``[Q, Q]`` of centred rows ``[N, Q]``, shrunk towards a multiple of the identity.

    The share of the identity is the optimal one of Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
    covariance matrices" (Journal of Multivariate Analysis 88, 2004).
    """
    count, columns = rows.shape
    sample = rows.T @ rows / count
    scale = sample.diagonal().mean()
    spread = sample.square().sum() - columns * scale**2
    noise = (rows.square().T @ rows.square() / count - sample.square()).sum() / count
    share = float((noise / spread).clamp(0.0, 1.0)) if spread > 0 else 1.0
    return (1 - share) * sample + share * scale * torch.eye(columns, dtype=rows.dtype)


def _distances(rows: Tensor, mean: Tensor, whitening: Tensor) -> Tensor:
    """Mean square of the whitened statistics, ``[N]``."""
    return ((rows - mean) @ whitening).square().mean(1)
