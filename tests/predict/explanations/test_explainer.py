"""Explanations of files, texts and films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import multiemo
from multiemo.calibration.conflict import ConflictCalibration
from multiemo.config import load_config
from multiemo.errors import ConfigError
from multiemo.predict.explanations.page.page import render_page
from multiemo.runs import train
from tests.support.documents import check_record


@pytest.mark.slow
def test_the_prediction_of_an_explanation_is_that_of_predict(model, talk):
    why = model.explain(talk, text="I am so happy today and this is great", most=2)
    assert why.prediction == model.predict(talk, text="I am so happy today and this is great")
    assert len(why.segments) == 2
    starts = [one.prediction.start for one in why.segments]
    assert starts == sorted(starts)
    assert all(one.prediction in why.prediction.segments for one in why.segments)
    assert any("were not explained" in note for note in why.notes)
    check_record(why)


def test_contributions_and_attribution_agree(model):
    (one,) = model.explain(text="I am so happy today").segments
    assert one.attribution is not None
    assert one.attribution.contribution == pytest.approx(one.prediction.contribution, abs=1e-5)
    assert one.attribution.probability == pytest.approx(one.prediction.probs[one.prediction.best], abs=1e-5)
    assert one.text == "I am so happy today"


@pytest.mark.slow
def test_only_the_asked_span_is_explained(model, talk):
    why = model.explain(talk, start=5, end=9)
    assert why.segments
    assert all(s.prediction.start < 9 and s.prediction.end > 5 for s in why.segments)
    with pytest.raises(ConfigError, match="no segment between 500"):
        model.explain(talk, start=500)
    with pytest.raises(ConfigError, match="apply to films"):
        model.explain(text="hello", start=1)


def test_missing_conflict_scores_are_explained(model, monkeypatch):
    conflict = ConflictCalibration(missing={"SF": "too few clips"})
    monkeypatch.setattr(model, "calibration", replace(model.calibration, conflict=conflict))
    why = model.explain(text="I am so happy today")
    assert "no conflict score for speech and face: too few clips" in why.notes


@pytest.mark.parametrize("text", ["Wonderful", "Je suis heureux aujourd'hui"])
def test_one_word_and_a_language_without_a_lexicon_are_explained_with_their_limits(model, text):
    (one,) = model.explain(text=text).segments
    assert one.limits == [], "no part failed"
    (words,), (rules,) = one.evidence, one.rules
    said = " ".join([*words.limits, *rules.limits])
    assert ("there is only one word" in said) == (" " not in text)
    assert ("no built-in list for the language 'fr'" in said) == (" " in text)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({"task": "dimensions"}, "no label that a change could turn"),
        ({"encoders": "{text: {name: text_rules}}", "init": "{}"}, "this branch consists of rules"),
    ],
)
def test_dimensions_and_rules_say_what_cannot_be_explained(tiny_config, tmp_path, lines, expected):
    config = Path(tiny_config(tmp_path, modalities=("text",), **lines))
    if "task" in lines:
        config.write_text(config.read_text("utf-8").replace("label_set: demo5\n", ""), "utf-8")
    train(load_config(str(config)), tmp_path / "run")
    why = multiemo.load(tmp_path / "run").explain(text="I am so happy")
    (one,) = why.segments
    assert one.limits == [], "no part failed"
    assert expected in one.evidence[0].limits[0]
    assert expected in render_page(why)
