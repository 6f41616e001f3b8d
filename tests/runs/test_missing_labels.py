"""Labels that were never trained or are never tested are said, with what that does to the figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from multiemo.config import load_config
from multiemo.inputs.dataset import PreparedPart
from multiemo.runs import evaluate_run, train
from multiemo.runs.missing_labels import few_clips_note, missing_label_notes, untrained_note
from tests.support.jsonl import write_lines
from tests.support.progress import Notes

LABELS = ("neutral", "happy", "sad", "angry", "fearful")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """``fearful`` is said by a speaker of test alone, ``angry`` by those of train and validation alone."""
    path = tmp_path_factory.mktemp("lacking") / "m.jsonl"
    rows = []
    for speaker, labels in {"a": LABELS[:4], "b": LABELS[:4], "c": LABELS[:4], "d": (*LABELS[:3], "fearful")}.items():
        for i in range(16):
            label = labels[i % 4]
            rows.append({"id": f"{speaker}{i}", "corpus": "x", "speaker": speaker, "text": f"this is {label} indeed",
                         "label_set": "demo5", "label": label})  # fmt: skip
    return write_lines(path, rows)


@pytest.fixture(scope="module")
def run(manifest, tmp_path_factory) -> tuple[Path, list[str]]:
    folder, notes = tmp_path_factory.mktemp("run"), Notes()
    (folder / "c.yaml").write_text(
        f"name: lacking\nlabel_set: demo5\ndevice: cpu\nstages: [text]\ndata: {{manifest: '{manifest}', split: "
        "{kind: speakers, train_speakers: [a, b], val_speakers: [c], test_speakers: [d]}}\nencoders: {text: "
        "{name: text_transformer, dim: 16, layers: 1, heads: 2, vocab_size: 600}}\ntraining: {epochs: 1}\n"
    )
    train(load_config(folder / "c.yaml"), folder / "run", progress=notes)
    return folder / "run", notes.notes


def test_training_says_at_the_start_what_it_cannot_learn(run):
    assert "no clip of train is fearful: the model does not learn to predict it" in run[1]


def test_evaluation_says_what_was_never_trained_and_what_is_never_tested(run):
    report = evaluate_run(run[0])
    (lost,) = [n for n in report.notes if n.startswith("no clip of train")]
    assert lost == (
        "no clip of train is fearful: not learnt, so its 4 clips of test count as wrong, and UAR can hardly exceed "
        "0.750"
    )
    assert report.subsets["T"]["uar"] <= 0.75
    (never,) = [n for n in report.notes if n.startswith("no clip of test")]
    assert never.startswith("no clip of test is angry: the figures do not cover it; UAR is the mean over the 4 labels")


def test_a_part_that_has_everything_needs_no_note(run):
    assert not [n for n in evaluate_run(run[0], split="train").notes if n.startswith("no clip")]


def test_dimensions_likewise():
    names, learnt = ("valence", "arousal", "dominance"), torch.tensor([0.1, -0.2, torch.nan])
    part = PreparedPart(labelled=[True] * 3, frequencies=torch.tensor([0.3, torch.nan, 0.1]))
    assert untrained_note(names, learnt, task="dimensions") == [
        "no clip of train has dominance: not learnt, so not predicted"
    ]
    assert missing_label_notes(names, learnt, part, split="test", task="dimensions") == [
        "no clip of train has dominance: not learnt, so not measured",
        "no clip of test has arousal: the figures do not cover it",
    ]


def test_a_handful_of_clips_trains_with_a_plain_warning(run):
    (note,) = [n for n in run[1] if n.startswith("train has only")]
    assert note.startswith("train has only 32 labelled clips, 8 of them neutral: the model will repeat these clips")
    enough = PreparedPart(labelled=[True] * 40, frequencies=torch.tensor([0.25, 0.75]))
    assert few_clips_note(("sad", "happy"), enough) == []
    assert few_clips_note(("sad", "happy"), PreparedPart(labelled=[False], frequencies=torch.zeros(2))) == []
