"""Predictions for a person whom the model knows from other recordings."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

import multiemo
from multiemo.errors import ConfigError, MediaError


@pytest.fixture(scope="module")
def people(resting_run: Path, resting_corpus: Path) -> dict[str, tuple[Path, Path, list[str]]]:
    """Of each person in test: a manifest with half of the clips, one with the others, and the labels of these."""
    splits = json.loads((resting_run / "splits.json").read_text("utf-8"))
    tested = set(next(iter(splits.values()))["parts"]["test"])
    rows = defaultdict(list)
    for line in resting_corpus.read_text("utf-8").splitlines():
        if (row := json.loads(line))["id"] in tested:
            rows[row["speaker"]].append(row)
    found = {}
    for speaker, clips in rows.items():
        paths = []
        for name, part in (("enrol", clips[:12]), ("new", clips[12:])):
            path = resting_corpus.with_name(f"{speaker}-{name}.jsonl")
            bare = [{k: v for k, v in row.items() if k not in ("label", "label_set")} for row in part]
            path.write_text("".join(json.dumps(row) + "\n" for row in bare), "utf-8")
            paths.append(path)
        found[speaker] = (*paths, [row["label"] for row in clips[12:]])
    return found


def said(prediction: dict) -> list[str]:
    return [entry["segments"][0]["best"] for entry in prediction["inputs"]]


def test_a_known_person_is_understood_better(resting_run: Path, people, cli) -> None:
    right = defaultdict(int)
    for enrol, new, labels in people.values():
        for name, more in (("stranger", ()), ("known", ("--enrol", enrol))):
            code, out, err = cli("predict", resting_run, new, *more, "--json", "-")
            assert code == 0, err
            prediction = json.loads(out)
            right[name] += sum(a == b for a, b in zip(said(prediction), labels, strict=True))
            assert prediction["model"].get("enrolled") == ({"face": 12} if more else None)
            assert ("enrolled: 12 clips of face" in err) == bool(more)
    count = sum(len(labels) for *_, labels in people.values())
    assert right["known"] > 0.9 * count
    assert right["known"] > right["stranger"] + 0.15 * count


def test_a_new_enrolment_replaces_the_one_before_and_an_empty_one_forgets(resting_run: Path, people) -> None:
    (first, new, _), (second, *_) = list(people.values())[:2]
    row = json.loads(new.read_text("utf-8").splitlines()[0])
    model = multiemo.load(resting_run)

    def probs() -> dict[str, float]:
        item = multiemo.predict.expand([new])[0]
        return model.predict_item(item).segments[0].probs

    stranger = probs()
    assert model.enrol([first]) == {"face": 12}
    known = probs()
    model.enrol([second])
    other = probs()
    model.enrol([first])
    assert probs() == known
    assert model.enrol([]) == {}
    assert probs() == stranger
    assert len({json.dumps(found) for found in (stranger, known, other)}) == 3
    assert row["id"]


def test_a_model_that_does_not_normalise_refuses(tiny_run: Path, small_corpus: Path, cli) -> None:
    with pytest.raises(ConfigError, match="--enrol: no encoder of this model normalises speakers"):
        multiemo.load(tiny_run).enrol([small_corpus])
    code, _, err = cli("predict", tiny_run, small_corpus, "--enrol", small_corpus)
    assert code == 2
    assert "speaker_normalization: true" in err


def test_recordings_without_the_modality_are_refused(resting_run: Path, resting_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text('{"id": "w", "corpus": "x", "text": "hello"}\n', "utf-8")
    with pytest.raises(MediaError, match=r"--enrol: nothing in these recordings shows the person's face \(face: "):
        multiemo.load(resting_run).enrol([path])
    with pytest.raises(MediaError, match=r"--enrol: .*gone\.wav"):
        multiemo.load(resting_run).enrol([tmp_path / "gone.wav"])


def test_bulk_predictions_refuse_it(resting_run: Path, resting_corpus: Path, tmp_path: Path, cli) -> None:
    code, _, err = cli("predict", resting_run, resting_corpus, "--enrol", resting_corpus, "--out", tmp_path / "out")
    assert code == 2
    assert "--enrol" in err
