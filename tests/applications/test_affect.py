"""Valence and arousal of labels."""

from __future__ import annotations

from multiemo.applications.affect import DERIVED, HEAD, affect, coordinates


def test_valence_of_labels() -> None:
    assert affect({"angry": 1.0}, 0.3, -0.1) == (0.3, -0.1, HEAD)
    assert affect({"happy": 0.5, "neutral": 0.5}) == (0.405, 0.255, DERIVED)
    assert affect({"powerful": 1.0}) is None
    assert affect({}) is None
    scale = coordinates(("very negative", "negative", "neutral", "positive", "very positive"))
    assert [valence for valence, _ in scale.values()] == [-1, -0.5, 0, 0.5, 1]
    assert affect({"negative": 0.75, "positive": 0.25}) == (-0.5, None, DERIVED)


def test_labels_that_the_source_does_not_rate() -> None:
    from multiemo.labels import LABEL_SETS

    go = coordinates(LABEL_SETS["goemotions28"])
    assert go["annoyance"] == go["anger"]
    assert go["neutral"] == (0.0, 0.0)
    assert len(go) == 28
    assert "powerful" not in coordinates(LABEL_SETS["emorynlp7"])
    said = affect(dict(zip(LABEL_SETS["emorynlp7"], [0.5, 0, 0, 0, 0, 0.5, 0], strict=True)))
    assert said is not None
    assert said.valence == coordinates(LABEL_SETS["emorynlp7"])["joyful"][0]
