"""Figures of clips become figures of views, and the decision whether to trust them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from multiemo.explanation.faithfulness.curves import CurveFigures
from multiemo.explanation.faithfulness.records import Difference, ViewFaithfulness
from multiemo.explanation.faithfulness.summary import ClipFigures, decide_trust, summarise
from multiemo.metrics import mean_estimate

NAN, INF = float("nan"), float("inf")


def clip(speaker: str, deletion: float, *, similarity: float = 0.0) -> ClipFigures:
    curves = CurveFigures(deletion, 0.1, 0.2, 0.3, 0.4, 0.5)
    return ClipFigures("speech", "time", "occlusion", speaker, curves, similarity, 0.9)


def test_means_are_over_clips_and_intervals_over_speakers() -> None:
    values = np.random.default_rng(0).normal(1, 0.3, 40)
    speakers = [f"s{i % 8}" for i in range(40)]
    found = summarise([clip(s, v) for s, v in zip(speakers, values, strict=True)], {("speech", "time"): 3})[0]
    expected = mean_estimate(values, speakers)
    assert found.deletion.mean == pytest.approx(expected.value, abs=1e-6)
    assert found.deletion.interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert (found.clips, found.speakers, found.left_out, found.trust) == (40, 8, 3, "passed")
    assert (found.insertion.mean, found.comprehensiveness.mean, found.sufficiency.mean) == (0.2, 0.4, 0.5)


def test_views_are_kept_apart_and_methods_are_listed() -> None:
    other = replace(clip("a", 1.0), unit="cue", method="Shapley values")
    found = summarise([clip("a", 1.0), other, replace(other, method="occlusion"), other], {})
    assert [(v.unit, v.clips, v.method) for v in found] == [
        ("time", 1, "occlusion"),
        ("cue", 3, "Shapley values, occlusion"),
    ]


def test_speakers_who_are_all_alike_say_nothing_of_others(conforms: object) -> None:
    """Such an interval had no width, and two equal clips passed."""
    for names in ("ab", "abcdefgh"):
        found = summarise([clip(s, 1e-6) for s in names], {})[0]
        assert (found.deletion.mean, found.trust) == (1e-6, "not measured")
    assert found["deletion"] == {"mean": 1e-6, "interval": [None, None]}
    conforms(found, ViewFaithfulness)  # type: ignore[operator]


def test_clips_without_a_comparison_do_not_count_for_it(conforms: object) -> None:
    clips = [clip("a", 1.0, similarity=0.2), clip("b", 1.0, similarity=NAN), clip("c", 1.2, similarity=0.2)]
    found = summarise(clips, {})[0]
    assert found.similarity_to_shuffled.mean == 0.2
    none = summarise([clip(s, v, similarity=NAN) for s, v in (("a", 1.0), ("b", 1.1))], {})[0]
    assert none["similarity_to_shuffled"] == {"mean": None, "interval": [None, None]}
    conforms(none, ViewFaithfulness)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("speakers", "deletion", "similarity", "expected", "reason"),
    [
        (9, (0.4, 0.1, 0.7), (0.1, 0.0, 0.2), "passed", ""),
        (9, (0.4, -0.1, 0.9), (0.1, 0.0, 0.2), "failed", "not clearly better"),
        (9, (0.4, 0.1, 0.7), (0.45, 0.3, 0.6), "failed", "learnt"),
        (3, (0.4, -0.1, 0.9), (0.1, -0.4, 0.6), "not measured", "only 3 speakers"),
        (3, (-0.4, -0.9, 0.1), (0.1, 0.0, 0.2), "failed", "not clearly better"),
        (3, (0.4, 0.1, 0.7), (0.8, 0.7, 0.9), "failed", "learnt"),
        (1, (0.4, -0.1, 0.9), (0.1, 0.0, 0.2), "failed", "not clearly better"),
        (9, (0.4, 0.1, 0.7), (NAN, NAN, NAN), "not measured", "three parts"),
        (9, (0.4, -INF, INF), (0.1, 0.0, 0.2), "not measured", "no spread"),
        (9, (0.4, 0.1, 0.7), (0.3, -INF, 0.6), "not measured", "no spread"),
        (9, (0.4, -0.1, 0.9), (0.3, -INF, 0.6), "failed", "not clearly better"),
        (9, (0.0, -INF, INF), (0.1, 0.0, 0.2), "failed", "not clearly better"),
    ],
)  # fmt: skip
def test_decision(
    speakers: int, deletion: tuple[float, ...], similarity: tuple[float, ...], expected: str, reason: str
) -> None:
    values = [Difference(mean=v[0], interval=(v[1], v[2])) for v in (deletion, similarity)]
    trust, reasons = decide_trust(20, speakers, *values)
    assert trust == expected
    assert reason in "; ".join(reasons)
    assert bool(reasons) == (expected != "passed")
    assert decide_trust(1, 1, *values)[0] == "not measured"
