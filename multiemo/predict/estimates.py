"""The model's estimate for one segment, before it gets its place in the prediction JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from multiemo.calibration import UNCERTAIN, Calibration
from multiemo.evaluation import probabilities_of
from multiemo.model import EmotionModel, contributions
from multiemo.predict.prediction import FacePrediction, SegmentFaces, SegmentPrediction
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import SUBSETS, Modality, Output, subset_key


class Dimensions(NamedTuple):
    """Valence, arousal and dominance, -1..1; ``None`` for a dimension that the model did not learn."""

    valence: float | None
    arousal: float | None
    dominance: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Dimensions:
        """Three output columns of a model, rounded to four decimals; NaN marks a dimension that was not learnt.

        Example:
            >>> Dimensions.of([0.25, -0.5, float("nan")])
            Dimensions(valence=0.25, arousal=-0.5, dominance=None)
        """
        return cls(*(None if math.isnan(v) else round(v, 4) for v in values))

    def named(self) -> dict[str, float]:
        """{dimension: value} of the dimensions that were learnt."""
        return {name: value for name, value in self._asdict().items() if value is not None}


#: Below this reliability, a note says that a modality has little weight.
LITTLE = 0.25
#: The dimensions of a model that has no head for them.
NO_DIMENSIONS = Dimensions(None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEstimate:
    """The model's estimate for one segment.

    The attributes are members of :class:`~multiemo.predict.prediction.SegmentPrediction`.
    """

    by_modality: dict[Modality, dict[str, float]]
    label: str | None = None
    best: str | None = None
    probs: dict[str, float] | None = None
    modality_label: dict[Modality, str] | None = None
    contribution: dict[Modality, float] | None = None
    labels: list[str] | None = None
    dimensions: Dimensions = NO_DIMENSIONS
    contribution_by_dimension: dict[str, dict[Modality, float]] | None = None

    def to_prediction(
        self,
        segment: Segment,
        modalities: Sequence[Modality],
        faces: SegmentFaces | None = None,
        reliability: Mapping[Modality, float] = MappingProxyType({}),
    ) -> SegmentPrediction:
        """The segment as it appears in the prediction JSON.

        Args:
            segment: the segment of this estimate.
            modalities: those of the model, in order.
            faces: whose face was read in the segment.
            reliability: {modality: weight of its input in the fusion, 0..1}, where the model measures it.
        """
        measured = {m: round(reliability[m], 3) for m in modalities if m in segment.inputs and m in reliability}
        notes = [*(segment.notes if segment.kind != "whole" else []), *_doubts(measured)]
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
            reliability=measured or None,
            notes=notes or None,
            text=segment.text,
            face=faces,
        )


def _doubts(reliability: Mapping[Modality, float]) -> list[str]:
    """A note for each modality with little weight."""
    return [
        f"{m}: this input is unlike the training clips, so it has little weight ({weight:g} of 1)"
        for m, weight in reliability.items()
        if weight < LITTLE
    ]


class LabelEstimator:
    """Turns the outputs of a model with labels into calibrated estimates.

    Args:
        model: the model; any task but ``dimensions``.
        labels: its C labels, in order.
        prior: ``[C]`` share of each label in training.
        calibration: scales probabilities and decides labels.
    """

    def __init__(
        self, model: EmotionModel, labels: Sequence[str], prior: torch.Tensor, calibration: Calibration
    ) -> None:
        self._model, self._labels, self._prior, self._calibration = model, labels, prior, calibration

    def estimates(self, output: Output, segments: Sequence[Segment]) -> list[SegmentEstimate]:
        """The estimate for each segment.

        Args:
            output: of the model for these segments, with every subset of its modalities.
            segments: B segments, each with at least one input.
        """
        model, calibration = self._model, self._calibration
        keys = [subset_key(list(s.inputs)) for s in segments]
        every = self.coalitions(output, segments)
        fused = np.stack([by_subset[key] for by_subset, key in zip(every, keys, strict=True)])
        chosen = calibration.decide(keys, fused, model.task)
        branches = {m: self._branch(m, v) for m, v in output.branch_logits.items()}
        dimensions = None if output.dimensions is None else output.dimensions.tolist()
        found = []
        for i, segment in enumerate(segments):
            present = [m for m in model.modalities if m in segment.inputs]
            best = int(fused[i].argmax() if model.task == "multi" else chosen[i])
            certain = calibration.answers(keys[i], float(fused[i, best]))
            shares = contributions(every[i], self._prior, present, best)
            estimate = SegmentEstimate(
                label=self._labels[best] if certain else UNCERTAIN,
                best=self._labels[best],
                probs=self._by_label(fused[i]),
                by_modality={m: self._by_label(branches[m][0][i]) for m in present},
                modality_label={m: self._labels[branches[m][1][i]] for m in present},
                contribution={m: round(v, 6) for m, v in shares.items()},
                labels=self._labels_of(chosen[i]) if model.task == "multi" else None,
                dimensions=NO_DIMENSIONS if dimensions is None else Dimensions.of(dimensions[i]),
            )
            found.append(estimate)
        return found

    def coalitions(self, output: Output, segments: Sequence[Segment]) -> list[dict[str, NDArray[np.float64]]]:
        """For each segment {subset key: ``[C]`` calibrated probabilities} of every set of its modalities.

        Args:
            output: of the model for these segments, with every subset of its modalities.
            segments: the segments, each with at least one input.
        """
        calibration, task = self._calibration, self._model.task
        keys = [subset_key(list(s.inputs)) for s in segments]
        fused = calibration.scaled(keys, probabilities_of(output.logits, task).numpy(), task)
        subsets = {
            k: calibration.scaled([k] * len(segments), probabilities_of(v, task).numpy(), task)
            for k, v in output.by_subset.items()
        }
        return [
            {k: v[i] for k, v in subsets.items() if set(SUBSETS[k]) <= set(segment.inputs)} | {keys[i]: fused[i]}
            for i, segment in enumerate(segments)
        ]

    def face_predictions(self, people: Sequence[int], logits: torch.Tensor) -> list[FacePrediction]:
        """The label and probabilities for the face of each person.

        Args:
            people: the numbers of B people.
            logits: ``[B, C]`` of the face branch.
        """
        probs, columns = self._branch("face", logits)
        return [
            FacePrediction(person=person, label=self._labels[column], probs=self._by_label(row))
            for person, row, column in zip(people, probs, columns, strict=True)
        ]

    def _branch(self, m: Modality, logits: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Calibrated probabilities ``[B, C]`` of the head of one branch, and the column of each decided label."""
        task = self._model.task
        probs = self._calibration.scaled_branch(m, probabilities_of(logits, task).numpy(), task)
        return probs, probs.argmax(axis=1) if task == "multi" else self._calibration.decide(
            [m] * len(probs), probs, task
        )

    def _labels_of(self, flags: NDArray[np.int64]) -> list[str]:
        """The labels whose flag, of ``[C]``, is set."""
        return [label for label, flag in zip(self._labels, flags, strict=True) if flag]

    def _by_label(self, probabilities: NDArray[np.float64]) -> dict[str, float]:
        """{label: probability}, rounded to six decimals."""
        return {label: round(float(p), 6) for label, p in zip(self._labels, probabilities, strict=True)}
