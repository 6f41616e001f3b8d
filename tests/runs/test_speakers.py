"""Runs whose encoders normalise speakers: what they learn, how they are tested, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from multiemo.config import parse_config
from multiemo.errors import ConfigError
from multiemo.runs import train
from multiemo.runs.evaluation import evaluate_run
from multiemo.runs.model_folder import load_bundle
from tests.support.resting_faces import config, write_corpus


def test_knowing_a_person_helps_where_people_differ_at_rest(resting_run: Path) -> None:
    stranger = evaluate_run(resting_run)
    known = evaluate_run(resting_run, enrol_clips=8)
    assert stranger.subsets["F"]["uar"] < 0.75
    assert known.subsets["F"]["uar"] > 0.9
    assert any("up to 8 other clips of its speaker" in note for note in known.notes)
    assert [prediction["id"] for prediction in known.predictions] == [p["id"] for p in stranger.predictions]


def test_the_same_clips_are_drawn_again(resting_run: Path) -> None:
    first, second = (evaluate_run(resting_run, enrol_clips=2).predictions for _ in range(2))
    assert first == second


def test_the_reading_is_logged_with_its_enrolment(resting_run: Path) -> None:
    evaluate_run(resting_run, enrol_clips=3)
    last = json.loads((resting_run / "evaluations.jsonl").read_text("utf-8").splitlines()[-1])
    assert last["by"] == "evaluate --enrol-clips 3"


def test_what_is_usual_is_stored_with_the_model(resting_run: Path) -> None:
    offset = load_bundle(resting_run).model.encoders["face"].speaker_offset
    assert torch.isfinite(offset.ratio).all()
    assert (offset.ratio < 1).all()  # people differ by 4, the clips of one by 0.5 to 1.6
    assert offset.mean.abs().max() > 0.1


def test_without_the_option_nothing_can_be_enrolled(resting_corpus: Path, tmp_path: Path) -> None:
    train(config(resting_corpus, encoders={"face": {"name": "features"}}, training={"epochs": 1}), tmp_path / "run")
    assert load_bundle(tmp_path / "run").model.encoders["face"].speaker_offset is None
    with pytest.raises(
        ConfigError, match=r"--enrol-clips: no encoder of this model normalises speakers; train it with"
    ):
        evaluate_run(tmp_path / "run", enrol_clips=4)


def test_speakers_must_be_named(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path, speakers=6, clips=4, named=False)
    split = {"kind": "holdout", "group_by": "group", "val": 0.2, "test": 0.3}
    with pytest.raises(ConfigError, match=r"encoders.face.speaker_normalization: needs speakers with several clips"):
        train(config(manifest, data={"manifest": str(manifest), "split": split}), tmp_path / "run")


def test_privacy_refuses_it(resting_corpus: Path) -> None:
    values = {"name": "x", "label_set": "ekman7", "data": {"manifest": str(resting_corpus)}, "stages": ["face"]}
    values |= {"encoders": {"face": {"name": "features", "speaker_normalization": True}}, "privacy": {"epsilon": 8.0}}
    with pytest.raises(ConfigError, match=r"encoders.face.speaker_normalization: the gradient of a clip would depend"):
        parse_config(values)


def test_the_command_leaves_the_report_of_the_run(resting_run: Path, cli, tmp_path: Path) -> None:
    code, _, _ = cli("evaluate", resting_run)
    assert code == 0
    before = (resting_run / "evaluation.json").read_bytes()
    code, out, _ = cli("evaluate", resting_run, "--enrol-clips", 8, "--json", tmp_path / "known.json")
    assert code == 0
    assert "report:" not in out
    assert (resting_run / "evaluation.json").read_bytes() == before
    known = json.loads((tmp_path / "known.json").read_text("utf-8"))
    assert known["subsets"]["F"]["uar"] > json.loads(before)["subsets"]["F"]["uar"] + 0.1
