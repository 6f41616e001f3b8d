"""Rules of voice and face as branches of a run: fitted, fused, saved, loaded, evaluated and used for prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import multiemo
from multiemo.config import load_config
from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.errors import ConfigError
from multiemo.predict import Predictor
from multiemo.runs import evaluate_run, train
from multiemo.runs.model_folder import load_bundle
from multiemo.synthetic.voice import blend
from tests.support.jsonl import write_lines
from tests.support.voices import RATE, utterance

LABELS = ("neutral", "happy", "sad", "angry")
UNITS = ("AU01_r", "AU04_r", "AU06_r", "AU07_r", "AU10_r", "AU12_r", "AU15_r", "AU17_r", "AU23_r", "AU25_r")
SHOWN = {"neutral": (), "happy": ("AU06_r", "AU12_r"), "sad": ("AU01_r", "AU04_r", "AU15_r"),
         "angry": ("AU04_r", "AU07_r", "AU23_r")}  # fmt: skip
CONFIG = """
name: rules
label_set: custom:neutral,happy,sad,angry
device: cpu
data:
  manifest: '{manifest}'
  split: {{kind: speakers, train_speakers: [a, b], val_speakers: [c], test_speakers: [d]}}
encoders: {{speech: {{name: speech_rules}}, face: {{name: face_rules}}}}
fusion: {{name: decision}}
stages: [speech, face, fuse]
training: {{epochs: 1, class_weights: 1.0}}
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows, table = [], ["clip," + ",".join(UNITS)]
    for seed, speaker in enumerate("abcd"):
        for take, label in enumerate(LABELS * 2):
            name = f"{speaker}{take}"
            soundfile.write(folder / f"{name}.wav", utterance(blend(label, 1.0), seed=100 * seed + take), RATE)
            shown = [3.0 * (unit in SHOWN[label]) + rng.uniform(0, 0.4) for unit in UNITS]
            table.append(f"{name}," + ",".join(f"{value:.3f}" for value in shown))
            rows.append({"id": name, "corpus": "x", "speaker": speaker, "audio": f"{name}.wav",
                         "features": {"face": {"path": "units.csv", "key": name}},
                         "label_set": "custom:neutral,happy,sad,angry", "label": label})  # fmt: skip
    (folder / "units.csv").write_text("\n".join(table) + "\n")
    return write_lines(folder / "m.jsonl", rows)


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "c.yaml").write_text(CONFIG.format(manifest=manifest))
    train(load_config(folder / "c.yaml"), folder / "run")
    return folder / "run"


def test_rules_answer_without_a_trained_parameter(run: Path):
    figures = evaluate_run(run).subsets
    assert figures["F"]["uar"] >= 0.9
    assert figures["S"]["uar"] >= 0.5
    assert not list(load_bundle(run / "branches" / "speech").model.parameters())


def test_the_loaded_model_compares_with_the_same_baseline_and_gives_reasons(run: Path, manifest: Path):
    encoders = load_bundle(run).model.encoders
    again = load_bundle(run / "branches" / "face").model.encoders["face"]
    speech, face = encoders["speech"], encoders["face"]
    assert isinstance(speech, TensorRules)
    assert isinstance(face, TensorRules)
    assert isinstance(again, TensorRules)
    assert face.baseline() == again.baseline()
    assert speech.baseline().clips == face.baseline().clips == 16
    smile = torch.tensor([[3.0 * (unit in SHOWN["happy"]) for unit in UNITS]])
    assert face.find(smile).reasons[0].part in ("AU12 lip corner puller", "AU06 cheek raiser")


def test_a_sound_file_is_predicted_by_its_tone(run: Path, manifest: Path):
    answer = multiemo.load(run).predict(manifest.parent / "d3.wav")
    assert isinstance(multiemo.load(run), Predictor)
    assert set(answer.present) == {"speech"}
    assert "features.face" in answer.absent["face"]
    assert sum(answer.segments[0].probs.values()) == pytest.approx(1, abs=1e-3)


def test_face_rules_need_named_action_units(manifest: Path, tmp_path: Path):
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    np.savez(tmp_path / "f.npz", **{row["id"]: np.zeros((1, 4), np.float32) for row in rows})
    for row in rows:
        del row["audio"]
        row["features"]["face"]["path"] = "f.npz"
    write_lines(tmp_path / "m.jsonl", rows)
    text = CONFIG.format(manifest=tmp_path / "m.jsonl").replace("speech: {name: speech_rules}, ", "")
    text = text.replace("[speech, face, fuse]", "[face]").replace("fusion: {name: decision}\n", "")
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"encoders\.face\.name: 'face_rules' reads action units.*no names"):
        train(load_config(tmp_path / "c.yaml"), tmp_path / "run")
