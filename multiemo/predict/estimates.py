"""What a model says of one segment, before it is placed in the prediction JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from multiemo.predict.prediction import SegmentFaces, SegmentPrediction
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import Modality


class Dimensions(NamedTuple):
    """Valence, arousal and dominance, -1..1; ``None`` where the model never learnt one."""

    valence: float | None
    arousal: float | None
    dominance: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Dimensions:
        """Three columns of a model, rounded; NaN was never learnt.

        Example:
            >>> Dimensions.of([0.25, -0.5, float("nan")])
            Dimensions(valence=0.25, arousal=-0.5, dominance=None)
        """
        return cls(*(None if math.isnan(v) else round(v, 4) for v in values))

    def named(self) -> dict[str, float]:
        """{dimension: value} of those that were learnt."""
        return {name: value for name, value in self._asdict().items() if value is not None}


#: What a model without a head for dimensions says of them.
NO_DIMENSIONS = Dimensions(None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEstimate:
    """What the model says of one segment; members of :class:`~multiemo.predict.prediction.SegmentPrediction`."""

    by_modality: dict[Modality, dict[str, float]]
    label: str | None = None
    best: str | None = None
    probs: dict[str, float] | None = None
    modality_label: dict[Modality, str] | None = None
    contribution: dict[Modality, float] | None = None
    labels: list[str] | None = None
    dimensions: Dimensions = NO_DIMENSIONS
    contribution_by_dimension: dict[str, dict[Modality, float]] | None = None

    def placed(
        self, segment: Segment, modalities: Sequence[Modality], faces: SegmentFaces | None = None
    ) -> SegmentPrediction:
        """The segment as it stands in the prediction JSON.

        Args:
            segment: of which this is said.
            modalities: of the model, in order.
            faces: whose face was read in it.
        """
        return SegmentPrediction(
            start=segment.start,
            end=segment.end,
            kind=segment.kind,
            label=self.label,
            best=self.best,
            probs=self.probs,
            by_modality=self.by_modality,
            modality_label=self.modality_label,
            contribution=self.contribution,
            labels=self.labels,
            valence=self.dimensions.valence,
            arousal=self.dimensions.arousal,
            dominance=self.dimensions.dominance,
            contribution_by_dimension=self.contribution_by_dimension,
            present=[m for m in modalities if m in segment.inputs],
            absent=dict(segment.absent),
            notes=segment.notes if segment.notes and segment.kind != "whole" else None,
            text=segment.text,
            face=faces,
        )
