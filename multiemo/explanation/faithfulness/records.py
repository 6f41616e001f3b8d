"""Records of measured faithfulness, stored beside a model as ``faithfulness.json``."""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from multiemo.explanation.records import Trust, UnitKind
from multiemo.metrics.results import Figure
from multiemo.records import Record, record
from multiemo.types import Modality

#: Lower and upper bound of a 95% interval over speakers.
Interval: TypeAlias = tuple[Figure, Figure]


@record
class Difference(Record):
    """A mean over clips with its interval over speakers; ``null`` if no clip has a value.

    Args:
        mean: mean over clips.
        interval: 95% bootstrap interval over speakers.
    """

    mean: Figure
    interval: Interval


@record
class ViewFaithfulness(Record):
    """How faithful one view of one modality is on this model.

    Areas are means over the share of parts removed (or kept), of the log-odds of the explained label. They are defined
    in :mod:`multiemo.explanation.faithfulness.curves`, the controls in ``controls``, the decision in ``summary``.

    Args:
        modality: the modality.
        unit: what the parts are.
        method: how scores are computed.
        clips: number of clips with at least two parts.
        left_out: number of drawn clips with fewer, which no order can be checked on.
        speakers: number of speakers of the clips.
        deletion: area under the curve when parts are removed at random, minus that when the highest scores are removed
            first; positive if the scores find what the model uses.
        deletion_over_magnitude: the same against removing the largest parts first, whatever the model.
        insertion: area when the highest scores are kept first, minus that when parts are kept at random.
        insertion_over_magnitude: the same against keeping the largest parts first.
        comprehensiveness: mean fall of the probability when the top 10, 20 and 50% of the parts are removed; larger is
            better.
        sufficiency: mean fall of the probability when only the top 10, 20 and 50% of the parts are kept; smaller is
            better.
        similarity_to_shuffled: similarity to the scores of the same model with shuffled weights: the mean absolute rank
            correlation, corrected for chance. 0: as similar as random orders of as many parts. 1: the same order, so
            that the scores do not depend on what the model has learnt. ``null`` if no clip has three parts.
        stability: mean rank correlation with the scores of a slightly disturbed input.
        trust: whether the view passed: deletion above zero and similarity to shuffled weights below one half, both with
            their whole interval. ``not measured`` where the clips cannot decide: fewer than two of them, none with
            three parts, intervals that are wide because there are fewer than five speakers, or a figure that is the
            same for all of them.
        reasons: why it did not pass, one sentence each.
    """

    modality: Modality
    unit: UnitKind
    method: str
    clips: int
    left_out: int = 0
    speakers: int
    deletion: Difference
    deletion_over_magnitude: Difference
    insertion: Difference
    insertion_over_magnitude: Difference
    comprehensiveness: Difference
    sufficiency: Difference
    similarity_to_shuffled: Difference
    stability: Difference
    trust: Trust
    reasons: list[str] = field(default_factory=list)


@record
class ClaimCheck(Record):
    """Does a model use the modality that it credits most?

    Args:
        system: name of the model or system.
        clips: number of clips with at least two modalities.
        speakers: number of their speakers.
        credited: share of clips whose label changes when the most credited modality is removed.
        random: share of clips whose label changes when a random modality is removed.
        difference: ``credited - random``.
    """

    system: str
    clips: int
    speakers: int
    credited: Difference
    random: Difference
    difference: Difference


@record
class ClaimReport(Record):
    """Whether systems use the modality that they credit most: what ``multiemo claims`` writes.

    Args:
        checks: one entry per system.
    """

    checks: list[ClaimCheck]


@record
class Faithfulness(Record):
    """Measured faithfulness of the explanations of one model.

    Args:
        corpus: name of the manifest it was measured on.
        part: part of the split: ``val`` unless another one was asked for.
        clips: number of clips that were drawn.
        seed: seed of the draw and of the random orders.
        views: each view of each modality.
        weights: SHA-256 of the weights that were measured; left out for the models of several folds.
        claims: whether the model uses the modality it credits most; left out for a single branch, a
            model of dimensions, and if no clip of the part has two modalities.
        notes: remarks.
    """

    corpus: str
    part: str
    clips: int
    seed: int
    views: list[ViewFaithfulness]
    weights: str | None = None
    claims: ClaimCheck | None = None
    notes: list[str] = field(default_factory=list)

    def view(self, modality: Modality, unit: UnitKind) -> ViewFaithfulness | None:
        """The figures of one view; ``None`` if it was not measured."""
        return next((view for view in self.views if (view.modality, view.unit) == (modality, unit)), None)

    def trust(self, modality: Modality, unit: UnitKind) -> Trust:
        """Whether a view passed."""
        view = self.view(modality, unit)
        return "not measured" if view is None else view.trust
