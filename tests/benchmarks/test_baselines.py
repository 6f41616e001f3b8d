from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from multiemo.labels import label_set
from multiemo.runs.folder.evaluation_log import reads_of_test
from tests.support.paths import ROOT

pytest.importorskip("sklearn", reason="the baselines need the 'benchmark' extra")


@pytest.fixture(scope="module")
def baselines() -> ModuleType:
    path = ROOT / "benchmarks" / "baselines.py"
    spec = importlib.util.spec_from_file_location("baselines", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_meld(root: Path, parts: tuple[str, ...] = ("train", "dev")) -> None:
    said = {"joy": "great, I love it", "anger": "get out, I hate this", "neutral": "the table is over there"}
    for part in parts:
        with (root / f"{part}_sent_emo.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"])
            for i in range(12):
                emotion = ("joy", "anger", "neutral")[i % 3]
                rows.writerow([i, said[emotion], "Joey", emotion, "-", i // 6, i % 6])


def test_text_baseline_prints_a_table_then_json(baselines: ModuleType, tmp_path: Path, capsys):
    write_meld(tmp_path)
    assert baselines.main(["meld", "--root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    result = json.loads(lines[-1])
    assert (result["train"], result["test"]) == (12, 12)
    assert result["baselines"]["majority class"]["accuracy"] == pytest.approx(1 / 3)
    assert result["baselines"]["TF-IDF + logistic regression"]["wf1"] == 1.0
    assert "majority class" in "\n".join(lines[:-1])


def test_a_run_stands_beside_the_baselines_on_the_same_rows(baselines: ModuleType, tmp_path: Path, capsys):
    write_meld(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    labels = list(label_set("meld7"))
    place = [labels.index(label) for label in ("happy", "angry", "neutral")]

    def one_hot(column: int) -> list[float]:
        return [float(column == c) for c in range(len(labels))]

    records = [
        {
            "id": f"dev_dia{i // 6}_utt{i % 6}",
            "speaker": "meld:Joey",
            "target": one_hot(place[i % 3]),
            "probs": {"T": one_hot(place[i % 3 if i < 9 else 0])},
        }
        for i in range(12)
    ]
    (run / "evaluation.json").write_text(json.dumps({"label_set": labels}))
    (run / "predictions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    assert baselines.main(["meld", "--root", str(tmp_path), "--run", str(run)]) == 0
    assert reads_of_test(run) == {"classic baselines": 1}
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result["baselines"]["multiemo T"]["accuracy"] == pytest.approx(10 / 12)
    test = result["comparison"]["multiemo T - TF-IDF + logistic regression"]["uar"]
    assert test["difference"] == pytest.approx(-2 / 12)
    (run / "predictions.jsonl").write_text(json.dumps(records[0]) + "\n")
    assert baselines.main(["meld", "--root", str(tmp_path), "--run", str(run)]) == 1
    assert "other rows" in capsys.readouterr().err
    (run / "evaluation.json").write_text(json.dumps({"label_set": labels[::-1]}))
    assert baselines.main(["meld", "--root", str(tmp_path), "--run", str(run)]) == 1
    assert "its labels are" in capsys.readouterr().err


def test_face_baseline_tells_shapes_apart(baselines: ModuleType, tmp_path: Path, capsys):
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for label, ends in {"happy": ((8, 8), (40, 40)), "sad": ((24, 4), (24, 44))}.items():
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for i in range(6):
                picture = random.integers(0, 40, (48, 48), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{i}.png"), cv2.line(picture, *ends, 255, 3))
    assert baselines.main(["fer2013", "--root", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result["baselines"]["HOG + SVM"]["accuracy"] == 1.0


@pytest.mark.parametrize(("parts", "words"), [((), "train_sent_emo.csv"), (("train",), "0 to test on")])
def test_an_incomplete_corpus_is_one_clear_line(baselines: ModuleType, tmp_path: Path, capsys, parts, words):
    write_meld(tmp_path, parts)
    assert baselines.main(["meld", "--root", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
