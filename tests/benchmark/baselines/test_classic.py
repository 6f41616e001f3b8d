from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="classic baselines need scikit-learn")

from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from multiemo.benchmark.baselines.classic import Inputs, fit_predict, read_inputs
from multiemo.benchmark.baselines.classifiers import RECIPES, classify
from multiemo.benchmark.predictions import pool
from multiemo.benchmark.results import summarise
from multiemo.config import SourceConfig, load_config, parse_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.prepare import prepare
from multiemo.data.splits.strategies import kfold
from multiemo.errors import ManifestError, MediaError, SplitError
from multiemo.inputs import Input, build_input
from multiemo.runs import Source, evaluate_run, load_bundle, open_source
from multiemo.types import SUBSETS, FeatureSpec, SpeechSpec, TextRulesSpec


@pytest.fixture(scope="module")
def source(tiny_run: Path) -> Source:
    data = load_config(tiny_run / "config.yaml").data
    return open_source(SourceConfig(manifest=data.manifest, split=data.split))


@pytest.fixture(scope="module")
def inputs(tiny_run: Path, source: Source) -> Inputs:
    bundle = load_bundle(tiny_run)
    return read_inputs(bundle.config, source.folder, source.clips, bundle.inputs)


@pytest.fixture(scope="module")
def parts(source: Source) -> tuple[Sequence[str], Sequence[str]]:
    return source.split.parts["train"], source.split.parts["test"]


def vectors(rows: Sequence[Sequence[float]], labels: Sequence[int], *, kind: str = "features", **more: Any) -> Inputs:
    """Inputs of one modality over a label set of three; ids are ``0``, ``1`` ..., two clips a speaker."""
    values = np.asarray(rows, dtype=np.float32)
    ones = np.ones(len(values), dtype=bool)
    made = Inputs(
        rows={str(i): i for i in range(len(values))},
        speakers=tuple(f"s{i // 2}" for i in range(len(values))),
        labels=("neutral", "happy", "sad"),
        task="single",
        target=np.eye(3)[np.asarray(labels)],
        labelled=ones,
        recipes={"face": RECIPES[kind]},
        values={"face": values},
        presence={"face": ones},
        bad={},
    )
    return replace(made, **more)


def ids(*numbers: int) -> list[str]:
    return [str(i) for i in numbers]


def clouds(count: int, labels: int, seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Points around one centre a label, and their labels."""
    random = np.random.default_rng(seed)
    label = np.arange(count) % labels
    return random.normal(size=(count, 4)) * spread + 2 * np.eye(4)[label], label


# ----------------------------------------------------------------------------------------------- against the model


def test_rows_and_presence_equal_those_of_the_model(tiny_run: Path, inputs: Inputs, parts):
    model = {r["id"]: r for r in evaluate_run(tiny_run).predictions}
    for name, records in fit_predict(inputs, *parts).items():
        assert {r["id"] for r in records} == set(model), name
        for r in records:
            said = model[r["id"]]
            assert (r["speaker"], r["target"]) == (said["speaker"], said["target"])
            assert list(r["probs"]) == list(said["probs"]), r["id"]
    assert {len(r["probs"]) for r in model.values()} > {7}, "the corpus has clips without some modality"


def test_probabilities_sum_to_one_and_are_better_than_chance(inputs: Inputs, parts):
    said = fit_predict(inputs, *parts)
    for records in said.values():
        for r in records:
            for p in r["probs"].values():
                assert sum(p) == pytest.approx(1, abs=1e-5)
                assert min(p) >= 0
    figures = summarise(pool("classic", [said["classic"]]))
    assert figures["TSF"]["uar"] > 0.4
    constant = summarise(pool("majority", [said["majority"]]))["TSF"]
    assert constant["uar"] == pytest.approx(0.2)


def test_the_constants_say_what_train_says(inputs: Inputs, parts):
    train, _ = parts
    share = inputs.target[[inputs.rows[i] for i in train]].mean(axis=0)
    said = fit_predict(inputs, *parts)
    for majority, prior in zip(said["majority"], said["prior"], strict=True):
        for key in majority["probs"]:
            assert prior["probs"][key] == pytest.approx(share, abs=1e-6)
            assert majority["probs"][key] == [float(c == share.argmax()) for c in range(5)]


def test_a_subset_is_the_mean_of_the_modalities_that_are_there(inputs: Inputs, parts):
    letters = {"text": "T", "speech": "S", "face": "F"}
    for r in fit_predict(inputs, *parts)["classic"]:
        for key, p in r["probs"].items():
            alone = [r["probs"][letters[m]] for m in SUBSETS[key] if letters[m] in r["probs"]]
            assert p == pytest.approx(np.mean(alone, axis=0), abs=2e-6)


def test_one_modality_is_enough(tiny_run: Path, source: Source, parts):
    bundle = load_bundle(tiny_run / "branches" / "text")
    alone = read_inputs(bundle.config, source.folder, source.clips, bundle.inputs)
    records = fit_predict(alone, *parts)["classic"]
    assert {key for r in records for key in r["probs"]} == {"T"}
    assert any(not r["probs"] for r in records), "some test clip has no text"


def test_rules_are_compared_with_the_words_that_they_read(tiny_run: Path, source: Source, inputs: Inputs, parts):
    config = load_bundle(tiny_run / "branches" / "text").config
    ruled = read_inputs(config, source.folder, source.clips, {"text": build_input("text", TextRulesSpec())})
    assert ruled.recipes["text"] is RECIPES["text"]
    assert ruled.values["text"] == inputs.values["text"]
    assert {key for r in fit_predict(ruled, *parts)["classic"] for key in r["probs"]} == {"T"}


def test_precomputed_features_and_a_waveform_encoder_are_read_too(real_data: Path, tmp_path: Path):
    prepare("ravdess", real_data / "ravdess", tmp_path / "m.jsonl")
    clips = read_manifest(tmp_path / "m.jsonl")[::90]
    encoders = {"speech": {"name": "speech_prosody"}, "face": {"name": "features"}}
    values = {"name": "x", "label_set": "ravdess8", "data": {"manifest": "m.jsonl"}}
    config = parse_config({**values, "encoders": encoders, "stages": ["speech", "face", "fuse"]})
    specs = {"speech": SpeechSpec(n_mels=0), "face": FeatureSpec(dim=35)}
    read = read_inputs(config, tmp_path, clips, {m: build_input(m, s) for m, s in specs.items()})
    assert [read.values[m].shape[1] for m in ("speech", "face")] == [196, 70]
    assert read.recipes["face"].name == "feature statistics + logistic regression"


# -------------------------------------------------------------------------------------------------- nothing leaks


def test_test_labels_change_nothing(inputs: Inputs, parts):
    train, test = parts
    rows = [inputs.rows[i] for i in test]
    target = inputs.target.copy()
    target[rows] = np.roll(target[rows], 1, axis=1)
    shuffled = replace(inputs, target=target)
    for name, records in fit_predict(inputs, train, test).items():
        for before, after in zip(records, fit_predict(shuffled, train, test)[name], strict=True):
            assert before["probs"] == after["probs"]
            assert before["target"] != after["target"]


def test_a_test_clip_is_predicted_by_itself(inputs: Inputs, parts):
    train, test = parts
    together = {r["id"]: r["probs"] for r in fit_predict(inputs, train, test)["classic"]}
    alone = fit_predict(inputs, train, test[:1])["classic"]
    for key, p in alone[0]["probs"].items():
        assert p == pytest.approx(together[test[0]][key], abs=2e-6)


def test_the_same_call_gives_the_same_answer(inputs: Inputs, parts):
    assert fit_predict(inputs, *parts) == fit_predict(inputs, *parts)


def test_a_clip_in_both_parts_is_refused(inputs: Inputs, parts):
    train, test = parts
    with pytest.raises(SplitError, match=f"clip '{test[0]}' is in train and in test"):
        fit_predict(inputs, [*train, test[0]], test)


# ---------------------------------------------------------------------------------------------------- bad input


def test_a_label_that_train_lacks_has_no_probability(inputs: Inputs, parts):
    train, test = parts
    lost = inputs.labels.index("sad")
    kept = [i for i in train if inputs.target[inputs.rows[i], lost] == 0]
    assert len(kept) < len(train)
    for records in fit_predict(inputs, kept, test).values():
        for r in records:
            for p in r["probs"].values():
                assert p[lost] == 0
                assert sum(p) == pytest.approx(1, abs=1e-5)


def test_train_of_one_label_is_refused(inputs: Inputs, parts):
    train, test = parts
    happy = inputs.labels.index("happy")
    same = [i for i in train if inputs.target[inputs.rows[i], happy] == 1]
    with pytest.raises(SplitError, match=r"all \d+ labelled train clips that have \w+ are 'happy'"):
        fit_predict(inputs, same, test)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (ids(0, 1, 9), ids(2), "train: clip '9' is not among the 4"),
        (ids(0, 1), [], "no labelled clip of test"),
        ([], ids(2), "no labelled clip of train"),
    ],
)
def test_parts_that_cannot_be_used_are_named(train, test, words):
    with pytest.raises(ManifestError, match=words):
        fit_predict(vectors(np.eye(4), [0, 1, 0, 1]), train, test)


def test_a_modality_that_no_train_clip_has_is_named():
    presence = {"face": np.array([False, False, True])}
    with pytest.raises(ManifestError, match="no labelled clip of train has face"):
        fit_predict(vectors(np.eye(3), [0, 1, 0], presence=presence), ids(0, 1), ids(2))


def test_clips_without_a_label_are_passed_over():
    labelled = np.array([True, True, False, True, False])
    records = fit_predict(vectors(np.eye(5), [0, 1, 0, 1, 0], labelled=labelled), ids(0, 1, 2), ids(3, 4))
    assert [r["id"] for r in records["classic"]] == ["3"]


def test_media_that_cannot_be_read_stop_or_are_left_out(tiny_run: Path, source: Source, parts):
    bundle = load_bundle(tiny_run / "branches" / "speech")
    train, test = parts
    broken = [replace(c, audio="gone.wav", video=None) if c.id in (train[0], test[0]) else c for c in source.clips]
    with pytest.raises(MediaError, match=r"gone\.wav"):
        read_inputs(bundle.config, source.folder, broken, bundle.inputs)
    lenient = bundle.config.model_copy(update={"data": bundle.config.data.model_copy(update={"skip_bad": True})})
    read = read_inputs(lenient, source.folder, broken, bundle.inputs)
    assert set(read.bad) == {train[0], test[0]}
    assert test[0] not in {r["id"] for r in fit_predict(read, train, test)["classic"]}


def test_a_machine_that_learns_from_some_clips_keeps_every_label_and_says_so():
    x, y = clouds(100, 2)
    y[50] = 2  # alone of its label
    train, test = ids(*range(80)), ids(*range(80, 100))
    few = vectors(x, y, recipes={"face": replace(RECIPES["face"], most=20)})
    records = fit_predict(few, train, test)["classic"]
    assert records == fit_predict(few, train, test)["classic"]
    assert records != fit_predict(vectors(x, y, kind="face"), train, test)["classic"]
    assert all(r["probs"]["F"][2] > 0 for r in records)
    assert np.mean([np.argmax(r["probs"]["F"]) for r in records] == y[80:]) > 0.7
    assert few.notes(train) == ["HOG + SVM is trained on 20 of 80 train clips, a stratified sample"]
    bad = replace(few, bad={"x": "gone"})
    assert bad.notes(train[:9]) == ["classic baselines: left out x: gone"]


def test_texts_without_common_words_still_have_common_characters():
    texts = ["我很高兴", "高兴极了", "太难过了", "真的难过"]
    said = classify(RECIPES["text"], texts, np.eye(3)[[1, 1, 2, 2]], list("abcd"), ["不高兴", "难过吧"])
    assert said.argmax(axis=1).tolist() == [1, 2]
    with pytest.raises(ManifestError, match="no word or character occurs in two of the 2 train texts"):
        classify(RECIPES["text"], ["ab", "cd"], np.eye(2), list("ab"), ["a"])


def test_columns_that_do_not_vary_or_are_unknown_do_no_harm():
    x, y = clouds(40, 3)
    odd = np.concatenate([x, np.full((40, 1), 7.0), np.full((40, 1), np.nan)], axis=1)
    train, test = ids(*range(30)), ids(*range(30, 40))
    plain = fit_predict(vectors(x, y), train, test)["classic"]
    odd[30:, 4:] = 1e6  # seen in test alone
    for before, after in zip(plain, fit_predict(vectors(odd, y), train, test)["classic"], strict=True):
        assert np.abs(np.subtract(before["probs"]["F"], after["probs"]["F"])).max() < 0.35
    same = fit_predict(vectors(np.ones((40, 2)), y), train, test)["classic"]
    assert same[0]["probs"]["F"] == pytest.approx([1 / 3] * 3, abs=1e-3)  # balanced, and nothing to go by


# ------------------------------------------------------------------------------------------- against scikit-learn


@pytest.mark.parametrize("labels", [2, 3])
def test_regression_gives_the_probabilities_of_scikit_learn(labels: int):
    x, y = clouds(60, labels)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced")).fit(x[:40], y[:40])
    records = fit_predict(vectors(x, y), ids(*range(40)), ids(*range(40, 60)))["classic"]
    found = np.array([r["probs"]["F"] for r in records])
    assert found[:, :labels] == pytest.approx(oracle.predict_proba(x[40:].astype(np.float32)), abs=1e-3)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_temperature_is_that_of_scikit_learn_and_changes_no_decision(labels: int):
    pytest.importorskip("sklearn", minversion="1.8")  # has temperature scaling
    x, y = clouds(400, labels, spread=2.0)
    speakers = [f"s{i // 8}" for i in range(200)]
    train, test, target = x[:200].astype(np.float32), x[200:].astype(np.float32), np.eye(3)[y[:200]]
    found = classify(RECIPES["face"], train, target, speakers, test)[:, :labels]
    machine = make_pipeline(StandardScaler(), SVC(C=3.0, class_weight="balanced", break_ties=labels > 2))
    assert found.argmax(axis=1).tolist() == machine.fit(train, y[:200]).predict(test).tolist()
    folds = list(GroupKFold(5).split(train, groups=speakers))
    oracle = CalibratedClassifierCV(machine, method="temperature", cv=folds, ensemble=False).fit(train, y[:200])
    assert found == pytest.approx(oracle.predict_proba(test), abs=0.01)  # ours has a weak prior


def test_a_label_of_one_speaker_does_not_spoil_the_temperature():
    x, y = clouds(120, 2, spread=2.0)
    speakers = [f"s{i // 10}" for i in range(120)]
    target = np.eye(3)[y]
    plain = classify(RECIPES["face"], x, target, speakers, x)
    target[:3] = np.eye(3)[2]  # held out, they are of a label that the other folds do not know
    rare = classify(RECIPES["face"], x, target, speakers, x)
    assert rare.max(axis=1).mean() > 0.6 * plain.max(axis=1).mean()


def test_votes_count_by_their_first_most_frequent_label():
    x, y = clouds(40, 3)
    votes = 0.7 * np.eye(3)[y] + 0.1
    train, test = ids(*range(30)), ids(*range(30, 40))
    soft = fit_predict(vectors(x, y, target=votes, task="soft"), train, test)
    hard = fit_predict(vectors(x, y), train, test)
    assert [r["probs"] for r in soft["classic"]] == [r["probs"] for r in hard["classic"]]
    assert soft["classic"][0]["target"] == pytest.approx(votes[30])


@pytest.mark.parametrize("kind", ["features", "face"])
def test_several_labels_at_once_are_one_classifier_each(kind: str):
    x, y = clouds(80, 4)
    target = np.stack([y < 2, y % 2 == 0, np.zeros(80, dtype=bool)], axis=1).astype(float)
    several = vectors(x, np.zeros(80, dtype=int), kind=kind, target=target, task="multi")
    said = fit_predict(several, ids(*range(60)), ids(*range(60, 80)))
    found = np.array([r["probs"]["F"] for r in said["classic"]])
    assert (found[:, 2] == 0).all()
    assert ((found[:, :2] > 0.5) == target[60:, :2]).mean() > 0.8
    if kind == "features":
        oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
        expected = oracle.fit(x[:60], target[:60, 0]).predict_proba(x[60:].astype(np.float32))[:, 1]
        assert found[:, 0] == pytest.approx(expected, abs=1e-3)
    assert said["prior"][0]["probs"]["F"] == pytest.approx(target[:60].mean(axis=0), abs=1e-6)
    assert said["majority"][0]["probs"]["F"] == (target[:60].mean(axis=0) > 0.5).astype(float).tolist()


# ------------------------------------------------------------------------------------------------------ real data


@pytest.mark.slow
def test_ravdess_figures_of_six_folds(real_data: Path, tmp_path: Path):
    """Untuned references on the same folds of people: action units .542, MFCC statistics .447, averaged .693."""
    prepare("ravdess", real_data / "ravdess", tmp_path / "m.jsonl")
    clips = read_manifest(tmp_path / "m.jsonl")
    encoders = {"speech": {"name": "speech_prosody"}, "face": {"name": "features"}}
    values = {
        "name": "x",
        "label_set": "ravdess8",
        "data": {"manifest": "m.jsonl"},
        "stages": ["speech", "face", "fuse"],
    }
    reads: dict[Any, Input] = {
        m: build_input(m, s) for m, s in {"speech": SpeechSpec(), "face": FeatureSpec(dim=35)}.items()
    }
    inputs = read_inputs(parse_config({**values, "encoders": encoders}), tmp_path, clips, reads)
    records = []
    for fold in range(6):
        split = kfold(clips, 6, fold)
        records += fit_predict(inputs, (*split.parts["train"], *split.parts["val"]), split.parts["test"])["classic"]
    figures = summarise(pool("classic", [records]))
    assert figures["S"]["uar"] > 0.5
    assert figures["F"]["uar"] > 0.52
    assert figures["SF"]["uar"] > 0.68
    truth = [int(np.argmax(r["target"])) for r in records]
    said = [int(np.argmax(r["probs"]["SF"])) for r in records]
    assert figures["SF"]["uar"] == pytest.approx(recall_score(truth, said, average="macro"))
