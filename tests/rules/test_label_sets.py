"""Findings as evidence for the labels of any set."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.labels.sets import LABEL_SETS
from multiemo.rules.findings import EMOTIONS, Findings, RuleReason
from multiemo.rules.label_sets import emotion_of, evidence_weights, label_shares
from multiemo.rules.vector import RULE_COLUMNS, rule_vector
from multiemo.types import DIMENSIONS

FIRED = [RuleReason(rule="r", part="p", effect={}, source="s")]


def found(valence: float = 0.0, arousal: float = 0.0, **scores: float) -> Findings:
    return Findings(scores, valence, arousal, FIRED)


def best(findings: Findings, labels: str) -> str:
    shares = label_shares(findings, LABEL_SETS.get(labels) or labels.split(","))
    return max(shares, key=shares.__getitem__)


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_named_set_reads_happiness_and_anger(name: str) -> None:
    happy, angry = found(0.7, 0.4, happy=1.2), found(-0.7, 0.6, angry=1.2)
    shares = label_shares(happy, LABEL_SETS[name])
    assert sum(shares.values()) == pytest.approx(1.0)
    if not name.startswith("polarity") and "angry" in map(emotion_of, LABEL_SETS[name]):
        assert emotion_of(best(angry, name)) == "angry"
    if "happy" in map(emotion_of, LABEL_SETS[name]):
        assert emotion_of(best(happy, name)) in ("happy", None)
    if name.startswith("polarity"):
        assert best(happy, name).endswith("positive")
        assert best(angry, name).endswith("negative")


@pytest.mark.parametrize(
    ("findings", "labels", "label"),
    [
        (found(0.6, 0.9, happy=1.0), "happy,excited", "excited"),
        (found(0.6, 0.0, happy=1.0), "happy,excited", "happy"),
        (found(-0.5, -0.5, sad=0.4, disgusted=0.4), "happy,angry,bored", "bored"),
        (found(-0.6, 0.6), "bored,frustrated,happy", "frustrated"),
        (found(-0.7, 0.0), "worried,powerful", "worried"),
        (found(0.7, 0.0), "worried,powerful", "powerful"),
        (found(0.7, 0.3, happy=1.0), "Joy,Anger", "Joy"),
        (found(-0.7, 0.3, angry=1.0), "Positive,NEGATIVE", "NEGATIVE"),
        (found(0.9, 0.3, happy=1.0), "very negative,negative,neutral,positive,very positive", "very positive"),
        (found(0.4, 0.3, happy=1.0), "very negative,negative,neutral,positive,very positive", "very positive"),
        (found(neutral=1.0), "polarity3", "neutral"),
    ],
)
def test_the_likeliest_label(findings: Findings, labels: str, label: str) -> None:
    assert best(findings, labels) == label


def test_no_rule_is_no_evidence_for_any_label() -> None:
    nothing = Findings({}, 0.4, 0.4)  # valence without a reason does not count
    for labels in LABEL_SETS.values():
        assert len(set(label_shares(nothing, labels).values())) == 1


def test_a_label_that_rules_cannot_know_gets_no_evidence() -> None:
    weights = evidence_weights(["happy", "sarcastic"])
    assert not weights[:, 1].any()
    assert weights[:, 0].any()


def test_dimensions_get_their_values() -> None:
    for valence, arousal in ((0.5, -0.3), (-0.8, 0.8)):
        values = np.tanh(rule_vector(found(valence, arousal)) @ evidence_weights(DIMENSIONS))
        assert values == pytest.approx([valence, arousal, 0.0], abs=0.07)


def test_the_vector_holds_the_findings() -> None:
    vector = dict(zip(RULE_COLUMNS, rule_vector(found(-0.4, 0.3, sad=1.5)).tolist(), strict=True))
    assert {k: round(v, 4) for k, v in vector.items() if v} == {
        "sad": 1.5,
        "negative": 0.4,
        "aroused": 0.3,
        "fired": 0.5,
    }
    assert RULE_COLUMNS[: len(EMOTIONS)] == EMOTIONS
