"""Convert rows to targets: the label of a clip in the label set of the model, and its dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from multiemo.labels import label_set as labels_of
from multiemo.labels import map_label
from multiemo.types import DIMENSIONS, LABEL_SOURCES, Clip


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The label space of a model: how rows are converted to targets.

    Args:
        name: label set of the model; empty for ``dimensions``.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``.
        label_from: ``clip``, or the modality whose own label is used.
    """

    name: str
    task: str = "single"
    label_from: str = "clip"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in order; the names of the dimensions for the task ``dimensions``."""
        return DIMENSIONS if self.task == "dimensions" else labels_of(self.name)

    def target(self, clip: Clip) -> Tensor | None:
        """Return the target of a clip, or ``None`` if it has none in this label space.

        Returns:
            ``[C]`` float32; for ``dimensions`` ``[3]``, with NaN for each unknown dimension. ``None`` if the clip has
            no label that maps to this label set, or no known dimension.
        """
        if self.task == "dimensions":
            known = dimensions_of(clip)
            return None if bool(known.isnan().all()) else known
        shares = self._shares(clip)
        target = torch.zeros(len(self.labels))
        for label, share in shares.items():
            mapped = map_label(label, clip.label_set, self.name)
            if mapped is not None:
                target[self.labels.index(mapped)] += share
        if target.sum() <= 0:
            return None
        if self.task == "multi":
            return target.clamp_max(1.0)
        if self.task == "soft":
            return target / target.sum()
        return torch.nn.functional.one_hot(target.argmax(), len(self.labels)).float()

    def other_targets(self, clip: Clip) -> Tensor:
        """Return the targets from the other label sources, ``[A, C]`` float32, in the order of ``LABEL_SOURCES``.

        The row of a source without label is zero.
        """
        if self.task == "dimensions":
            return torch.zeros(len(LABEL_SOURCES) - 1, len(self.labels))
        others = (replace(self, label_from=s).target(clip) for s in LABEL_SOURCES if s != self.label_from)
        return torch.stack([torch.zeros(len(self.labels)) if t is None else t for t in others])

    def notes(self, clips: Iterable[Clip]) -> list[str]:
        """Describe how the labels of some rows change when they are mapped to this label set, one sentence each.

        Example:
            >>> calm = Clip(id="a", corpus="x", label_set="ravdess8", label="calm")
            >>> LabelSpace("iemocap4").notes([calm]), LabelSpace("ekman7").notes([calm])
            (['1 clips with label calm have no place in iemocap4 and are left out'], ['labels: calm -> neutral 1'])
        """
        if self.task == "dimensions":
            return []
        became: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        trimmed: Counter[str] = Counter()
        undecided = 0
        for clip in clips:
            shares = [label for label, share in self._shares(clip).items() if share > 0]
            to = {label: map_label(label, clip.label_set, self.name) for label in shares}
            became.update(f"{label} -> {new}" for label, new in to.items() if new not in (None, label))
            lost = [label for label, new in to.items() if new is None]
            (dropped if len(lost) == len(shares) else trimmed).update(lost)
            undecided += not shares and self.label_from == "clip" and bool(clip.labels or clip.votes)
        notes = [f"labels: {', '.join(f'{pair} {n}' for pair, n in _most(became))}"] if became else []
        notes += [
            f"{n} clips with label {label} have no place in {self.name} and are left out" for label, n in _most(dropped)
        ]
        for label, n in _most(trimmed):
            notes.append(f"{n} clips lose {label}, which {self.name} does not have, and keep their other labels")
        if undecided:
            notes.append(
                f"{undecided} clips have several labels or tied votes instead of a single label and are left out"
            )
        return notes

    def _shares(self, clip: Clip) -> dict[str, float]:
        if self.label_from != "clip":
            own = clip.modality_labels.get(self.label_from)
            return {own: 1.0} if own else {}
        if self.task == "soft" and clip.votes:
            return dict(clip.votes)
        if clip.label:
            return {clip.label: 1.0}
        if clip.labels:
            if self.task != "multi" and len(clip.labels) > 1:
                return {}
            return dict.fromkeys(clip.labels, 1.0)
        if clip.votes:
            best = max(clip.votes.values())
            winners = [label for label, count in clip.votes.items() if count == best]
            return {winners[0]: 1.0} if len(winners) == 1 else {}
        return {}


def dimensions_of(clip: Clip) -> Tensor:
    """Return valence, arousal and dominance of a clip, ``[3]`` float32; NaN where unknown."""
    known = (getattr(clip, name) for name in DIMENSIONS)
    return torch.tensor([float("nan") if v is None else float(v) for v in known])


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    """Sort by count, largest first, then by name."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
