"""The parts of the input that a label relies on, averaged over clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from multiemo.explanation.faithfulness.records import Difference
from multiemo.explanation.overall.records import LabelCue, LabelCues
from multiemo.explanation.records import EvidenceView, Trust, UnitKind
from multiemo.metrics import mean_estimate
from multiemo.types import Modality

#: Parts that mean the same in every clip. Spans of time and frames do not, so they are not averaged.
NAMED: tuple[UnitKind, ...] = ("word", "character", "cue", "region", "column")
#: A part counts as a cue of a label if it occurs in at least so many of its clips.
FEWEST_CLIPS = 3
#: Cues for and against a label that are reported.
MOST_CUES = 5


@dataclass(slots=True)
class _Scores:
    """The scores of one kind of part for one label.

    Args:
        method: how they were computed.
        trust: whether they passed the checks of faithfulness.
        clips: number of clips.
        values: {part: (score, speaker) of each clip in which it occurs}.
        strongest: {part: number of clips in which nothing else adds more}.
    """

    method: str
    trust: Trust
    clips: int = 0
    values: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    strongest: dict[str, int] = field(default_factory=dict)


class CueCollector:
    """Collects the evidence of single clips and averages it by label."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Modality, UnitKind], _Scores] = {}

    def add(self, label: str, speaker: str, modality: Modality, views: Iterable[EvidenceView]) -> None:
        """Add the evidence of one modality of one clip. A part that occurs several times counts with its sum.

        Args:
            label: the explained label.
            speaker: speaker of the clip.
            modality: the modality.
            views: its views; only those with named parts are used.
        """
        for view in views:
            if view.unit not in NAMED or not view.parts:
                continue
            scores = self._found.setdefault((label, modality, view.unit), _Scores(view.method, view.trust))
            scores.clips += 1
            sums: dict[str, float] = {}
            for part in view.parts:
                name = part.name.casefold() if view.unit == "word" else part.name
                sums[name] = sums.get(name, 0.0) + part.score
            for name, score in sums.items():
                scores.values.setdefault(name, []).append((score, speaker))
            first = max(sums, key=sums.__getitem__)
            scores.strongest[first] = scores.strongest.get(first, 0) + 1

    def summarise(self, labels: Sequence[str]) -> list[LabelCues]:
        """The cues of each label, in the order of the labels."""
        order = {label: place for place, label in enumerate(labels)}
        found = []
        for (label, modality, unit), scores in sorted(self._found.items(), key=lambda entry: order[entry[0][0]]):
            cues = [
                LabelCue(name=name, clips=len(values), score=mean_of(values), strongest=scores.strongest.get(name, 0))
                for name, values in scores.values.items()
                if len(values) >= FEWEST_CLIPS
            ]
            cues.sort(key=lambda cue: -cue.score.mean)
            found.append(
                LabelCues(
                    label=label,
                    modality=modality,
                    unit=unit,
                    method=scores.method,
                    trust=scores.trust,
                    clips=scores.clips,
                    cues_for=[cue for cue in cues if cue.score.mean > 0][:MOST_CUES],
                    cues_against=[cue for cue in reversed(cues) if cue.score.mean < 0][:MOST_CUES],
                )
            )
        return found


def mean_of(values: Sequence[tuple[float, str]], bound: float = np.inf) -> Difference:
    """The mean of (value, speaker) pairs, with its interval over speakers.

    Args:
        values: the pairs.
        bound: largest possible absolute value.
    """
    numbers, speakers = np.array([value for value, _ in values]), [speaker for _, speaker in values]
    found = mean_estimate(numbers, speakers, low=-bound, high=bound)
    return Difference(mean=found.value, interval=(found.low, found.high))
