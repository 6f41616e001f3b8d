"""Figures of single clips -> figures of a view, and the decision whether it can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from multiemo.explanation.faithfulness.curves import CurveFigures
from multiemo.explanation.faithfulness.records import Difference, ViewFaithfulness
from multiemo.explanation.records import Trust, UnitKind
from multiemo.metrics import mean_estimate
from multiemo.types import Modality

#: With fewer speakers (but more than one), a wide interval alone does not fail a view.
FEWEST_SPEAKERS = 5
#: Similarity to shuffled weights from which a view fails. Half-way between random orders (0) and the same order (1),
#: the larger part of the order comes from the input and the architecture instead of from what was learnt.
SIMILAR = 0.5


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """The checks of one view of one clip.

    Args:
        modality: the modality.
        unit: what the parts are.
        method: how the scores were computed.
        speaker: speaker of the clip.
        curves: figures of removals.
        similarity_to_shuffled: as in :class:`ViewFaithfulness`; NaN with two parts, as their order is always the same
            or the reverse.
        stability: as in :class:`ViewFaithfulness`; NaN if the disturbed input has other parts.
    """

    modality: Modality
    unit: UnitKind
    method: str
    speaker: str
    curves: CurveFigures
    similarity_to_shuffled: float
    stability: float


def summarise(
    clips: Sequence[ClipFigures], left_out: Mapping[tuple[Modality, UnitKind], int], seed: int = 0
) -> list[ViewFaithfulness]:
    """The figures of every view, with intervals over speakers, in order of the first clip that has it.

    Args:
        clips: figures of single clips.
        left_out: {(modality, unit): number of clips with fewer than two parts}.
        seed: seed of the bootstrap.
    """
    views = dict.fromkeys((clip.modality, clip.unit) for clip in clips)
    return [
        _view([c for c in clips if (c.modality, c.unit) == key], left_out.get(key, 0), seed) for key in views
    ]  # fmt: skip


def _view(clips: Sequence[ClipFigures], left_out: int, seed: int) -> ViewFaithfulness:
    speakers = [clip.speaker for clip in clips]

    def over_speakers(values: Sequence[float], low: float = -np.inf, high: float = np.inf) -> Difference:
        known = np.asarray(values, dtype=float)
        if np.isnan(known).all():
            return Difference(mean=np.nan, interval=(np.nan, np.nan))
        found = mean_estimate(known, speakers, low=low, high=high, seed=seed)
        return Difference(mean=round(found.value, 6), interval=(round(found.low, 6), round(found.high, 6)))

    curves = [asdict(clip.curves) for clip in clips]
    figures = {name: over_speakers([c[name] for c in curves]) for name in curves[0]}
    similarity = over_speakers([clip.similarity_to_shuffled for clip in clips], high=1.0)
    trust, reasons = decide_trust(len(clips), len(set(speakers)), figures["deletion"], similarity)
    methods = Counter(clip.method for clip in clips)
    return ViewFaithfulness(
        modality=clips[0].modality,
        unit=clips[0].unit,
        method=", ".join(name for name, _ in methods.most_common()),
        clips=len(clips),
        left_out=left_out,
        speakers=len(set(speakers)),
        similarity_to_shuffled=similarity,
        stability=over_speakers([clip.stability for clip in clips], -1.0, 1.0),
        trust=trust,
        reasons=reasons,
        **figures,
    )


def decide_trust(clips: int, speakers: int, deletion: Difference, similarity: Difference) -> tuple[Trust, list[str]]:
    """Whether a view is shown.

    Two conditions are necessary for scores to be about the model. Removing what they name must lower the label's
    log-odds more than removing anything else (deletion above zero, with the whole interval, so that another draw of
    speakers would rarely say otherwise). And they must depend on what the model has learnt (similarity to shuffled
    weights below :data:`SIMILAR`, with the whole interval). The other figures describe how good the scores are; a
    threshold for them would be arbitrary.

    With two to four speakers an interval says little. A view is then undecided, and not failed, if only the width of
    its intervals stands against it. (With one speaker, intervals are over clips.) The same holds for a figure that is
    exactly the same for all speakers, which says nothing of others; the lower end of its interval is infinite.

    Args:
        clips: number of clips.
        speakers: number of their speakers.
        deletion: deletion over random.
        similarity: similarity to shuffled weights.

    Returns:
        The decision, and why the view did not pass.
    """
    if clips < 2:
        return "not measured", ["only one clip has two parts or more"]
    reasons, against = [], []
    if not deletion.interval[0] > 0:
        against.append(deletion)
        reasons.append(
            "removing the parts with the highest scores first is not clearly better than removing parts at random: "
            f"{_written(deletion)}"
        )
    if similarity.interval[1] >= SIMILAR:
        against.append(similarity)
        reasons.append(
            f"the scores depend too little on what the model has learnt: similarity to those of shuffled weights "
            f"{_written(similarity)}, and it must be below {SIMILAR}"
        )
    few, alike = 1 < speakers < FEWEST_SPEAKERS, all(np.isinf(figure.interval[0]) for figure in against)
    if reasons and (alike or few) and deletion.mean > 0 and not similarity.mean >= SIMILAR:
        why = f"only {speakers} speakers, too few to decide" if few else "no spread over speakers to decide by"
        return "not measured", [
            f"{why}: deletion {_written(deletion)}; similarity to the scores of shuffled weights {_written(similarity)}"
        ]
    if reasons:
        return "failed", reasons
    if np.isnan(similarity.mean):
        return "not measured", ["no clip has three parts, so the order under shuffled weights says nothing"]
    return "passed", []


def _written(value: Difference) -> str:
    low, high = value.interval
    return f"{value.mean:.3f}, 95% interval {low:.3f} .. {high:.3f}"
