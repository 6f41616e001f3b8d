"""Evidence inside precomputed features: which columns (facial action units by name), and which part of a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from multiemo.encoders.base import Standardize
from multiemo.explanation.evidence.base import ClipInput, Evidence, InputChange, PartView
from multiemo.explanation.evidence.sequences import spans, without_steps
from multiemo.explanation.records import EvidencePart, UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.material import FeatureRows
from multiemo.labels.action_units import LARGEST, unit_column, unit_name
from multiemo.registry import evidence
from multiemo.types import FeatureSpec

#: Steps of the path from the mean to the input, for integrated gradients.
_PATH_STEPS = 32
#: A counterfactual moves one part in steps of this size, at most this far, and at most this far past its mean; all in
#: standard deviations of training.
_STEP, _FARTHEST, _PAST_MEAN = 0.25, 8.0, 3.0
#: Largest number of spans into which a sequence is divided.
_MOST_SPANS = 16


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Columns that measure the same thing and are removed together.

    Args:
        name: the action unit, or the column.
        columns: positions of the columns. The first one gives the value that is shown.
        unit: what the first one measures; ``None`` if unknown.
    """

    name: str
    columns: tuple[int, ...]
    unit: str | None = None


def group_columns(names: Sequence[str]) -> list[ColumnGroup]:
    """Group columns by action unit; every other column is a group of its own.

    The intensity of a unit precedes its presence, because it says more.

    Args:
        names: names of the columns.

    Example:
        >>> [(g.name, g.columns, g.unit) for g in group_columns(["AU12_c", "AU12_r", "pitch"])]
        [('AU12 lip corner puller', (1, 0), 'intensity'), ('pitch', (2,), None)]
    """
    groups: dict[str, list[int]] = {}
    units = [unit_column(name) for name in names]
    for position, (name, unit) in enumerate(zip(names, units, strict=True)):
        groups.setdefault(name if unit is None else unit_name(unit.number), []).append(position)
    found = []
    for name, members in groups.items():
        ordered = sorted(members, key=lambda i: (unit := units[i]) is None or unit.measure != "intensity")
        first = units[ordered[0]]
        found.append(ColumnGroup(name, tuple(ordered), None if first is None else first.measure))
    return found


class ColumnView(PartView):
    """Columns, or action units. A removed one is set to its mean in training, at every step.

    Training does the same to random columns (``feature_dropout``), so removal gives the model nothing unusual.

    Args:
        x: ``[T, dim]`` float32.
        groups: the parts.
        mean: ``[dim]`` mean of each column in training.
        std: ``[dim]`` standard deviation of each column in training.
        largest: largest possible value of each column; only read for action units.
    """

    unit: UnitKind = "column"
    baseline = "the mean of the training data"

    def __init__(
        self, x: Tensor, groups: Sequence[ColumnGroup], mean: Tensor, std: Tensor, largest: Sequence[float] = ()
    ) -> None:
        self.x, self.groups, self.mean, self.std, self.largest = x, groups, mean, std, largest
        self.values = x.mean(0)
        self.deviations = (self.values - mean) / std
        self.members = torch.zeros(len(groups), x.shape[1], dtype=torch.bool, device=x.device)
        for row, group in enumerate(groups):
            self.members[row, list(group.columns)] = True
        self.parts = [self._part(group) for group in groups]

    def _part(self, group: ColumnGroup) -> EvidencePart:
        first = group.columns[0]
        deviation = round(float(self.deviations[first]), 3)
        return EvidencePart(
            name=group.name,
            score=0.0,
            value=round(float(self.values[first]), 4),
            unit=group.unit,
            deviation=deviation,
            detail=f"{group.name} {in_words(deviation)}",
        )

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`."""
        columns = (gone.to(self.x.device).float() @ self.members.float()) > 0
        variants = torch.where(columns.unsqueeze(1), self.mean, self.x)
        return variants, torch.ones(variants.shape[:2], dtype=torch.bool, device=self.x.device)

    def gradients(self, target: ClipTarget) -> Tensor | None:
        """Integrated gradients from the means of training (Sundararajan et al. 2017), summed over columns and steps.

        ``None`` if the encoder has no gradients.
        """
        from captum.attr import IntegratedGradients

        mask = torch.ones(1, len(self.x), dtype=torch.bool, device=self.x.device)
        start = self.mean.expand_as(self.x).unsqueeze(0)
        # cuDNN has no backward pass for recurrent layers in evaluation mode.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            probe = self.x.unsqueeze(0).clone().requires_grad_()
            if not target(probe, mask).requires_grad:
                return None
            scores = IntegratedGradients(target).attribute(
                probe, baselines=start, additional_forward_args=(mask,), n_steps=_PATH_STEPS
            )
        return cast("Tensor", scores.detach()[0].sum(0) @ self.members.T.to(scores.dtype))

    def magnitude(self) -> Tensor:
        """Largest deviation from the mean in each group, in standard deviations."""
        return torch.where(self.members, self.deviations.abs(), 0.0).amax(1)

    def moved(self, part: int, distance: float) -> Tensor:
        """The input ``[T, dim]`` with one part moved. Action units stay within their range.

        Args:
            part: number of the part.
            distance: standard deviations of each column by which it moves.
        """
        changed = self.x + distance * self.std * self.members[part]
        measure = self.groups[part].unit
        for column in self.groups[part].columns if measure is not None else ():
            changed[:, column].clamp_(0.0, self.largest[column])
        return changed

    def changes(self) -> Iterator[InputChange]:
        """Each part moved towards its mean and past it, in steps, the smallest first."""
        mask = torch.ones(len(self.x), dtype=torch.bool, device=self.x.device)
        stopped: dict[int, Tensor] = dict.fromkeys(range(len(self.groups)), self.x)
        for number in range(1, round(_FARTHEST / _STEP) + 1):
            size = number * _STEP
            for part, group in enumerate(self.groups):
                first = group.columns[0]
                deviation = float(self.deviations[first])
                if part not in stopped or size > abs(deviation) + _PAST_MEAN:
                    continue
                changed = self.moved(part, -size if deviation > 0 else size)
                if torch.equal(changed, stopped[part]):
                    del stopped[part]  # the end of the range is reached
                    continue
                stopped[part] = changed
                old, new = float(self.values[first]), float(changed[:, first].mean())
                words = f"{group.name} at {_short(new)} instead of {_short(old)}"
                yield InputChange(group.name, words, changed, mask, size, round(new - old, 4), group.unit)


class SpanView(PartView):
    """Spans of a sequence of features. A removed one is left out, as if it had not been recorded.

    Args:
        x: ``[T, dim]`` float32.
        mean: ``[dim]`` mean of each column in training, for a variant without any step.
        std: ``[dim]`` standard deviation of each column in training.
    """

    unit: UnitKind = "time"
    baseline = "the sequence without these rows"
    notes = ("features have no times: spans are named by rows",)

    def __init__(self, x: Tensor, mean: Tensor, std: Tensor) -> None:
        self.x, self.mean, self.std = x, mean, std
        self.spans = spans(len(x), _MOST_SPANS)
        self.owner = torch.zeros(len(x), dtype=torch.long, device=x.device)
        for number, (first, last) in enumerate(self.spans):
            self.owner[first:last] = number
        self.parts = [
            EvidencePart(name=f"row {a + 1}" if b == a + 1 else f"rows {a + 1} to {b}", score=0.0)
            for a, b in self.spans
        ]

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`."""
        return without_steps(self.x, gone.to(self.x.device)[:, self.owner], self.mean)

    def magnitude(self) -> Tensor:
        """Mean absolute deviation of each span from the means of training, in standard deviations."""
        deviations = ((self.x - self.mean) / self.std).abs().mean(1)
        return torch.stack([deviations[first:last].mean() for first, last in self.spans])


@evidence.register("features")
class FeatureEvidence(Evidence):
    """Evidence inside precomputed features: columns, and spans of a sequence."""

    def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
        """As :meth:`Evidence.views`. A single vector has no spans."""
        view = self.columns(clip, target)
        return [view] if len(view.x) == 1 else [view, SpanView(view.x, view.mean, view.std)]

    def columns(self, clip: ClipInput, target: ClipTarget) -> ColumnView:
        """The view of the columns."""
        x = clip.tensor.to(target.compute.device)
        mean, std = training_statistics(target.model.encoders[clip.modality], x)
        names = column_names(clip)
        largest = [LARGEST[unit.measure] if (unit := unit_column(name)) else float("inf") for name in names]
        return ColumnView(x, group_columns(names), mean, std, largest)

    def changes(self, clip: ClipInput, target: ClipTarget) -> Iterator[InputChange]:
        """As :meth:`Evidence.changes`: one column or action unit at a time moves towards its mean, and past it."""
        return self.columns(clip, target).changes()


def column_names(clip: ClipInput) -> tuple[str, ...]:
    """Names of the columns: those of training, else those of the clip's file, else "column 1" and so on."""
    spec = clip.entry.spec
    own = clip.raw.columns if isinstance(clip.raw, FeatureRows) else ()
    names = (spec.columns if isinstance(spec, FeatureSpec) else ()) or own
    dim = clip.tensor.shape[1]
    return names if len(names) == dim else tuple(f"column {i + 1}" for i in range(dim))


def training_statistics(encoder: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[dim]`` of the columns in training, which the encoder stores.

    Those of the clip itself if the encoder stores none.
    """
    for module in encoder.modules():
        if isinstance(module, Standardize) and module.mean.shape == x.shape[1:]:
            return module.mean.detach(), module.std.detach()
    return x.mean(0), x.std(0, correction=0).clamp_min(1e-6)


def in_words(deviation: float) -> str:
    """A deviation in words.

    Example:
        >>> in_words(1.84), in_words(-0.5), in_words(0.02)
        ('1.8 sd above the mean', '0.5 sd below the mean', 'at the mean')
    """
    if abs(deviation) < 0.05:
        return "at the mean"
    return f"{abs(deviation):.1f} sd {'above' if deviation > 0 else 'below'} the mean"


def _short(value: float) -> str:
    """A value with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < 100 else f"{value:.0f}"
