"""Label frequencies that a stage effectively trains under, and means of the dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from multiemo.config import TrainingConfig
from multiemo.data.targets import dimensions_of
from multiemo.runs.batches import Part
from multiemo.training import losses
from multiemo.types import DIMENSIONS, Clip


@dataclass(frozen=True, slots=True)
class LabelWeighting:
    """The label weighting of a stage.

    Args:
        effective_prior: ``[C]``, see :func:`multiemo.training.losses.effective_prior`.
        labels: whether some labels have a larger weight than others.
    """

    effective_prior: Tensor
    labels: bool


def label_weighting(part: Part, rows: Sequence[int], settings: TrainingConfig) -> LabelWeighting:
    """The label weighting that results from class weights, balanced sampling and label smoothing.

    Args:
        part: training part.
        rows: indices of the labelled rows that the stage trains on.
        settings: training settings of the stage.
    """
    space, frequencies = part.dataset.space, part.prepared.frequencies
    targets = [space.target(part.dataset.clips[i]) for i in rows]
    draws = torch.tensor(part.draw_weights(rows, settings.balanced_sampling))
    known = torch.stack([torch.zeros_like(frequencies) if t is None else t for t in targets])
    labelled = torch.tensor([t is not None for t in targets])
    drawn = (draws.unsqueeze(1) * known).sum(0) / (draws * labelled).sum().clamp_min(1e-8)
    power = settings.class_weights
    weights = losses.class_weights(frequencies, power, task=space.task) if power > 0 else None
    effective = losses.effective_prior(drawn, task=space.task, weights=weights, smoothing=settings.label_smoothing)
    return LabelWeighting(effective, power + settings.balanced_sampling > 0)


def dimension_means(clips: Sequence[Clip]) -> Tensor:
    """``[3]`` means of valence, arousal and dominance over clips; NaN for a dimension that no clip has."""
    known = [dimensions_of(clip) for clip in clips]
    return torch.stack(known).nanmean(dim=0) if known else torch.full((len(DIMENSIONS),), torch.nan)
