"""Claims: what is counted, by hand, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiemo.errors import ManifestError
from multiemo.explanation.faithfulness.claims import claim_checks

YES, NO = {"yes": 0.9, "no": 0.1}, {"yes": 0.2, "no": 0.8}
#: The text decides: without it the label changes; the face changes nothing.
ROW = {"id": "c", "speaker": "s", "probs": {"TF": YES, "T": YES, "F": NO}}


def write(folder: Path, *rows: object) -> Path:
    path = folder / "other.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def test_the_credited_modality_is_removed_beside_the_mean_over_all(tmp_path: Path) -> None:
    liar = {**ROW, "system": "liar", "credited": "face"}
    alone = {"id": "d", "speaker": "s", "labels": {"T": "yes"}}
    checks = {c.system: c for c in claim_checks(write(tmp_path, ROW, {**ROW, "speaker": "t"}, liar, alone))}
    honest = checks["other"]
    assert (honest.speakers, checks["liar"].speakers) == (2, 1)
    assert (honest.clips, honest.credited.mean, honest.random.mean, honest.difference.mean) == (2, 1, 0.5, 0.5)
    assert (checks["liar"].credited.mean, checks["liar"].difference.mean) == (0, -0.5)


def test_given_labels_precede_the_most_probable_ones(tmp_path: Path) -> None:
    row = {**ROW, "labels": {"TF": "yes", "T": "yes", "F": "yes"}}
    assert claim_checks(write(tmp_path, row))[0].credited.mean == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: is not JSON"),
        ([1], "line 2: is not a JSON object"),
        ({"id": "c"}, "row 2: 'speaker' is None"),
        ({"id": "c", "speaker": "s"}, "row 2: has neither 'labels' nor 'probs'"),
        ({**ROW, "probs": {"TX": YES}}, "row 2: 'probs' has the subset 'TX'"),
        ({**ROW, "probs": {"TF": YES, "T": YES}}, "row 2: 'labels' .or 'probs'. lacks 'F', the prediction without t"),
        ({**ROW, "probs": {**ROW["probs"], "F": {"yes": 2, "no": 0}}}, "row 2: 'probs' for 'F' has 2"),
        ({**ROW, "credited": "speech"}, "row 2: 'credited' is 'speech'; choices: text, face"),
        ({"id": "c", "speaker": "s", "labels": {"TF": "yes", "T": "yes", "F": "no"}}, "'probs' lacks 'T'.*'credited'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        claim_checks(write(tmp_path, ROW, row))


def test_a_run_is_checked_on_validation_and_a_file_beside_it(tiny_run: Path, tmp_path: Path, cli) -> None:
    code, out, _ = cli("claims", tiny_run, write(tmp_path, ROW), "--json", "-")
    assert code == 0
    run, other = json.loads(out)["checks"]
    assert run["clips"] > 0
    assert run["difference"]["mean"] == pytest.approx(run["credited"]["mean"] - run["random"]["mean"], abs=1e-5)
    assert other["system"] == "other"
    assert json.loads((tiny_run / "evaluations.jsonl").read_text("utf-8").splitlines()[-1])["split"] == "val"


def test_the_manifest_of_a_run_may_have_moved(tiny_run: Path, small_corpus: Path, tmp_path: Path, cli) -> None:
    (tmp_path / "media").symlink_to(small_corpus.parent / "media")
    moved = tmp_path / "moved.jsonl"
    code, _, err = cli("claims", tiny_run, "--manifest", moved)
    assert code != 0
    assert "moved.jsonl" in err
    moved.write_bytes(small_corpus.read_bytes())
    assert cli("claims", tiny_run, "--manifest", moved)[0] == 0
