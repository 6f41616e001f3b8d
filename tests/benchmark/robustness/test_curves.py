"""Robustness curves of a small trained model."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from multiemo.benchmark.measurements import Curve
from multiemo.benchmark.robustness import curves as robustness
from multiemo.benchmark.robustness.corrupted_clips import Material, Voice, gather
from multiemo.benchmark.robustness.corruptions import CORRUPTIONS
from multiemo.benchmark.robustness.curves import robustness_curves
from multiemo.benchmark.robustness.plot import plot_robustness
from multiemo.config import SourceConfig, load_config
from multiemo.errors import CheckpointError, ConfigError
from multiemo.inputs import build_input
from multiemo.progress import Progress
from multiemo.runs import evaluate_run, load_bundle, open_source, train
from multiemo.runs.model_folder import Bundle
from multiemo.runs.parts import assemble, build_encoder

#: One severity each: the whole path, in a few seconds.
SHORT = [replace(c, severities=c.severities[-2:-1]) for c in CORRUPTIONS.values() if c.function is not None]
MISSING = [c for c in CORRUPTIONS.values() if c.function is None]


class Counting(Progress):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def stage(self, name):
        self.stages.append(name)

    def update(self, done, total):
        self.steps.append((done, total))


def opened(run):
    bundle = load_bundle(run)
    data = bundle.config.data
    return bundle, open_source(SourceConfig(manifest=data.manifest, split=data.split, label_from=data.label_from))


@pytest.fixture(scope="module")
def watched():
    return Counting()


@pytest.fixture(scope="module")
def curves(tiny_run, watched):
    bundle, source = opened(tiny_run)
    return robustness_curves([(bundle, source)], corruptions=[*SHORT, *MISSING], progress=watched)


def of(curves, name, subset="TSF"):
    return next(c for c in curves if (c.corruption, c.subset) == (name, subset))


def test_every_corruption_has_a_curve_of_all_modalities_and_one_of_its_own(curves, watched):
    assert {c.corruption for c in curves} == set(CORRUPTIONS)
    for corruption in SHORT:
        subsets = [c.subset for c in curves if c.corruption == corruption.name]
        assert subsets == ["TSF", {"text": "T", "speech": "S", "face": "F"}[corruption.modality]]
    for curve in curves:
        assert not curve.skipped
        assert [p.severity for p in curve.points][1:] == list(
            next(c for c in [*SHORT, *MISSING] if c.name == curve.corruption).severities
        )
        assert len({p.n for p in curve.points}) == 1
        assert curve.points[0].difference is None
        for point in curve.points[1:]:
            assert point.difference["difference"] == pytest.approx(point.uar - curve.points[0].uar)
    assert watched.stages == ["prepare", "robustness"]
    done, total = watched.steps[-1]
    assert done == total == of(curves, "babble").points[0].n


def test_the_clips_as_they_are_have_the_figures_of_an_evaluation(curves, tiny_run):
    report = evaluate_run(tiny_run)
    for curve in curves:
        clean, figures = curve.points[0], report.subsets[curve.subset]
        assert clean.severity is None
        for name in ("n", "uar", "macro_f1", "wf1", "accuracy", "ece"):
            assert getattr(clean, name) == figures[name], (curve.corruption, curve.subset, name)
        assert list(clean.uar_ci) == figures["uar_ci"]


def test_nothing_left_is_the_prior(curves, tiny_run):
    last = of(curves, "missing_any").points[-1]
    assert last.severity == 1.0
    assert last.absent == 1.0
    assert last.uar == of(curves, "missing_any").prior == evaluate_run(tiny_run).majority["uar"]


def test_a_higher_rate_takes_more(curves):
    for corruption in MISSING:
        curve = of(curves, corruption.name)
        absent = [p.absent for p in curve.points]
        assert absent == sorted(absent)
        there = 1 - absent[0]
        for point in curve.points[1:]:
            # to the nearest whole clip of each modality
            assert 1 - point.absent == pytest.approx(there * (1 - point.severity), abs=0.5 / point.n + 1e-9)


def test_a_missing_modality_leaves_the_figures_of_the_others(curves, tiny_run):
    """With every face gone the fused model says what it says without faces."""
    report = evaluate_run(tiny_run)
    assert report.subsets["TS"]["n"] == report.subsets["TSF"]["n"]
    assert of(curves, "missing_face").points[-1].uar == report.subsets["TS"]["uar"]


@pytest.mark.slow
def test_lost_faces_are_counted_and_stay_in_the_figures(tiny_run):
    bundle, source = opened(tiny_run)
    (fused, face) = robustness_curves(
        [(bundle, source)], corruptions=[replace(CORRUPTIONS["occlusion"], severities=(1.0,))]
    )
    assert face.points[0].absent == 0
    assert face.points[1].absent > 0.5, "a plate before the whole face hides it from the detector"
    assert face.points[1].n == face.points[0].n
    assert fused.points[1].absent > fused.points[0].absent


@pytest.mark.slow
def test_the_same_seed_gives_the_same_curves_whatever_else_is_measured(tiny_run, curves):
    bundle, source = opened(tiny_run)
    chosen = [c for c in reversed(SHORT) if c.name in ("babble", "asr_errors", "dropped_frames")]
    again = robustness_curves([(replace_workers(bundle, 2), source)], corruptions=chosen)
    for curve in again:
        assert curve == of(curves, curve.corruption, curve.subset)


def replace_workers(bundle, workers):
    data = bundle.config.data.model_copy(update={"workers": workers})
    return replace(bundle, config=bundle.config.model_copy(update={"data": data}))


def test_corrupted_clips_do_not_enter_the_cache(tiny_run, curves):
    before = evaluate_run(tiny_run)
    bundle, source = opened(tiny_run)
    robustness_curves([(bundle, source)], corruptions=[c for c in SHORT if c.name == "clipping"], seed=9)
    after = evaluate_run(tiny_run)
    assert before.predictions == after.predictions


def test_voices_and_words_come_from_train_and_from_others(tiny_run):
    bundle, source = opened(tiny_run)
    material = gather(bundle, source, list(CORRUPTIONS.values()), seed=0)
    train_clips = {c.id: c for c in source.part("train")}
    assert material.voices
    assert all(voice.clip in train_clips for voice in material.voices)
    speakers = [voice.speaker for voice in material.voices]
    people = len({c.speaker for c in train_clips.values()})
    assert len(set(speakers[:people])) == people, "everybody has a turn before anybody has a second one"
    said = " ".join(c.text or "" for c in train_clips.values())
    assert material.vocabulary.words
    assert all(word in said for word in material.vocabulary.words + material.vocabulary.characters)
    own = next(iter(train_clips.values()))
    made = Material((Voice(own.id, None, np.ones(3, np.float32)), Voice("other", own.speaker, np.ones(4, np.float32)),
                     Voice("third", "somebody else", np.ones(5, np.float32))))  # fmt: skip
    assert [len(v) for v in made.other_voices(own)] == [5]


@pytest.mark.slow
def test_what_cannot_be_measured_says_why(tiny_run, monkeypatch):
    models = [(load_bundle(tiny_run / "branches" / "speech"), opened(tiny_run)[1])]
    short = replace(CORRUPTIONS["clipping"], severities=(0.0,))
    blurred, *clipped = robustness_curves(models, corruptions=["blur", short])[1:]
    assert blurred.skipped == "the model has no face branch"
    assert not blurred.points
    assert [c.subset for c in clipped] == ["S"], "the fused model and the branch are one"
    monkeypatch.setattr(robustness, "choose", lambda _: [*SHORT, *MISSING])
    named = {c.corruption for c in robustness_curves(models)}
    monkeypatch.undo()
    assert named == {"white_noise", "babble", "clipping", "telephone", "missing_speech"}
    monkeypatch.setattr(robustness, "gather", lambda *_: Material())
    (alone,) = robustness_curves(models, corruptions=["babble"])
    assert "no voice of another person" in alone.skipped
    with pytest.raises(ConfigError, match="unknown corruption 'blurr'"):
        robustness_curves(models, corruptions=["blurr"])


def test_the_clips_of_several_folds_are_measured_together(tiny_run, curves):
    bundle, source = opened(tiny_run)
    halves = []
    for kept in (slice(None, None, 2), slice(1, None, 2)):
        parts = {**source.split.parts, "test": source.split.parts["test"][kept]}
        halves.append((bundle, replace(source, split=replace(source.split, parts=parts))))
    chosen = [c for c in SHORT if c.name in ("babble", "typos")]
    for curve in robustness_curves(halves, corruptions=chosen):
        whole = of(curves, curve.corruption, curve.subset)
        assert curve.prior == whole.prior
        for one, other in zip(curve.points, whole.points, strict=True):
            assert (one.n, one.absent) == (other.n, other.absent)
            assert one.uar == pytest.approx(other.uar, abs=1e-12)
    with pytest.raises(CheckpointError, match="in the test part of two models"):
        robustness_curves([halves[0], halves[0]], corruptions=chosen)


def stills(folder, rows):
    labels = ["happy", "sad", "angry", "fearful", "neutral"]
    rng = np.random.default_rng(0)
    lines = []
    for i in range(rows):
        picture = np.full((40, 40, 3), 25 * (i % 5), np.uint8) + rng.integers(0, 150, (40, 40, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
        np.save(folder / f"{i}.npy", rng.normal(size=(1, 4)).astype(np.float32) + i % 5)
        lines.append({"id": f"u{i}", "corpus": "x", "speaker": f"s{i // 5 % 6}", "label_set": "demo5",
                      "label": labels[i % 5], "image": f"{i}.png", "cropped": True,
                      "features": {"face": {"path": f"{i}.npy"}},
                      "text": f"it is {labels[i % 5]} today, number {i}"})  # fmt: skip
    path = folder / "stills.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_features_cannot_be_occluded_and_a_still_drops_no_frames(tiny_config, tiny_run, tmp_path):
    manifest = stills(tmp_path, 60)
    config = load_config(tiny_config(tmp_path, modalities=("face",)), ["encoders.face={name: features}"])
    encoder = build_encoder(config, "face", feature_dim=4)
    bundle = Bundle(assemble(config, {"face": encoder}, fused=False), config,
                    {"face": build_input("face", encoder.input_spec)})  # fmt: skip
    source = open_source(SourceConfig(manifest=str(manifest), split=config.data.split))
    hidden, taken = robustness_curves([(bundle, source)], corruptions=["occlusion", "missing_face"])
    assert "precomputed features" in hidden.skipped
    assert not hidden.points
    assert len(taken.points) == 6
    bundle = load_bundle(tiny_run / "branches" / "face")
    hidden, dropped = robustness_curves([(bundle, source)], corruptions=["occlusion", "dropped_frames"])
    assert len(hidden.points) == 6
    *seen, last = hidden.points
    assert all(point.absent == 0 for point in seen), "a face crop is one, whatever is held before it"
    assert last.absent < 0.5  # a plate of 70% may hide all that shows a face
    assert dropped.skipped == "every face of this part is a still picture"


def test_several_labels_have_curves_too(tiny_config, tmp_path):
    manifest = stills(tmp_path, 60)
    config = load_config(
        tiny_config(tmp_path, modalities=("text",), task="multi"),
        [f"data.manifest={manifest}", "training.epochs=1", "training.monitor=macro_f1"],
    )
    bundle = train(config, tmp_path / "run").bundle
    source = open_source(SourceConfig(manifest=str(manifest), split=config.data.split))
    (curve,) = robustness_curves([(bundle, source)], corruptions=["typos"])
    assert len(curve.points) == 6
    assert curve.points[0].uar == evaluate_run(tmp_path / "run").subsets["T"]["uar"]


def test_curves_are_plain_json_and_make_a_picture(curves, conforms):
    conforms(curves[0], Curve)
    text = json.dumps(curves, allow_nan=False)
    values = json.loads(text)[0]
    assert {"corruption", "unit", "subset", "points"} <= set(values)
    assert {"severity", "uar", "uar_ci", "n", "absent"} <= set(values["points"][0])
    png = base64.b64decode(plot_robustness(curves))
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] > 1000
    assert plot_robustness([Curve(corruption="blur", modality="face", unit="px", subset="F", skipped="no face")]) == ""
    assert [Curve.from_json(v) for v in json.loads(text)] == curves


@pytest.mark.slow
def test_all_severities_of_everything(tiny_run):
    bundle, source = opened(tiny_run)
    found = robustness_curves([(bundle, source)])
    assert all(len(c.points) == 1 + len(CORRUPTIONS[c.corruption].severities) for c in found)
