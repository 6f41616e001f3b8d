"""Predictions of other systems on the test clips of a run: figures by hand, every form, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import recall_score

from multiemo.benchmark.compare import compare, write_clips
from multiemo.benchmark.comparison_page import write_comparison
from multiemo.benchmark.document import ComparisonResult
from multiemo.errors import ConfigError, ManifestError
from multiemo.runs.folder.evaluation_log import reads_of_test
from tests.support.evaluated_runs import evaluated_run

LABELS = ("neutral", "happy", "sad", "angry", "fearful")
TRUTH = [i % 5 for i in range(40)]
IDS = [f"c{i:02}" for i in range(40)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Forty clips of eight speakers; the run is right for three clips of four."""
    lines = []
    for i, truth in enumerate(TRUTH):
        said = truth if i % 4 else (truth + 1) % 5
        probs = np.full(5, 0.1)
        probs[said] = 0.6
        lines.append({"id": IDS[i], "speaker": f"toy:s{i % 8}", "target": np.eye(5)[truth].tolist(),
                      "probs": {"T": probs.tolist()}, "said": {"T": said}})  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"id": name, "corpus": "toy", "speaker": f"s{i % 8}", "text": f"words {i}", "audio": f"wav/s{i % 8}/{i}.wav",
         "start": 0.5, "label_set": "demo5", "label": LABELS[TRUTH[i]]}
        for i, name in enumerate(IDS)
    ]  # fmt: skip
    rows.append({"id": "trained", "corpus": "toy", "text": "x", "audio": "wav/s1/trained.wav"})
    return evaluated_run(tmp_path / "run", LABELS, lines, rows)  # type: ignore[arg-type]


def theirs(run: Path, rows: list[dict[str, Any]], name: str = "theirs.jsonl") -> Path:
    path = run.parent / name
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")
    return path


def answers(key: str, values: dict[int, Any], skip: int = 99) -> list[dict[str, Any]]:
    """The same answer for every clip with the same true label."""
    return [{"id": name, key: values[t]} for name, t in zip(IDS, TRUTH, strict=True) if t != skip]


def test_labels_in_other_spellings_count_and_strange_ones_are_wrong(run: Path, conforms: Any) -> None:
    spelled = {0: "Neutral", 1: "joy", 2: "sadness", 3: "annoyed", 4: "bewitched"}
    path = theirs(run, [*answers("label", spelled), {"id": "trained", "label": "joy"}])
    result = compare([run, path])
    conforms(result, ComparisonResult)
    figures = result.systems[str(path)]["imported"]
    assert (figures.n, figures.uar, figures.recall) == (40, 0.8, [1, 1, 1, 1, 0])
    assert figures.macro_f1 == pytest.approx(0.8)
    assert figures.ece is None
    assert result.systems[str(run)]["T"].ece is not None
    facts = (result.imported or {})[str(path)]
    assert facts.mapped == {"Neutral": "neutral", "joy": "happy", "sadness": "sad", "annoyed": "angry"}
    assert (facts.outside, facts.elsewhere, facts.stated) == ({"bewitched": 8}, 1, False)
    (test,) = result.tests
    assert test.difference == pytest.approx(result.systems[str(run)]["T"].uar - 0.8)
    assert "not made here" in (result.notes or [""])[0]


def test_the_run_itself_imported_has_its_own_figures(run: Path) -> None:
    """Through a CSV with a column for each label, and media paths of another machine instead of ids."""
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text("utf-8").splitlines()]
    head = ["file", *(f"p_{label}" for label in LABELS)]
    rows = [[rf"D:\data\wav\s{i % 8}\{i}.mp4", *line["probs"]["T"]] for i, line in enumerate(lines)]
    path = run.parent / "theirs.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in [head, *rows]), "utf-8")
    result = compare([run, path])
    own = {**result.systems[str(run)]["T"], "ece": pytest.approx(0.15)}
    assert result.systems[str(path)]["imported"] == own
    assert result.answer_sets is None
    frame = pl.DataFrame({"id": IDS, "probs": [dict(zip(LABELS, row[1:], strict=True)) for row in rows]})
    frame.write_parquet(run.parent / "theirs.parquet")
    again = compare([run, run.parent / "theirs.parquet"]).systems[str(run.parent / "theirs.parquet")]
    assert again["imported"] == own


def test_free_words_are_grouped_and_measured_as_sets(run: Path) -> None:
    said = {0: "calm, not angry", 1: "thrilled but a bit sad", 2: "他很难过", 3: "affectionate", 4: "hm"}
    path = theirs(run, answers("answer", said))
    result = compare([run, path])
    assert result.systems[str(path)]["imported"].recall[:3] == [1, 1, 1]  # type: ignore[index]
    sets = (result.answer_sets or {})[str(path)]
    # groups: {neutral}, {happy, sad}, {sad}, {love}, {}
    assert (sets.hit, sets.precision, sets.recall) == pytest.approx((0.6, 0.5, 0.6))
    assert sets.f1 == pytest.approx(2 * 0.5 * 0.6 / 1.1)
    assert (sets.size, sets.empty) == (1.0, 8)
    own = (result.answer_sets or {})[str(run)]
    assert own.hit == own.precision == own.recall == result.systems[str(run)]["T"].accuracy
    assert (result.imported or {})[str(path)].outside == {"affectionate": 8, "hm": 8}


def test_missing_clips_are_refused_or_counted_as_wrong(run: Path, tmp_path: Path) -> None:
    path = theirs(run, answers("label", dict(enumerate(LABELS)), skip=4))
    with pytest.raises(
        ManifestError, match=r"8 of 40 test clips have no answer \(first: 'c04', 'c09', 'c14' and 5 more"
    ):
        compare([run, path])
    assert not reads_of_test(run)
    result = compare([run, path], allow_missing=True)
    assert (result.n, result.systems[str(path)]["imported"].uar) == (32, 1)
    everything = result.missing_as_wrong or {}
    assert (everything[str(path)].n, everything[str(path)].uar) == (40, 0.8)
    truth, said = zip(*[(t, t if i % 4 else (t + 1) % 5) for i, t in enumerate(TRUTH) if t != 4], strict=True)
    expected = recall_score(truth, said, average="macro", labels=range(4), zero_division=0)
    assert result.systems[str(run)]["T"].uar == pytest.approx(expected)
    assert reads_of_test(run) == {"compare": 1}
    assert "read once, by compare" in result.reads[str(run)]
    page = write_comparison(tmp_path / "out", result).read_text("utf-8")
    assert "8 test clips without an answer" in page
    assert "those without an answer as wrong" in page
    assert ComparisonResult.read(tmp_path / "out" / "comparison.json") == result
    assert f"{path},imported,,32,1.0" in (tmp_path / "out" / "comparison.csv").read_text("utf-8")


SUM = {"neutral": 0.5, "happy": 0.2}
CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "sum": ([{"id": "c00", "probs": SUM}], r"1 rows have probabilities that do not sum to 1 \('c00' 0.7\)"),
    "range": ([{"id": "c00", "probs": {"sad": 1.2}}], r"'c00': 'probs' has 1.2; give probabilities within 0..1"),
    "labels": ([{"id": "c00", "probs": {"sad": 0.5, "tall": 0.5}}], r"the run does not have \('c00' 'tall' 0.5\)"),
    "twice": ([{"id": "c00", "label": "sad"}] * 2, r"1 rows name a clip for the second time \('c00'\)"),
    "unknown": ([{"id": "z", "label": "sad"}], r"1 rows name no clip of the run \('z'\)"),
    "folder": ([{"id": "wav/s1/9", "label": "sad"}, {"id": "s3", "label": "sad"}], r"name no clip of the run \('s3'\)"),
    "column": ([{"key": "c00", "label": "sad"}], r"no column that names the clip; add 'id' \(it has: key, label\)"),
    "answer": ([{"id": "c00", "mood": "sad"}], r"has no answers; give each row 'label'"),
    "subsets": ([{"id": "c00", "label": {"T": "sad"}}], r"'label' of clip 'c00' is \{'T': 'sad'\}; give one text"),
    "empty": ([{"id": "c00", "label": ""}], "answers none of the 40 test clips"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_refused_with_examples(run: Path, case: str) -> None:
    rows, message = CASES[case]
    with pytest.raises(ManifestError, match=message):
        compare([run, theirs(run, rows)])


def test_a_file_name_of_two_clips_is_ambiguous(run: Path) -> None:
    rows = [{"id": "a", "corpus": "toy", "text": "x", "audio": "film.wav", "end": 1.0},
            {"id": "b", "corpus": "toy", "text": "x", "audio": "film.wav", "start": 1.0, "end": 2.0}]  # fmt: skip
    (run.parent / "m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    with pytest.raises(ManifestError, match=r"1 rows name several clips \('film.wav' may be 'a' or 'b'\)"):
        compare([run, theirs(run, [{"id": "film.wav", "label": "sad"}])])


def test_the_list_of_clips_has_no_label(run: Path, tmp_path: Path, cli: Any) -> None:
    out = tmp_path / "lists" / "clips.jsonl"
    assert write_clips(out, run) == 40
    first = json.loads(out.read_text("utf-8").splitlines()[0])
    assert first == {"id": "c00", "media": "../wav/s0/0.wav", "text": "words 0", "start": 0.5}
    code, said, _ = cli("compare", run, "--clips", tmp_path / "again.jsonl")
    assert (code, said) == (0, f"{tmp_path / 'again.jsonl'}: 40 clips\n")
    assert not reads_of_test(run)


def test_a_run_is_needed(run: Path) -> None:
    paths = [theirs(run, answers("label", dict(enumerate(LABELS))), name) for name in ("a.jsonl", "b.jsonl")]
    with pytest.raises(ConfigError, match="name an evaluated run"):
        compare(paths)


def test_several_labels_and_dimensions(tmp_path: Path) -> None:
    lines = [{"id": f"c{i}", "speaker": f"t:s{i % 4}", "target": [1.0, float(i % 2), 0.0],
              "probs": {"T": [0.9, 0.2, 0.1]}, "said": {"T": [1, 0, 0]}} for i in range(16)]  # fmt: skip
    run = evaluated_run(tmp_path / "multi" / "run", ("happy", "sad", "angry"), lines, task="multi")  # type: ignore[arg-type]
    path = theirs(run, [{"id": f"c{i}", "labels": ["joy", "lonely"] if i % 2 else "['joy']"} for i in range(16)])
    result = compare([run, path])
    figures = result.systems[str(path)]["imported"]
    assert (figures.accuracy, figures.macro_f1, figures.map) == (1, 1, None)
    assert (result.answer_sets or {})[str(path)].precision == 1
    lines = [{"id": f"c{i}", "speaker": f"t:s{i % 4}", "target": [i / 16, None, None],
              "values": {"T": [0.1 * (i % 3), 0.0, 0.0]}} for i in range(16)]  # fmt: skip
    run = evaluated_run(tmp_path / "rated" / "run", (), lines, task="dimensions")  # type: ignore[arg-type]
    rows = [{"id": f"c{i}", "valence": i / 16} for i in range(16)]
    path = theirs(run, rows)
    assert compare([run, path]).systems[str(path)]["imported"].ccc == pytest.approx(1)
    with pytest.raises(ManifestError, match=r"not a number within -1..1 \('c3' valence 3\)"):
        compare([run, theirs(run, [{**row, "valence": 3 if i == 3 else 0} for i, row in enumerate(rows)])])
