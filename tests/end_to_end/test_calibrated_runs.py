"""Calibration on its way: fitted in training, kept in the folder, used by evaluate and predict."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch

import multiemo
from multiemo.calibration import Calibration, temper
from multiemo.cli import main
from multiemo.config import load_config
from multiemo.data.collate import Collate
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import CheckpointError, ConfigError
from multiemo.evaluation import evaluate_model
from multiemo.model import contributions
from multiemo.predict import Item
from multiemo.report import format_table, save_evaluation
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.types import Batch, Output, Sample

SUBSET_KEYS = ("T", "S", "F", "TS", "TF", "SF", "TSF")
HOT = {key: 1.5 + 0.5 * i for i, key in enumerate(SUBSET_KEYS)}


@pytest.fixture
def with_calibration(tiny_run, tmp_path):
    """Copies of the run whose model folders hold another calibration, or, with ``None``, none at all."""

    def write(values):
        copy = tmp_path / "run"
        shutil.copytree(tiny_run, copy, dirs_exist_ok=True)
        path = copy / "model" / "config.json"
        stored = json.loads(path.read_text())
        del stored["calibration"]
        if values is not None:
            stored["calibration"] = values
        path.write_text(json.dumps(stored))
        return copy

    return write


# ------------------------------------------------------------------------------------------------------------- folder
def test_training_fits_the_fused_model_and_every_branch(tiny_run):
    fused = load_bundle(tiny_run).calibration
    assert set(fused.temperatures) == set(SUBSET_KEYS)
    assert set(fused.branches) == {"text", "speech", "face"}
    assert fused.max_error is None
    assert min(fused.clips.values()) > 0
    assert all(0.01 < t < 100 and t != 1 for t in fused.temperatures.values())
    speech = load_bundle(tiny_run / "branches" / "speech").calibration
    assert set(speech.temperatures) == {"S"}
    assert speech.branches["speech"] == speech.temperatures["S"], "of a lone branch the two are the same logits"


def test_a_folder_written_before_there_was_calibration_still_loads(with_calibration, tiny_run):
    old = with_calibration(None)
    assert load_bundle(old).calibration == Calibration()
    said = multiemo.load(old).predict(text="I am so happy")["segments"][0]
    new = multiemo.load(tiny_run).predict(text="I am so happy")["segments"][0]
    for one in (said, new):
        assert one["label"] == one["best"] == max(one["probs"], key=one["probs"].get)
    assert said["probs"] != new["probs"]
    figures = evaluate_run(old).subsets["TSF"]
    assert figures["ece"] == pytest.approx(figures["ece_raw"], abs=1e-6)


@pytest.mark.fault("corrupted model folder", "one line names the file")
def test_a_damaged_calibration_is_refused(with_calibration):
    with pytest.raises(CheckpointError, match=r"config\.json: calibration: 'warm'"):
        load_bundle(with_calibration({"temperatures": {"T": "warm"}}))


# ----------------------------------------------------------------------------------------------------------- evaluate
def test_evaluation_says_what_calibration_changed(tiny_run, with_calibration):
    raw, cal = evaluate_run(with_calibration(None)), evaluate_run(tiny_run)
    calibration = load_bundle(tiny_run).calibration
    for key, figures in cal.subsets.items():
        before = raw.subsets[key]
        assert figures["ece_raw"] == pytest.approx(before["ece"], abs=1e-6)
        assert figures["n"] == before["n"]
        shown = [p for p in cal.predictions if key in p["probs"] and p["target"] is not None]
        assert all(p["said"][key] == np.argmax(p["probs"][key]) for p in shown), "training weighed no label"
        right = np.mean([p["said"][key] == np.argmax(p["target"]) for p in shown])
        assert figures["accuracy"] == pytest.approx(right)
        assert 0 <= figures["aurc"] <= 1
        assert "coverage" not in figures, "without max_error every clip is answered"
    whole = next(i for i, p in enumerate(raw.predictions) if set(p["probs"]) == set(SUBSET_KEYS))
    one, other = (np.array([r.predictions[whole]["probs"]["SF"]]) for r in (raw, cal))
    bias = np.array(calibration.biases["SF"])
    np.testing.assert_allclose(temper(one, calibration.temperatures["SF"], bias=bias), other, atol=1e-4)
    values = json.loads(json.dumps(cal))["calibration"]
    assert values["temperatures"] == calibration.temperatures
    assert set(values["reliability"]) == set(values["risk_coverage"]) == {"T", "S", "F", "TSF"}
    assert sum(values["reliability"]["S"]["raw"]["n"]) == cal.subsets["S"]["n"]
    assert values["risk_coverage"]["S"]["risk"][-1] == pytest.approx(1 - cal.subsets["S"]["accuracy"], abs=1e-4)


def test_coverage_and_error_at_the_threshold(with_calibration):
    half = {"max_error": 0.3, "temperatures": HOT, "thresholds": dict.fromkeys(SUBSET_KEYS, 0.25) | {"T": None}}
    report = evaluate_run(with_calibration(half))
    records = [(p["probs"]["S"], p["target"]) for p in report.predictions if "S" in p["probs"]]
    given = [(np.argmax(p), np.argmax(t)) for p, t in records if max(p) >= 0.25]
    figures = report.subsets["S"]
    assert 0 < len(given) < len(records)
    assert figures["coverage"] == pytest.approx(len(given) / len(records))
    assert figures["selective_error"] == pytest.approx(np.mean([said != truth for said, truth in given]))
    assert (report.subsets["T"]["coverage"], report.subsets["T"]["selective_error"]) == (0.0, None)
    assert any("max_error 0.3 cannot be assured for T" in note for note in report.notes)
    table = format_table(report)
    assert "S: " in table
    assert "of the clips get a label (confidence from 0.25), error among them" in table


def test_the_page_shows_it(with_calibration):
    half = {"max_error": 0.3, "temperatures": HOT, "thresholds": dict.fromkeys(SUBSET_KEYS, 0.25) | {"T": None}}
    run = with_calibration(half)
    said = multiemo.load(run).predict(text="no")
    save_evaluation(run, evaluate_run(run), example=said)
    page = (run / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,iVBOR") >= 4
    assert "ECE raw" in page
    assert "error rate of 0.3" in page
    assert f"best guess: {said['segments'][0]['best']}" in page


@pytest.mark.parametrize("task", ["multi", "soft"])
def test_other_tasks_are_calibrated_too(task):
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(0, 2, (60, 3)), dtype=torch.float32)
    target = logits.sigmoid().round() if task == "multi" else logits.softmax(1)
    here = torch.ones(60, dtype=torch.bool)
    batch = Batch(
        ids=[str(i) for i in range(60)], corpora=["c"] * 60, speakers=[str(i % 30) for i in range(60)], inputs={},
        masks={}, presence={"text": here}, absent=[{}] * 60, target=target, labelled=here,
        dimensions=torch.full((60, 3), float("nan")),
    )  # fmt: skip
    calibration = Calibration(temperatures={"T": 5.0}, max_error=0.5, thresholds={"T": 0.0})
    report = evaluate_model(
        lambda b: Output(logits), [batch], label_set=["a", "b", "c"], prior=np.full(3, 1 / 3), task=task,
        calibration=calibration,
    )  # fmt: skip
    figures = report.subsets["T"]
    assert figures["ece"] > figures["ece_raw"], "flattened far too much"
    assert figures["coverage"] == 1.0
    n = 180 if task == "multi" else 60
    assert sum(report.calibration["reliability"]["T"]["raw"]["n"]) == n
    probs = temper(np.array([report.predictions[0]["probs"]["T"]]), 0.2, task)
    raw = logits[0].sigmoid() if task == "multi" else logits[0].softmax(0)
    np.testing.assert_allclose(probs[0], raw, atol=1e-3)


# ------------------------------------------------------------------------------------------------------------ predict
def test_prediction_and_evaluation_calibrate_a_clip_by_what_it_has(with_calibration, small_corpus):
    run = with_calibration({"temperatures": HOT})
    records = {p["id"]: p["probs"] for p in evaluate_run(run).predictions}
    model = multiemo.load(run)
    one_each = {tuple(records[c.id]): c for c in read_manifest(small_corpus) if c.id in records}
    assert len(one_each) > 1, "the corpus has clips that lack a modality"
    for clip in one_each.values():
        segment = model.predict_item(Item(clip.id, None, clip.text, clip, small_corpus.parent))["segments"][0]
        assert list(segment["probs"].values()) == pytest.approx(records[clip.id]["TSF"], abs=2e-3)


def test_contributions_are_of_the_calibrated_subsets_and_branches_are_calibrated(with_calibration, small_corpus):
    heads = {"branches": {"text": 1.0, "speech": 1.0, "face": 4.0}, "temperatures": HOT}
    run = with_calibration(heads)
    record = next(p for p in evaluate_run(run).predictions if set(p["probs"]) == set(SUBSET_KEYS))
    clip = next(c for c in read_manifest(small_corpus) if c.id == record["id"])
    item = Item(clip.id, None, clip.text, clip, small_corpus.parent)
    model = multiemo.load(run)
    segment = model.predict_item(item)["segments"][0]
    column = list(segment["probs"]).index(segment["best"])
    gained = segment["probs"][segment["best"]] - float(model.bundle.prior[column])
    assert sum(segment["contribution"].values()) == pytest.approx(gained, abs=1e-5)
    by_subset = {k: torch.tensor(p) for k, p in record["probs"].items()}
    expected = contributions(by_subset, model.bundle.prior, model.model.modalities, column)
    assert segment["contribution"] == pytest.approx(expected, abs=2e-3)
    plain = multiemo.load(with_calibration({})).predict_item(item)["segments"][0]
    assert segment["by_modality"]["text"] == plain["by_modality"]["text"]
    face = np.array([list(plain["by_modality"]["face"].values())])
    np.testing.assert_allclose(list(segment["by_modality"]["face"].values()), temper(face, 4.0)[0], atol=1e-4)


def test_a_lone_branch_says_the_same_twice(tiny_run):
    segment = multiemo.load(tiny_run / "branches" / "text").predict(text="so sad")["segments"][0]
    assert segment["by_modality"]["text"] == segment["probs"]


def test_a_label_below_the_threshold_is_uncertain_and_the_guess_is_kept(with_calibration, monkeypatch, capsys):
    strict = {"max_error": 0.1, "thresholds": {"T": 0.999, "S": 0.0}}
    run = with_calibration(strict)
    model = multiemo.load(run)
    segment = model.predict(text="I am so happy")["segments"][0]
    assert segment["label"] == "uncertain"
    assert segment["best"] == max(segment["probs"], key=segment["probs"].get)
    assert sum(segment["probs"].values()) == pytest.approx(1, abs=1e-5)
    assert model.describe()["calibration"]["thresholds"] == strict["thresholds"]
    monkeypatch.setattr(sys, "argv", ["multiemo", "predict", str(run), "--text", "I am so happy"])
    with pytest.raises(SystemExit, match="0"):
        main()
    said = capsys.readouterr().out
    assert f"uncertain  (best guess: {segment['best']} {segment['probs'][segment['best']]:.2f})" in said


# ------------------------------------------------------------------------------------------------------------ max_error
def talk(tmp_path, speakers=12):
    said = {"happy": "so happy today", "sad": "I am sad", "angry": "leave me alone"}
    rows = [
        {"id": f"s{s}u{i}", "corpus": "x", "speaker": f"s{s}", "text": text, "label_set": "demo5", "label": label}
        for s in range(speakers)
        for i, (label, text) in enumerate(said.items())
    ]
    manifest = tmp_path / "talk.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


@pytest.mark.parametrize(("max_error", "reached"), [(0.7, True), (0.01, False)])
def test_max_error_of_the_config_becomes_a_threshold_or_is_said_to_be_out_of_reach(
    tiny_config, tmp_path, max_error, reached
):
    overrides = [f"data.manifest={talk(tmp_path)}", f"max_error={max_error}", "training.epochs=3", "training.lr=0.01"]
    run = train(load_config(tiny_config(tmp_path, modalities=("text",)), overrides), tmp_path / "run")
    calibration = load_bundle(run.folder).calibration
    assert calibration.max_error == max_error
    assert (calibration.thresholds["T"] is not None) is reached
    assert (run.validation.subsets["T"]["coverage"] > 0) is reached
    assert any("were fitted on this part" in note for note in run.validation.notes)
    assert any("cannot be assured for T" in note for note in run.validation.notes) is not reached


@pytest.mark.parametrize("value", ["0", "1", "often"])
def test_a_max_error_that_is_no_rate_is_named(tiny_config, tmp_path, value):
    with pytest.raises(ConfigError, match="max_error: input should be"):
        load_config(tiny_config(tmp_path), [f"max_error={value}"])


# ------------------------------------------------------------------------------- priors, dimensions, dialogues of a run
def dialogue_rows(speakers=8, **more):
    """Dialogues of four turns; "neutral" is half of all, and every speaker says everything."""
    said = ["fine", "so happy today", "fine by me", "leave me alone"] * 2
    labels = ["neutral", "happy", "neutral", "angry"] * 2
    return [
        {"id": f"s{s}u{i}", "corpus": "x", "speaker": f"s{s}", "group": f"g{s}", "text": text, "label_set": "demo5",
         "label": label, **more}
        for s in range(speakers)
        for i, (text, label) in enumerate(zip(said, labels, strict=True))
    ]  # fmt: skip


def run_of(tiny_config, folder, rows, *overrides):
    folder.mkdir(exist_ok=True)
    manifest = folder / "rows.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = load_config(tiny_config(folder, modalities=("text",)), [f"data.manifest={manifest}", *overrides])
    return train(config, folder / "run")


def text_batch(bundle, text):
    tokens = bundle.inputs["text"].preprocessor(text, ())
    sample = Sample("a", "c", "s", {"text": tokens}, {}, None, torch.full((3,), float("nan")))
    return Collate(bundle.model.modalities, len(bundle.labels))([sample])


@pytest.mark.parametrize("key", ["class_weights", "balanced_sampling"])
def test_a_model_keeps_the_prior_that_training_gave_it_and_decides_at_its_costs(tiny_config, tmp_path, key):
    rows = dialogue_rows()
    run = run_of(tiny_config, tmp_path / "weighed", rows, f"training.{key}=1.0", "training.epochs=4")
    bundle = load_bundle(run.folder)
    prior, learnt = bundle.prior, bundle.model.effective_prior
    column = {label: c for c, label in enumerate(bundle.labels)}
    assert prior[column["neutral"]] == pytest.approx(0.5, abs=0.05)
    for label in ("neutral", "happy", "angry"):
        assert learnt[column[label]] == pytest.approx(1 / 3, abs=0.02), "balanced over the labels that occur"
    costs = bundle.calibration.costs["T"]
    assert bundle.calibration.costs["text"] == pytest.approx(costs)
    assert prior.double().numpy() @ costs == pytest.approx(1), "the mean cost of a clip"
    nothing = np.array(bundle.calibration.biases[""])
    p = temper(learnt.double().numpy()[None], 1.0, bias=nothing)[0]
    np.testing.assert_allclose(p, prior.numpy(), atol=1e-4, err_msg="who knows nothing says the frequencies of train")
    report = evaluate_run(run.folder)
    mean = np.mean([r["probs"]["T"][column["neutral"]] for r in report.predictions])
    assert mean == pytest.approx(0.5, abs=0.12)
    segment = multiemo.load(run.folder).predict(text="well")["segments"][0]
    weighed = np.array(list(segment["probs"].values())) * costs
    assert segment["best"] == bundle.labels[int(weighed.argmax())]
    raw = bundle.model.probabilities(bundle.model(text_batch(bundle, "well")).logits)
    assert segment["best"] == bundle.labels[int(raw.argmax())] == segment["modality_label"]["text"]
    plain = run_of(tiny_config, tmp_path / "plain", rows)
    assert load_bundle(plain.folder).calibration.costs == {}
    torch.testing.assert_close(load_bundle(plain.folder).model.effective_prior, prior)


def test_dialogues_of_validation_are_tried_and_the_result_is_kept(tiny_config, tmp_path):
    run = run_of(tiny_config, tmp_path / "run", dialogue_rows())
    calibration = load_bundle(run.folder).calibration
    assert calibration.stay_seconds is not None
    assert calibration.smoothing["dialogues"] >= 2
    assert calibration.smoothing["clips"] == 8 * calibration.smoothing["dialogues"]
    alone = run_of(
        tiny_config, tmp_path / "alone", [{k: v for k, v in r.items() if k != "group"} for r in dialogue_rows()]
    )
    assert load_bundle(alone.folder).calibration.stay_seconds is None


def test_dimensions_that_nobody_knows_are_refused_and_the_others_are_said(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match="dimensions: true, but no clip of train has valence"):
        run_of(tiny_config, tmp_path / "none", dialogue_rows(), "dimensions=true")
    run = run_of(tiny_config, tmp_path / "one", dialogue_rows(valence=0.25), "dimensions=true")
    bundle = load_bundle(run.folder)
    assert bundle.model.learnt_dimensions == [0]
    assert bundle.model.dimension_means[0] == pytest.approx(0.25)
    segment = multiemo.load(run.folder).predict(text="so happy today")["segments"][0]
    assert "valence" in segment
    assert not {"arousal", "dominance"} & set(segment)
    assert set(evaluate_run(run.folder).dimensions) <= {"valence"}
