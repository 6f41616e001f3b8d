"""Label sets, the maps between them, sets that a user declares, and the circumplex."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiemo.config import load_config
from multiemo.errors import CheckpointError, ConfigError
from multiemo.labels import (
    ALIASES,
    LABEL_SETS,
    MAPS,
    canonical,
    circumplex,
    find_label,
    label_map,
    label_set,
    map_label,
)
from multiemo.runs import evaluate_run, load_bundle, train
from tests.support.jsonl import write_lines
from tests.support.progress import Notes

OWN = "custom:happy,sad,bored"


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_set(name: str) -> None:
    labels = label_set(name)
    assert len(labels) >= 2
    assert len(set(labels)) == len(labels)
    assert all(label == label.strip().lower() and label for label in labels)
    digits = name.lstrip("abcdefghijklmnopqrstuvwxyz")
    assert digits == str(len(labels))


@pytest.mark.parametrize("source", [*LABEL_SETS, OWN])
def test_every_map_ends_in_labels_of_the_target_and_loses_nothing_silently(source: str) -> None:
    labels = label_set(source)
    for target in (*LABEL_SETS, OWN):
        found = label_map(source, target)
        assert set(found.kept.values()) <= set(label_set(target))
        assert not found.kept.keys() & found.lost.keys()
        assert found.kept.keys() | found.lost.keys() == set(labels)
        if source == target:
            assert found.kept == {label: label for label in labels}
        elif not source.startswith("polarity"):  # whose sets differ in what negative and positive hold
            assert all(found.kept[label] == label for label in labels if label in label_set(target))


@pytest.mark.parametrize(("source", "target"), MAPS)
def test_every_registered_map_is_about_labels_that_exist(source: str, target: str) -> None:
    pairs = MAPS[source, target]
    assert pairs.keys() <= set(LABEL_SETS[source])
    assert set(pairs.values()) <= set(LABEL_SETS[target])


@pytest.mark.parametrize(
    ("source", "target", "lost"),
    [
        ("ravdess8", "iemocap4", {"calm", "fearful", "disgusted", "surprised"}),
        ("ravdess8", "meld7", set()),
        ("goemotions28", "ekman7", set()),
        ("goemotions28", "fer7", set()),
        ("goemotions28", "polarity3", {"surprise", "realization", "confusion", "curiosity"}),
        ("iemocap9", "iemocap4", {"frustrated", "fearful", "surprised", "disgusted"}),
        ("iemocap9", "iemocap6", {"fearful", "surprised", "disgusted"}),
        ("emorynlp7", "ekman7", {"peaceful", "powerful"}),
        ("emorynlp7", "polarity2", {"neutral"}),
        ("mer6", "ekman7", {"worried"}),
        ("ekman7", "ekman6", {"neutral"}),
        ("ekman7", "polarity2", {"neutral", "surprised"}),
        ("polarity5", "polarity3", set()),
        ("polarity3", "polarity2", {"neutral"}),
        ("polarity2", "polarity5", {"negative", "positive"}),
        ("emodb7", OWN, {"neutral", "angry", "fearful", "disgusted"}),
    ],
)
def test_what_is_lost(source: str, target: str, lost: set[str]) -> None:
    assert set(label_map(source, target).lost) == lost


def test_single_labels() -> None:
    assert map_label("excited", "iemocap9", "iemocap4") == "happy"
    assert map_label("excited", "iemocap9", "iemocap6") == "excited"
    assert map_label("annoyance", "goemotions28", "iemocap4") == "angry"
    assert map_label("very negative", "polarity5", "polarity2") == "negative"
    assert map_label("happy", None, "ekman7") == "happy"
    assert canonical(" Exc ") == "excited"
    assert set(ALIASES.values()) <= {label for labels in LABEL_SETS.values() for label in labels}


@pytest.mark.parametrize(
    ("word", "labels", "meant"),
    [
        ("Joy", ("joy", "happy"), "joy"),
        ("Joy", ("Joy", "joy"), "Joy"),
        ("JOY", ("Joy", "joy"), None),  # either could be meant
        (" contempt ", ("joy", "Contempt"), "Contempt"),
        ("Joy", ("happy", "sad"), "happy"),
        ("Happiness", ("joy", "happy"), "happy"),
        ("happy", ("joy", "happiness"), None),
        ("ANG", ("Anger", "Fear"), "Anger"),
        ("angry", ("Anger", "Fear"), "Anger"),
        ("Fear", ("fearful", "afraid"), "fearful"),
        ("fache\u0301", ("f\u00e2ch\u00e9", "fach\u00e9"), "fach\u00e9"),
        ("Surprise", LABEL_SETS["goemotions28"], "surprise"),
        ("bliss", ("joy", "happy"), None),
    ],
)
def test_a_set_knows_its_own_names_before_any_alias(word: str, labels: tuple[str, ...], meant: str | None) -> None:
    assert find_label(word, labels) == meant


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_label_is_found_in_its_set_however_it_is_written(name: str) -> None:
    for label in label_set(name):
        assert [find_label(w, label_set(name)) for w in (label, label.upper(), f" {label.title()} ")] == [label] * 3


def test_a_declared_set_meets_others_by_its_own_names_first() -> None:
    own = "custom:Joy,happy,Contempt"
    assert [map_label(label, own, "ekman7") for label in label_set(own)] == ["happy", "happy", None]
    assert map_label("happy", "ekman7", own) == "happy"
    assert map_label("contemptuous", "affectnet8", own) == "Contempt"
    assert map_label("joy", "goemotions28", own) == "Joy"
    assert map_label("joy", "goemotions28", "emorynlp7") is None  # named sets: nothing but registered maps
    assert circumplex("Joy") == circumplex("joy") != circumplex("happy")


def test_counts_weigh_the_loss() -> None:
    found = label_map("ravdess8", "iemocap4", {"calm": 192, "happy": 7})
    assert found.lost == {"calm": 192, "fearful": 0, "disgusted": 0, "surprised": 0}
    with pytest.raises(ConfigError, match=r"counts: 'joy' is not in label set ravdess8: neutral, calm"):
        label_map("ravdess8", "iemocap4", {"joy": 1})
    with pytest.raises(ConfigError, match="unknown label set 'iemocap'; did you mean 'iemocap"):
        label_map("ravdess8", "iemocap")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("custom:happy", "has fewer than two labels"),
        ("custom:", "has fewer than two labels"),
        ("custom:happy,,sad", "has an empty label"),
        ("custom:happy, sad", "has spaces around the label ' sad'"),
        ("custom:happy,sad,happy", "has the label 'happy' twice"),
        ("ekman8", "unknown label set 'ekman8'; did you mean 'ekman"),
        ("happy,sad", "unknown label set 'happy,sad'.* or your own, like custom:happy,sad,bored"),
    ],
)
def test_declared_sets_that_are_not_sets(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        label_set(name)


@pytest.mark.parametrize("label", sorted({label for labels in LABEL_SETS.values() for label in labels}))
def test_circumplex_stays_on_the_plane(label: str) -> None:
    found = circumplex(label)
    assert found is None or all(-1 <= value <= 1 for value in found)


def test_circumplex_values_of_the_source() -> None:
    assert circumplex("happy") == (0.81, 0.51)
    assert circumplex("joy") == circumplex("joyful") == (0.76, 0.48)
    assert circumplex("sadness") == circumplex("sad") == (-0.63, -0.27)
    assert circumplex("surprise") == (0.40, 0.67)
    assert circumplex("neutral") is None
    assert circumplex("worried") is None
    for label in ("happy", "joyful", "excited"):
        assert label_map("ekman7", "polarity3").kept["happy"] == "positive"
        assert circumplex(label)[0] > 0


@pytest.fixture
def own_corpus(tmp_path: Path) -> Path:
    """Texts of six speakers, labelled from a declared set."""
    said = {"happy": "what a lovely day", "sad": "I miss her so much", "bored": "nothing ever happens here"}
    rows = [
        {"id": f"{who}-{label}-{n}", "corpus": "mine", "speaker": who, "text": text, "label_set": OWN, "label": label}
        for who in "abcdef"
        for label, text in said.items()
        for n in range(2)
    ]
    path = tmp_path / "own.jsonl"
    return write_lines(path, rows)


def config(folder: Path, corpus: Path, labels: str) -> str:
    path = folder / "own.yaml"
    path.write_text(
        f"""
name: own
label_set: {labels}
device: cpu
data: {{manifest: '{corpus}', split: {{val: 0.3, test: 0.34}}}}
encoders: {{text: {{name: text_transformer, dim: 16, layers: 1, heads: 2, vocab_size: 512}}}}
stages: [text]
training: {{epochs: 1, batch_size: 8}}
"""
    )
    return str(path)


def test_a_run_with_a_set_of_ones_own(tmp_path: Path, own_corpus: Path) -> None:
    """A declared set passes through manifest, config, training, checkpoint and evaluation; lost labels are reported."""
    heard = Notes()
    train(load_config(config(tmp_path, own_corpus, "custom:sad,happy")), tmp_path / "run", progress=heard)
    lost = "clips with label bored have no place in custom:sad,happy and are left out"
    assert [n.partition(": ")[0] for n in heard.notes if lost in n] == ["train", "val"]
    assert not [note for note in heard.notes if "label sad" in note or "label happy" in note]
    assert load_bundle(tmp_path / "run").labels == ("sad", "happy")
    report = evaluate_run(tmp_path / "run")
    assert (report.label_set, report.n) == (["sad", "happy"], 8)
    assert f"4 {lost}" in report.notes
    stored = tmp_path / "run/model/config.json"
    values = json.loads(stored.read_text())
    values["label_set"]["labels"] = ["happy", "sad"]
    stored.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"its labels \['happy', 'sad'\] are not those of 'custom:sad,happy'"):
        load_bundle(tmp_path / "run")


def test_a_wrong_declaration_in_a_config(tmp_path: Path, own_corpus: Path) -> None:
    path = config(tmp_path, own_corpus, "custom:sad")
    with pytest.raises(ConfigError, match="label_set: 'custom:sad' has fewer than two labels"):
        load_config(path)
    assert load_config(path, ["label_set=custom:sad,happy"]).label_set == "custom:sad,happy"
