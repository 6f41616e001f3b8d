"""What a prediction comes down to, in plain sentences: for the top of the page and for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from multiemo.calibration import UNCERTAIN
from multiemo.predict.explanations.page.formats import number, percent, signed
from multiemo.predict.explanations.page.wording import PageTexts
from multiemo.predict.explanations.records import Explanation, SegmentExplanation
from multiemo.predict.prediction import ModelDescription, SegmentPrediction
from multiemo.predict.timeline.captions import clock
from multiemo.types import DIMENSIONS, Modality, subset_key

#: Smallest contribution that is mentioned: half a percentage point.
_MENTIONED = 0.005


def overall(explanation: Explanation, t: PageTexts) -> list[str]:
    """What the whole input comes down to, one sentence each.

    Args:
        explanation: the explanation.
        t: the texts of a language.
    """
    found = explanation.prediction.segments
    if len(found) == 1:
        sentences = [*verdict(found[0], explanation.model, t)]
        if explanation.segments:
            sentences += basis(explanation.segments[0], t)
        reasons = found[0].absent
        return sentences + [t("not_read", modality=t(m), reason=why) for m, why in reasons.items()]
    sentences = _many(found, t)
    absent = explanation.prediction.absent
    return sentences + [t("not_read", modality=t(m), reason=why) for m, why in absent.items()]


def _many(found: list[SegmentPrediction], t: PageTexts) -> list[str]:
    """The verdict on several segments."""
    labels = Counter(s.best for s in found if s.best is not None)
    if not labels:
        sentences = []
        for name in DIMENSIONS:
            values = [v for s in found if (v := getattr(s, name)) is not None]
            if values:
                low, high = signed(min(values)), signed(max(values))
                sentences.append(t("verdict_many_dimensions", count=len(found), name=t.name(name), low=low, high=high))
        return sentences
    label, share = labels.most_common(1)[0]
    sentences = [t("verdict_many", count=len(found), label=t.name(label), share=share)]
    strongest = max(found, key=confidence)
    sentences.append(
        t(
            "verdict_strongest",
            label=t.name(strongest.best or ""),
            time=clock(strongest.start),
            percent=percent(confidence(strongest)),
        )
    )
    undecided = sum(s.label == UNCERTAIN for s in found)
    return [*sentences, t("verdict_uncertain_many", count=undecided)] if undecided else sentences


def verdict(segment: SegmentPrediction, model: ModelDescription, t: PageTexts) -> list[str]:
    """What the model decided for one segment, and whether it commits itself.

    Args:
        segment: the prediction.
        model: the model that made it.
        t: the texts of a language.
    """
    if segment.best is None:
        return [t("verdict_dimensions", values=dimensions(segment, t))]
    sure = percent(confidence(segment))
    if segment.label != UNCERTAIN:
        sentences = [t("verdict", label=t.name(segment.best), percent=sure)]
        if segment.labels is not None and len(segment.labels) > 1:
            sentences.append(t("verdict_several", labels=t.listed(map(t.name, segment.labels))))
        return sentences
    sentences = [t("verdict_uncertain", label=t.name(segment.best), percent=sure)]
    threshold = model.calibration.thresholds.get(subset_key(segment.present))
    error = percent(model.calibration.max_error or 0.0)
    if threshold is None:
        return [*sentences, t("verdict_no_threshold", error=error)]
    return [*sentences, t("verdict_threshold", threshold=percent(threshold), error=error)]


def basis(explained: SegmentExplanation, t: PageTexts) -> list[str]:
    """On which modalities the decision rests, and which ones speak against it.

    Args:
        explained: the explained segment.
        t: the texts of a language.
    """
    shares = contribution_of(explained)
    if not shares:
        return []
    if explained.prediction.best is None:
        described = {m: signed(v) for m, v in shares.items()}
        small = 0.005
    else:
        described = {m: points(v, t) for m, v in shares.items()}
        small = _MENTIONED
    order = sorted(shares, key=lambda m: -abs(shares[m]))
    first = next((m for m in order if shares[m] >= small), None)
    if explained.prediction.best is None:
        first = order[0] if abs(shares[order[0]]) >= small else None
    if first is None:
        sentences = [t("basis_none", label=t.name(explained.explained))]
        against = [m for m in order if shares[m] <= -small]
        also = []
    else:
        sign = 1 if shares[first] > 0 else -1
        sentences = [t("basis", modality=t(f"the_{first}"), points=described[first])]
        also = [m for m in order if m != first and sign * shares[m] >= small]
        against = [m for m in order if sign * shares[m] <= -small]
    for key, members in (("basis_also", also), ("basis_against", against)):
        if members:
            sentences.append(t(key, list=t.listed(f"{t(f'the_{m}')} ({described[m]})" for m in members)))
    return sentences


def contribution_of(explained: SegmentExplanation) -> Mapping[Modality, float]:
    """What each modality contributes to what is explained: the probability of a label, or a dimension."""
    by_dimension = explained.prediction.contribution_by_dimension
    if by_dimension is not None:
        return by_dimension.get(explained.explained, {})
    return explained.prediction.contribution or {}


def confidence(segment: SegmentPrediction) -> float:
    """Probability of the decided label; 0 for a model without labels."""
    return 0.0 if segment.best is None or segment.probs is None else segment.probs[segment.best]


def points(share: float, t: PageTexts) -> str:
    """A difference of probabilities in percentage points.

    Args:
        share: the difference.
        t: the texts of a language.
    """
    return t("points", value=signed(100 * share, 0))


def dimensions(segment: SegmentPrediction, t: PageTexts) -> str:
    """The dimensions of a segment with their values.

    Args:
        segment: the prediction.
        t: the texts of a language.
    """
    values = {name: getattr(segment, name) for name in DIMENSIONS}
    return t.listed(f"{t.name(n)} {signed(v)}" for n, v in values.items() if v is not None)


def amount(value: float, unit: str | None) -> str:
    """A measured value with its unit.

    Args:
        value: the value.
        unit: its unit, if it has one.
    """
    return f"{number(value)} {unit}" if unit else number(value)
