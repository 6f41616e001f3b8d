"""An explanation with everything that a page can show, for tests of the page."""

from __future__ import annotations

from multiemo.calibration import Calibration
from multiemo.explanation.faithfulness.records import ClaimCheck, Difference, Faithfulness
from multiemo.explanation.records import (
    Conflict,
    Counterfactual,
    EvidenceMap,
    EvidencePart,
    EvidenceView,
    ModalityAttribution,
    ModalityEvidence,
    RuleReading,
)
from multiemo.predict.explanations.records import Explanation, SegmentExplanation, VoiceTrack
from multiemo.predict.prediction import InputPrediction, ModelDescription, SegmentPrediction, Words
from multiemo.rules.findings import RuleReason

NASTY = "<script>alert(1)</script> & \"quoted\" 'x'"
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def _segment(start: float, label: str, best: str, text: str) -> SegmentPrediction:
    return SegmentPrediction(
        start=start,
        end=start + 4,
        kind="speech",
        label=label,
        best=best,
        probs={"happy": 0.6, "sad": 0.4},
        by_modality={"text": {"happy": 0.7, "sad": 0.3}, "speech": {"happy": 0.2, "sad": 0.8}},
        modality_label={"text": "happy", "speech": "sad"},
        contribution={"text": 0.2, "speech": -0.1},
        present=["text", "speech"],
        absent={"face": NASTY},
        text=text,
    )


def full_explanation(text: str = f"Not so great {NASTY}", language: str | None = "en") -> Explanation:
    """Two segments, the first explained with every kind of evidence.

    Args:
        text: words of the explained segment; "great" gets a score if it is in there.
        language: language of the words.
    """
    first, second = _segment(0.0, "happy", "happy", text), _segment(4.0, "uncertain", "happy", "x")
    at = max(text.find("great"), 0)
    words = [
        EvidencePart(name=text[:3], score=-0.4, first=0, last=3),
        EvidencePart(name="great", score=1.2, first=max(at, 3), last=max(at, 3) + 5),
    ]
    cue = EvidencePart(name="pitch range", score=0.8, value=8.0, unit="semitones", deviation=2.1, detail="wide range")
    spans = [EvidencePart(name="a", score=0.5, start=0.0, end=1.0), EvidencePart(name="b", score=-0.5, start=1, end=2)]
    said = ModalityEvidence(
        modality="text",
        label="happy",
        views=[
            EvidenceView(
                unit="word",
                method="integrated gradients",
                parts=words,
                trust="passed",
                baseline="padding",
                notes=[NASTY],
            )
        ],
        counterfactual=Counterfactual(change=f"without '{NASTY}'", part="great", label="sad", before=0.6, after=0.3),
        tried=4,
    )
    heard = ModalityEvidence(
        modality="speech",
        label="happy",
        views=[
            EvidenceView(unit="cue", method="occlusion", parts=[cue], trust="not measured", baseline="the mean"),
            EvidenceView(unit="time", method="occlusion", parts=spans, trust="not measured", baseline="silence"),
        ],
        maps=[
            EvidenceMap(kind="crop", scores=[[0.5, -0.5]], picture=_PIXEL, start=1, end=1, method="x", trust="passed",
                checked_as="region",
            ),
            EvidenceMap(
                kind="spectrogram", scores=[[0.1], [0.4]], picture=None, start=0, end=4, low=50, high=8000, method="x",
                trust="not measured",
            ),
        ],
        tried=3,
        hidden={"column": NASTY},
        limits=[NASTY],
    )  # fmt: skip
    reason = RuleReason(rule=NASTY, part=NASTY, effect={"sad": 1.0}, source="list")
    rules = [
        RuleReading(modality="text", label="sad", probs={"sad": 1.0}, reasons=[reason], agrees=False, limits=[NASTY]),
        RuleReading(modality="speech", label=None, probs={}, reasons=[], agrees=None),
    ]
    attribution = ModalityAttribution(
        label="happy",
        baseline=0.5,
        probability=0.6,
        contribution={"text": 0.2, "speech": -0.1},
        interaction={"text+speech": -0.05},
        coalitions={"": 0.5, "T": 0.7, "S": 0.4, "TS": 0.6},
        additive_probs={"happy": 0.6, "sad": 0.4},
        additive_label="sad",
    )
    conflict = Conflict(
        first="text", second="speech", first_says="positive", second_says="negative", score=0.9, false_alarm_rate=0.04,
        flagged=True,
    )  # fmt: skip
    explained = SegmentExplanation(
        prediction=first,
        chosen="conflict",
        explained="happy",
        text=text,
        attribution=attribution,
        conflicts=[conflict],
        evidence=[said, heard],
        rules=rules,
        voice=VoiceTrack(start=0.0, step=1.0, pitch=[200.0, None, 220.0, 180.0], level=[-20.0, -60.0, -30.0, -25.0]),
        limits=[NASTY],
    )
    prediction = InputPrediction(
        input=NASTY,
        duration=8.0,
        present=["text", "speech"],
        absent={"face": NASTY},
        words=Words(source="given", language=language),
        segments=[first, second],
        skipped=[],
        people=[],
        notes=[NASTY],
    )
    model = ModelDescription(
        name=NASTY,
        label_set="custom",
        labels=["happy", "sad"],
        modalities=["text", "speech", "face"],
        trained_on="synthetic",
        validation={"uar": 0.7},
        calibration=Calibration(max_error=0.2, thresholds={"TS": 0.7}),
    )
    return Explanation(
        prediction=prediction, segments=[explained], language=language, model=model, faithfulness=_measured()
    )


def _measured() -> Faithfulness:
    figure = Difference(mean=0.2, interval=(0.1, 0.3))
    claims = ClaimCheck(system="x", clips=9, speakers=3, credited=figure, random=figure, difference=figure)
    return Faithfulness(corpus="c", part="val", clips=9, seed=0, views=[], claims=claims)
