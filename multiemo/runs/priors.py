"""Under which label frequencies a stage learns, and which dimensions it can learn at all."""

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
class LabelWeighing:
    """How the training of a stage weighs labels.

    Args:
        effective_prior: ``[C]``, see :func:`multiemo.training.losses.effective_prior`.
        labels: whether it weighed some more than others.
    """

    effective_prior: Tensor
    labels: bool


def weighing(part: Part, rows: Sequence[int], settings: TrainingConfig) -> LabelWeighing:
    """Of the labelled rows of train that a stage learns from.

    Args:
        part: train.
        rows: of it.
        settings: of the stage.
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
    return LabelWeighing(effective, power + settings.balanced_sampling > 0)


def dimension_means(clips: Sequence[Clip]) -> Tensor:
    """``[3]`` means of valence, arousal and dominance over clips; NaN where none knows one."""
    known = [dimensions_of(clip) for clip in clips]
    return torch.stack(known).nanmean(dim=0) if known else torch.full((len(DIMENSIONS),), torch.nan)
