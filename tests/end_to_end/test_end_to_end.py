"""The command line on real media files of the synthetic corpus, and every kind of bad input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

import multiemo
from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.split import StoredSplit
from multiemo.errors import CheckpointError, ConfigError, MediaError, SplitError
from multiemo.evaluation import ClipPrediction, Report
from multiemo.predict import Item, expand
from multiemo.preprocess.text import train_tokenizer
from multiemo.preprocess.voice.tensors import SpeechPreprocessor
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.runs.folder.evaluation_log import Reading
from multiemo.runs.model_folder import file_digest
from multiemo.training.checkpoint import load_tensors
from multiemo.training.epochs import StageEpoch
from multiemo.types import SpeechSpec


# ------------------------------------------------------------------------------------------------------------- a run
def test_a_run_folder_holds_what_it_should(tiny_run, conforms):
    for name in ("config.yaml", "splits.json", "metrics.jsonl", "validation.json", "model/model.safetensors",
                 "model/config.json", "model/text/tokenizer.json", "branches/speech/model.safetensors"):  # fmt: skip
        assert (tiny_run / name).is_file(), name
    assert [p.name.partition("-")[0] for p in sorted((tiny_run / "state" / "fuse").iterdir())] == ["best", "step"]
    assert list((tiny_run / "tensorboard").iterdir())
    stages = {json.loads(line)["stage"] for line in (tiny_run / "metrics.jsonl").read_text().splitlines()}
    assert stages == {"text", "speech", "face", "fuse"}
    conforms(tiny_run / "metrics.jsonl", StageEpoch)
    conforms(tiny_run / "validation.json", Report)
    for split in json.loads((tiny_run / "splits.json").read_text()).values():
        conforms(split, StoredSplit)
    assert not (tiny_run / "evaluation.json").exists(), "training must not read the test part"


def test_the_fused_model_starts_from_the_branches(tiny_run):
    assert load_config(tiny_run / "config.yaml").name == "tiny"
    first = next(
        json.loads(line)
        for line in (tiny_run / "metrics.jsonl").read_text().splitlines()
        if json.loads(line)["stage"] == "fuse"
    )
    assert first["epoch"] == 1
    branch, _ = load_tensors(tiny_run / "branches" / "speech" / "model.safetensors")
    fused, _ = load_tensors(tiny_run / "model" / "model.safetensors")
    key = next(k for k in branch if k.startswith("encoders.speech") and k.endswith("standardize.mean"))
    assert torch.equal(branch[key], fused[key])  # input statistics come with the branch


def test_evaluate_prints_all_subsets_and_writes_the_public_json(cli, tiny_run, conforms):
    code, out, err = cli("evaluate", tiny_run, "--json", "-")
    assert code == 0, err
    values = json.loads(out)  # nothing but JSON on standard output
    assert set(values["subsets"]) == {"T", "S", "F", "TS", "TF", "SF", "TSF"}
    for figures in values["subsets"].values():
        assert {"n", "uar", "uar_ci", "macro_f1", "wf1", "accuracy", "ece"} <= set(figures)
        assert figures["uar_ci"][0] <= figures["uar"] <= figures["uar_ci"][1]
    assert values["corpus_kind"] == "synthetic"
    assert values["majority"]["uar"] == pytest.approx(1 / 5, abs=0.06)
    assert values["subsets"]["TSF"]["n"] == values["n"]
    assert values["subsets"]["F"]["n"] < values["n"], "some test clips have no face"
    assert json.loads((tiny_run / "evaluation.json").read_text())["n"] == values["n"]
    for written, kind in (
        (values, Report),
        (tiny_run / "evaluation.json", Report),
        (tiny_run / "predictions.jsonl", ClipPrediction),
        (tiny_run / "evaluations.jsonl", Reading),
    ):
        conforms(written, kind)
    code, out, _ = cli("evaluate", tiny_run)
    assert code == 0
    assert "| TSF " in out
    assert "SYNTHETIC" in out
    assert "has been read" in out  # the second look at the test part is not hidden
    page = (tiny_run / "report.html").read_text("utf-8")
    assert "synthetic" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page


def test_evaluate_on_another_manifest_warns_of_people_seen_in_training(tiny_run, small_corpus):
    report = evaluate_run(tiny_run, manifest=small_corpus)
    assert report.n == len(read_manifest(small_corpus))
    assert any(re.match(r"\d+ speakers, \d+ clips here were in training", note) for note in report.notes)


def test_saved_and_loaded_predicts_the_same(tiny_run, small_corpus):
    report = evaluate_run(tiny_run)
    records = {r["id"]: r for r in report.predictions}
    clip = next(c for c in read_manifest(small_corpus) if c.id in records)
    model = multiemo.load(tiny_run)
    said = model.predict_item(Item(clip.id, None, clip.text, clip, small_corpus.parent))
    probs = list(said["segments"][0]["probs"].values())
    assert probs == pytest.approx(records[clip.id]["probs"]["TSF"], abs=2e-3)


def test_a_branch_predicts_and_evaluates_alone(tiny_run, small_corpus):
    bundle = load_bundle(tiny_run / "branches" / "speech")
    assert bundle.model.modalities == ("speech",)
    report = evaluate_run(tiny_run / "branches" / "speech", manifest=small_corpus)
    assert list(report.subsets) == ["S"]


@pytest.mark.fault("kill -9 between two stages", "the resumed run ends with the same weights")
def test_killed_between_stages_and_resumed_gives_the_same_weights(tiny_config, tiny_run, tmp_path):
    config = load_config(tiny_run / "config.yaml")
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    for late in ("model", "branches/face", "state/face", "state/fuse", "validation.json"):
        path = copy / late
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(config, copy, resume=True)
    straight, _ = load_tensors(tiny_run / "model" / "model.safetensors")
    resumed, _ = load_tensors(copy / "model" / "model.safetensors")
    assert all(torch.equal(straight[k], resumed[k]) for k in straight)


def test_a_fused_run_from_named_branches_skips_their_stages_and_weighs_its_inputs(
    tiny_config, tiny_run, small_corpus, tmp_path, monkeypatch
):
    monkeypatch.setattr("multiemo.encoders.common.reliability.FEWEST_CLIPS", 3)
    branches = "{" + ", ".join(f"{m}: '{tiny_run}/branches/{m}'" for m in ("text", "speech", "face")) + "}"
    config = load_config(tiny_config(tmp_path, branches=branches), ["training.epochs=1", "fusion.name=decision",
                                                                     "fusion={name: decision}",
                                                                     "reliability=true"])  # fmt: skip
    run = train(config, tmp_path / "run")
    assert set(run.stages) == {"fuse"}
    assert run.validation.n > 0
    model, sound = multiemo.load(tmp_path / "run"), next(c.audio for c in read_manifest(small_corpus) if c.audio)
    for path, m in ((video(small_corpus), "face"), (small_corpus.parent / sound, "speech")):
        segment = model.predict(path)["segments"][0]
        assert 0 < segment["reliability"][m] <= 1
        assert set(segment["reliability"]) <= set(segment["present"])
    noise = SpeechPreprocessor(SpeechSpec())(np.random.default_rng(0).normal(0, 0.2, 16000).astype("float32"), 16000)
    mask = torch.ones(1, len(noise), dtype=torch.bool)
    weight = load_bundle(tmp_path / "run").model.reliability["speech"](noise[None], mask)
    assert float(weight) < 0.1, "white noise is no voice of the corpus"


def test_a_branch_trained_on_a_test_speaker_is_refused(tiny_config, tiny_run, tmp_path):
    branches = f"{{speech: '{tiny_run}/branches/speech'}}"
    config = load_config(tiny_config(tmp_path, branches=branches), ["data.split.seed=2"])
    with pytest.raises(SplitError, match="was trained or selected on speaker 'synthetic-demo:"):
        train(config, tmp_path / "run")


def test_a_run_is_not_overwritten_nor_resumed_with_another_config(tiny_run):
    config = load_config(tiny_run / "config.yaml")
    with pytest.raises(CheckpointError, match="--resume"):
        train(config, tiny_run)
    other = load_config(tiny_run / "config.yaml", ["seed=9"])
    with pytest.raises(CheckpointError, match="another config"):
        train(other, tiny_run, resume=True)


# --------------------------------------------------------------------------------------------------------- predicting
@pytest.fixture(scope="module")
def model(tiny_run):
    return multiemo.load(tiny_run)


def check_prediction(entry, labels=5):
    for segment in entry["segments"]:
        assert sum(segment["probs"].values()) == pytest.approx(1, abs=1e-4)
        assert len(segment["probs"]) == labels
        assert segment["label"] in segment["probs"]
        assert set(segment["by_modality"]) == set(segment["present"]) == set(segment["contribution"])
        assert not set(segment["present"]) & set(segment["absent"])
        assert segment["start"] <= segment["end"]


def video(small_corpus: Path) -> Path:
    clips = read_manifest(small_corpus)
    return small_corpus.parent / next(c.video for c in clips if c.video and c.audio is None)


def test_predict_video_with_and_without_text(model, small_corpus):
    entry = model.predict(video(small_corpus), text="I am so happy about it")
    check_prediction(entry)
    assert "text" in entry["present"]
    assert {"valence", "arousal", "dominance"} <= set(entry["segments"][0])
    blind = model.predict(video(small_corpus))
    assert blind["absent"]["text"] == "no transcript was given"


def test_contributions_sum_to_what_the_prediction_gained(model, small_corpus):
    segment = model.predict(video(small_corpus), text="No!")["segments"][0]
    column = list(segment["probs"]).index(segment["label"])
    gained = segment["probs"][segment["label"]] - float(model.bundle.prior[column])
    assert sum(segment["contribution"].values()) == pytest.approx(gained, abs=1e-4)


def test_predict_text_alone_and_a_folder_and_a_manifest(cli, tiny_run, small_corpus, tmp_path):
    code, out, _ = cli("predict", tiny_run, "--text", "我真的很难过", "--json", "-")
    assert code == 0
    entry = json.loads(out)["inputs"][0]
    check_prediction(entry)
    assert entry["present"] == ["text"]
    folder = tmp_path / "some clips"
    folder.mkdir()
    for clip in read_manifest(small_corpus)[:3]:
        source = small_corpus.parent / (clip.video or clip.audio)
        shutil.copy(source, folder / source.name)
    code, out, _ = cli("predict", tiny_run, folder, "--json", "-")
    assert code == 0
    assert len(json.loads(out)["inputs"]) == 3
    code, out, _ = cli("predict", tiny_run, small_corpus, "--json", tmp_path / "p.json")
    assert code == 0
    inputs = json.loads((tmp_path / "p.json").read_text())["inputs"]
    assert len(inputs) == len(read_manifest(small_corpus))
    for entry in inputs:
        check_prediction(entry)


def test_predict_feeds_a_manifest_its_dialogue_as_evaluate_does(tiny_config, tmp_path):
    said = ["so happy today", "I am sad", "leave me alone", "what was that", "all is well"]
    labels = ["happy", "sad", "angry", "fearful", "neutral"]
    rows = [
        {"id": f"u{i}", "corpus": "x", "speaker": f"s{i // 5 % 6}", "group": f"d{i // 10}", "text": said[i * 7 % 5],
         "label_set": "demo5", "label": labels[i % 5]}
        for i in range(120)
    ]  # fmt: skip
    manifest = tmp_path / "talk.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = [f"data.manifest={manifest}", "encoders.text.context=3", "training.epochs=1"]
    train(load_config(tiny_config(tmp_path, modalities=("text",)), overrides), tmp_path / "run")
    records = {r["id"]: r["probs"]["T"] for r in evaluate_run(tmp_path / "run", manifest=manifest).predictions}
    predictor = multiemo.load(tmp_path / "run")
    items = expand([manifest], context=predictor.context)
    assert len(items[3].context) == 3
    for item in items[:12]:
        probs = predictor.predict_item(item)["segments"][0]["probs"]
        assert list(probs.values()) == pytest.approx(records[item.name], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.mp4", None, "missing.mp4"),
        ("empty.mp4", b"", "empty.mp4"),
        ("words.mp4", b"this is a text file, not a film", "words.mp4"),
    ],
)
def test_unreadable_files_are_one_line_and_exit_1(cli, tiny_run, tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, out, err = cli("predict", tiny_run, path, "--json", "-")
    assert code == 1
    assert said in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert said in json.loads(out)["failures"][0]["error"]


def test_a_truncated_film_is_named_or_predicted_with_a_note(model, small_corpus, tmp_path):
    whole = video(small_corpus).read_bytes()
    short = tmp_path / "short.mp4"
    short.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(MediaError, match=r"short\.mp4"):
        model.predict(short)


def test_silence_and_emoji_and_nothing_are_absent_not_zero(model, tmp_path):
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(32000))
    entry = model.predict(path)
    assert entry["present"] == []
    assert entry["segments"] == []
    assert entry["absent"]["speech"] == "nobody speaks here"
    assert entry["skipped"][0]["absent"]["face"]
    assert model.predict(text="   ")["segments"] == []
    emoji = model.predict(text="😀😀")
    assert emoji["present"] == ["text"] or emoji["absent"]["text"]


def test_predict_needs_something(cli, tiny_run, tmp_path):
    assert cli("predict", tiny_run)[0] == 2
    code, _, err = cli("predict", tmp_path, "--text", "x")
    assert code == 1
    assert "no finished model" in err
    code, _, err = cli("predict", tiny_run, "x.mp4", "--text", "a", "--transcript", "b")
    assert (code, "not both" in err) == (2, True)


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("encoders.text.name=transformer", "encoders.text.name"),
        ("encoders.text.name=speech_prosody", "reads speech, not text"),
        ("encoders.text.dims=8", "encoders.text.dims: unknown option"),
        ("encoders.text.heads=3", "encoders.text"),
        ("fusion.name=gate", "unknown fusion 'gate'; did you mean 'gated'?"),
        ("fusion.rank=2", "fusion.rank: unknown option"),
        ("training.epoch=1", "training.epoch: unknown config key"),
        ("encoders.face.name=features", "no clip to train on has features.face"),
        ("data.manifest=nowhere.jsonl", "multiemo prepare"),
        ("branches={text: nowhere}", "nowhere"),
    ],
)
def test_bad_configs_are_one_line(cli, tiny_config, tmp_path, override, said):
    code, _, err = cli("train", tiny_config(tmp_path), override, "--out", tmp_path / "run")
    assert code in (1, 2)
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert "Traceback" not in err


def test_a_speaker_in_two_parts_stops_training(tiny_config, tmp_path):
    config = load_config(
        tiny_config(tmp_path),
        ["data.split={kind: speakers, train_speakers: [s01, s02], val_speakers: [s02], test_speakers: [s03]}"],
    )
    with pytest.raises(SplitError):
        train(config, tmp_path / "run")


def test_a_bad_row_is_named_by_validate(cli, small_corpus, tmp_path):
    rows = [json.loads(line) for line in small_corpus.read_text().splitlines()[:3]]
    rows[1] |= {"label": "hapy"}
    rows[2] |= {"id": rows[0]["id"]}
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(json.dumps(r) + "\n" for r in rows))
    code, out, err = cli("validate", bad)
    assert code == 1
    assert rows[1]["id"] in out
    assert "hapy" in out
    assert rows[0]["id"] in out
    assert "2 invalid rows" in err
    code, out, _ = cli("validate", bad, "--media")
    assert code == 1
    assert cli("validate", small_corpus, "--media")[0] == 0


def test_an_evaluated_split_must_exist(tiny_run):
    with pytest.raises(ConfigError, match="train, val, test"):
        evaluate_run(tiny_run, split="dev")


def test_a_tampered_model_is_refused(tiny_run, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(tiny_run / "model", copy)
    values = json.loads((copy / "config.json").read_text())
    values["label_set"]["labels"] = values["label_set"]["labels"][::-1]
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="its labels"):
        load_bundle(copy)
    (copy / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a multiemo model config"):
        load_bundle(copy)


def _changed(folder: Path, how: str) -> None:
    """A model folder that somebody copied or put together badly."""
    text = folder / "text" / "tokenizer.json"
    if how == "no tokenizer":
        text.unlink()
    elif how == "another tokenizer":
        text.write_text(text.read_text("utf-8").replace('"the"', '"teh"') + " ", "utf-8")
    elif how == "no backbone":
        (folder / "face" / "backbone.json").unlink()
    else:
        values = json.loads((folder / "config.json").read_text("utf-8"))
        if how == "other inputs":
            del values["inputs"]["face"]
        else:  # written by an earlier version, which did not say what belongs to it
            del values["assets"]
            words = [chr(0x4E00 + i) * 3 for i in range(900)]
            train_tokenizer(words * 2, 2000).save(str(text))
        (folder / "config.json").write_text(json.dumps(values), "utf-8")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no tokenizer", r"text/tokenizer\.json: is missing; copy the model folder again"),
        ("another tokenizer", r"text/tokenizer\.json: is not the file that config\.json was written for"),
        ("no backbone", r"face/backbone\.json: is missing; copy the model folder again"),
        ("other inputs", r"config\.json: its inputs are text, speech, its encoders text, speech, face"),
        (
            "more tokens than embeddings",
            r"its tokenizer gives ids up to \d+, but the model has only 600 embeddings",
        ),
    ],
)
@pytest.mark.parametrize("deferred", [False, True])
def test_a_model_folder_is_checked_against_itself_when_it_is_opened(tiny_run, tmp_path, how, says, deferred):
    shutil.copytree(tiny_run / "model", tmp_path / "model")
    load_bundle(tmp_path / "model", deferred=deferred)
    _changed(tmp_path / "model", how)
    with pytest.raises(CheckpointError, match=says):
        load_bundle(tmp_path / "model", deferred=deferred)


def test_weights_of_another_shape_are_refused(tiny_run, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(tiny_run / "model", copy)
    other = tiny_run / "branches" / "text" / "model.safetensors"
    shutil.copy(other, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match="its digest differs"):
        load_bundle(copy)
    values = json.loads((copy / "config.json").read_text())
    values["weights"] = file_digest(other)
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_bundle(copy)


def test_a_model_of_another_format_is_refused(tiny_run, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(tiny_run / "model", copy)
    values = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(CheckpointError, match="written in format 99, but this version reads"):
        load_bundle(copy)


# ----------------------------------------------------------------------------------------------------------- lightness
def test_importing_loads_no_torch_and_help_imports_nothing_heavy():
    code = (
        "import sys, multiemo, multiemo.cli; "
        "assert not {'torch', 'transformers', 'cv2', 'av', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).returncode == 0
    said = subprocess.run([sys.executable, "-m", "multiemo", "--help"], capture_output=True, text=True)
    assert said.returncode == 0
    for command in ("demo", "prepare", "validate", "train", "evaluate", "predict"):
        assert command in said.stdout
