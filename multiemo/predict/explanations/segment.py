"""Explains one segment: modalities, evidence inside each, and what the rules say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from multiemo.encoders.base import Encoder
from multiemo.errors import CheckpointError, MultiemoError
from multiemo.explanation.attribution import explain_modality
from multiemo.explanation.conflicts import conflicts_of
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.modalities import modality_attribution
from multiemo.explanation.records import Conflict, ModalityAttribution, ModalityEvidence, RuleReading
from multiemo.explanation.rule_readings import rule_findings, rule_reading
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.material import Audio, FacePositions, Utterance
from multiemo.inputs.rules import RuleInput
from multiemo.predict.explanations.companions import Companions
from multiemo.predict.explanations.model import ExplainableModel
from multiemo.predict.explanations.records import Choice, SegmentExplanation
from multiemo.predict.explanations.stopwatch import Stopwatch
from multiemo.predict.explanations.voice import voice_track
from multiemo.predict.prediction import SegmentPrediction
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import DIMENSIONS, Modality, Sample

T = TypeVar("T")


class SegmentExplainer:
    """Explains segments of one input.

    A part that fails does not affect the others: the failure is listed among the limits of the segment.

    Args:
        predictor: the model.
        companions: what is known from the other segments of the input.
        faithfulness: what was measured on this model.
        clock: receives the time that each step takes.
    """

    def __init__(
        self,
        predictor: ExplainableModel,
        companions: Companions,
        faithfulness: Faithfulness | None,
        clock: Stopwatch,
    ) -> None:
        self._predictor, self._companions = predictor, companions
        self._faithfulness, self._clock = faithfulness, clock

    def explain(self, segment: Segment, prediction: SegmentPrediction, why: Choice) -> SegmentExplanation:
        """Explain one segment.

        Args:
            segment: the segment, with its raw forms.
            prediction: its prediction.
            why: why it was chosen.
        """
        predictor, limits = self._predictor, list[str]()
        sample = predictor.sample(segment)
        explained = prediction.best or self._dimension(prediction)
        column = predictor.labels.index(explained)
        raw = segment.raw or {}
        said = raw.get("text")
        attribution = None
        with self._clock("modalities"):
            if predictor.model.task != "dimensions":
                attribution = _tried("the modalities", limits, lambda: self._attribution(segment, explained))
        evidence, rules = [], []
        for m in prediction.present:
            with self._clock(m):
                found = _tried(f"the {m}", limits, partial(self._evidence, segment, sample, m, column))
            evidence += [] if found is None else [found]
            with self._clock("rules"):
                reading = _tried(f"the rules for {m}", limits, partial(self._rules, segment, m, explained))
            rules += [] if reading is None else [reading]
        sound = raw.get("speech")
        voice = None
        if isinstance(sound, Audio):
            with self._clock("speech"):
                voice = _tried("the voice", limits, lambda: voice_track(sound, segment.start))
        conflicts = _tried("conflicts", limits, lambda: self._conflicts(prediction)) or []
        return SegmentExplanation(
            prediction=prediction,
            chosen=why,
            explained=explained,
            text=said.text if isinstance(said, Utterance) else prediction.text,
            attribution=attribution,
            conflicts=conflicts,
            evidence=evidence,
            rules=rules,
            disagreements=disagreements(rules, explained),
            voice=voice,
            limits=limits,
        )

    def _dimension(self, prediction: SegmentPrediction) -> str:
        """The dimension that is explained: the one furthest from its mean in training."""
        predictor = self._predictor
        means = dict(zip(DIMENSIONS, predictor.bundle.prior.nan_to_num(0.0).tolist(), strict=True))
        values = {name: value for name in DIMENSIONS if (value := getattr(prediction, name)) is not None}
        return max(values, key=lambda name: abs(values[name] - means[name]))

    def _attribution(self, segment: Segment, label: str) -> ModalityAttribution:
        predictor = self._predictor
        by_subset = predictor.coalitions(segment)
        present = [m for m in predictor.model.modalities if m in segment.inputs]
        return modality_attribution(
            by_subset,
            predictor.bundle.prior.numpy(),
            present,
            predictor.labels,
            predictor.labels.index(label),
            task=predictor.model.task,
        )

    def _conflicts(self, prediction: SegmentPrediction) -> list[Conflict]:
        """The conflict score of each pair of modalities; none for a model without labels."""
        predictor = self._predictor
        if predictor.model.task == "dimensions":
            return []
        labels = predictor.labels
        branches = {m: np.array([own[label] for label in labels]) for m, own in prediction.by_modality.items()}
        return conflicts_of(branches, predictor.calibration.conflict, labels, task=predictor.model.task)

    def _evidence(self, segment: Segment, sample: Sample, m: Modality, column: int) -> ModalityEvidence:
        predictor = self._predictor
        if isinstance(predictor.bundle.inputs[m], RuleInput):
            why = "this branch consists of rules, and what they find is listed with the rules"
            return ModalityEvidence(modality=m, label=predictor.labels[column], views=[], limits=[why])
        target = ClipTarget(
            predictor.model, predictor.calibration, predictor.compute, sample, m, column, predictor.labels
        )
        return explain_modality(self._clip(segment, m), target, faithfulness=self._faithfulness)

    def _rules(self, segment: Segment, m: Modality, explained: str) -> RuleReading | None:
        """What the rules find in one modality; ``None`` if no rules read this kind of input, or there are no labels."""
        predictor = self._predictor
        if predictor.model.task == "dimensions":
            return None
        encoder = predictor.bundle.model.encoders[m]
        if not isinstance(encoder, Encoder):
            return None
        found = rule_findings(self._clip(segment, m), encoder)
        return None if found is None else rule_reading(m, found, predictor.labels, explained)

    def _clip(self, segment: Segment, m: Modality) -> ClipInput:
        raw, entry = (segment.raw or {}).get(m), self._predictor.bundle.inputs[m]
        times = raw.times.tolist() if isinstance(raw, FacePositions) else None
        voice = self._companions.baseline(segment) or self._predictor.bundle.voice if m == "speech" else None
        return ClipInput(m, entry, segment.inputs[m], raw, segment.start, times, voice)


def disagreements(rules: Sequence[RuleReading], label: str) -> list[str]:
    """A sentence for each modality whose rules decide for another label than the model.

    Args:
        rules: what the rules found.
        label: the label of the model.
    """
    found = []
    for one in rules:
        if one.agrees is False:
            because = "; ".join(reason.rule for reason in one.reasons[:3])
            found.append(f"{one.modality}: the rules find {one.label} and the model {label}, because {because}")
    return found


def _tried(what: str, limits: list[str], work: Callable[[], T]) -> T | None:
    """The result of a part of the explanation; if it fails, ``None``, and a line in ``limits``.

    Args:
        what: name of the part.
        limits: receives why it failed.
        work: the part.
    """
    try:
        return work()
    except CheckpointError:
        raise  # the model itself cannot be used
    except MultiemoError as error:
        limits.append(f"{what} could not be explained: {error}")
    except Exception as error:  # whatever a library raises, the other parts are still worth having
        limits.append(
            f"{what} could not be explained: an unexpected error ({type(error).__name__}: {error}); please report it"
        )
    return None
