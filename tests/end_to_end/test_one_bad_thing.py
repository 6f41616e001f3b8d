"""Whatever one input or one output does, the others' answers are written and the failure is listed."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pytest

from multiemo.applications.mood import mood_log
from multiemo.bulk import predict_bulk
from multiemo.cli import predicting
from multiemo.data.manifest import checks
from multiemo.errors import DefectError, MediaError
from multiemo.predict import Answer, Item, expand, load
from multiemo.predict import formats as outputs
from multiemo.predict.predictor import Predictor
from multiemo.predict.reader import Reader
from tests.support.media_files import tone, write


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    return load(tiny_run)


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two short sounds, and what is said in them."""
    for name in ("a.srt", "b.srt"):
        (tmp_path / name).write_text("1\n00:00:00,000 --> 00:00:00,400\nSo happy!\n")
    sound, how = tone(0.5, 16000), {"audio_codec": "pcm_s16le", "rate": 16000}
    return [write(tmp_path / name, audio=sound, **how) for name in ("a.wav", "b.wav")]  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _one_model(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiemo.predict.load", lambda *_, **__: predictor)
    monkeypatch.setattr("multiemo.predict.predictor.load", lambda *_, **__: predictor)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def names(result: dict) -> list[str]:
    return [Path(entry["input"]).name for entry in result["inputs"]]


# --- inputs


def test_a_defect_while_one_input_is_read(cli, tiny_run, pair, tmp_path, monkeypatch):
    opened = Reader.open

    def broken(self: Reader, item: Item, **options: bool) -> object:
        if item.name.endswith("a.wav"):
            raise AttributeError("'NoneType' object has no attribute 'width'")
        return opened(self, item, **options)

    monkeypatch.setattr(Reader, "open", broken)
    code, out, err = cli("predict", tiny_run, *pair, "--json", tmp_path / "o.json")
    result = json.loads((tmp_path / "o.json").read_text())
    assert (code, names(result)) == (1, ["b.wav"])
    assert [failure["input"] for failure in result["failures"]] == [str(pair[0])]
    assert "a.wav: an unexpected error in multiemo or a library (AttributeError: 'NoneType'" in err
    assert "b.wav: present" in out


def test_a_defect_in_the_middle_of_one(predictor, monkeypatch):
    """Also while the model hears its segments, beside those of the others."""
    classify = predictor._add_results

    def broken(batch: list) -> None:
        if any(pending.item.name == "1" for pending, _ in batch):
            raise IndexError("out of range")
        classify(batch)

    monkeypatch.setattr(predictor, "_add_results", broken)
    answers = list(predictor.predict_many([Item(str(n), text=f"number {n}") for n in range(20)]))
    assert [n for n, answer in enumerate(answers) if not isinstance(answer, Answer)] == [1]
    assert isinstance(answers[1], DefectError)
    assert predictor.predict_item(Item("2", text="number 2")) == answers[2].entry


def test_a_bad_manifest_a_bad_row_and_an_empty_folder(cli, tiny_run, pair, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "bad.jsonl").write_text('{"id": 5}\n')
    rows = [{"id": "good", "corpus": "c", "text": "so happy"}, {"id": "bad", "corpus": "c", "text": 7}]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [tmp_path / name for name in ("none", "bad.jsonl", "gone.jsonl", "mixed.jsonl")]
    code, out, _ = cli("predict", tiny_run, *given, pair[0], tmp_path / "gone.mp4", "--json", "-")
    result = json.loads(out)
    assert (code, names(result)) == (1, ["good", "a.wav"])
    said = {Path(failure["input"]).name: failure["error"] for failure in result["failures"]}
    assert list(said) == ["none", "bad.jsonl", "gone.jsonl", "mixed.jsonl row 2", "gone.mp4"]
    assert "no media file in this folder" in said["none"]
    assert "row 1: id is a number" in said["bad.jsonl"]
    assert "row 2 (clip 'bad'): text" in said["mixed.jsonl row 2"]
    for alone in given[:3]:
        with pytest.raises(MediaError, match=r"no media|id is a number|no such file"):
            expand([alone])


@pytest.mark.parametrize("name", ["I am so happy today. " * 20, "今天" * 90])
def test_a_name_that_no_file_can_have(cli, tiny_run, pair, tmp_path, name):
    """Such as a text that was meant for ``--text``."""
    code, _, err = cli("predict", tiny_run, name, pair[0], "--json", tmp_path / "o.json")
    result = json.loads((tmp_path / "o.json").read_text())
    assert (code, names(result), len(result["failures"])) == (1, ["a.wav"], 1)
    assert err.count("error: ") == 1
    for command in (["validate", name + ".jsonl"], ["mood", name, "--run", tiny_run], ["call", tiny_run, name]):
        code, _, err = cli(*command)
        assert (code, err.count("error: ")) == (1, 1)


@pytest.mark.slow
def test_bulk_goes_on_too(tiny_run, pair, tmp_path):
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "a.txt").write_text("Hello.")
    pair[1].rename(tmp_path / "box" / "b.wav")
    (tmp_path / "bad.jsonl").write_text('{"id": 5}\n')
    given = [tmp_path / "bad.jsonl", tmp_path / "box"]
    summary = predict_bulk(tiny_run, given, tmp_path / "out", workers=1)
    assert (summary["predicted"], summary["quarantined"], summary["left_out"]) == (1, 1, 1)
    assert "row 1: id is a number" in (tmp_path / "out" / "quarantine.jsonl").read_text()
    assert json.loads((tmp_path / "out" / "left_out.jsonl").read_text())["reason"] == "is text"
    with pytest.raises(MediaError, match="row 1: id is a number"):
        predict_bulk(tiny_run, given[:1], tmp_path / "other", workers=1)
    assert not (tmp_path / "other").exists()


def test_validate_names_what_nobody_foresaw(cli, pair, tmp_path, monkeypatch):
    rows = [{"id": path.stem, "corpus": "c", "audio": path.name} for path in pair]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def probe(file: Path, kind: str) -> None:
        if file.name == "a.wav":
            raise AttributeError("'NoneType' object has no attribute 'width'")

    problems = checks.check_media(tmp_path / "m.jsonl", probe)
    assert [problem.id for problem in problems] == ["a"]
    assert "AttributeError: 'NoneType'" in str(problems[0])
    rows = [{"id": "f", "corpus": "c", "features": {"face": {"path": "f.npz", "key": "x"}}}, *rows]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr("multiemo.data.features.reading.read_features", lambda *_: {}["x"])
    assert [problem.id for problem in checks.check_media(tmp_path / "m.jsonl", probe)] == ["f", "a"]


# --- outputs


@pytest.mark.parametrize("stem", ["n" * 251, "你" * 83 + "n", "a\udcff b\n", "\U0001f600" * 62])
def test_names_of_timelines(cli, tiny_run, pair, tmp_path, stem):
    """Of any length that a name can have, and of any bytes."""
    long = pair[0].rename(tmp_path / f"{stem}.wav")
    formats = [part for name in ("json", "srt", "csv", "TextGrid", "eaf") for part in ("--format", name)]
    options = ["--timeline", tmp_path / "t", *formats, "--json", tmp_path / "o.json"]
    code, _, err = cli("predict", tiny_run, long, pair[1], *options)
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "t").glob("[!.]*"))) == 10
    assert len(json.loads((tmp_path / "o.json").read_text())["inputs"]) == 2


def test_ids_with_slashes_and_two_of_one_name(cli, tiny_run, tmp_path):
    rows = [
        {"id": name, "corpus": "c", "text": "so happy"} for name in ("a/b", "c/b", "..", "x" * 300 + "1", "x" * 300)
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = cli("predict", tiny_run, tmp_path / "m.jsonl", "--timeline", tmp_path / "t", "--format", "csv")
    assert (code, err) == (0, "")
    assert len(made := sorted(path.name for path in (tmp_path / "t").glob("[!.]*"))) == 5
    assert made[:2] == ["b-2.csv", "b.csv"]


@pytest.mark.parametrize("trouble", [full, lambda *_: 1 / 0])
def test_one_format_that_fails(cli, tiny_run, pair, tmp_path, monkeypatch, trouble):
    monkeypatch.setitem(outputs.FORMATS, ".png", trouble)
    code, _, err = cli("predict", tiny_run, *pair, "--timeline", tmp_path / "t", "--json", tmp_path / "o.json")
    result = json.loads((tmp_path / "o.json").read_text())
    assert (code, names(result)) == (1, ["a.wav", "b.wav"])
    assert [failure["output"] for failure in result["failures"]] == [str(tmp_path / "t" / f"{n}.png") for n in "ab"]
    assert err.count("error:") == 2
    assert len(list((tmp_path / "t").glob("[!.]*"))) == 14


@pytest.mark.fault("disk full for one output of `predict`", "the other outputs are written; the failure is listed")
def test_a_disk_that_is_full_for_one_output(cli, tiny_run, pair, tmp_path, monkeypatch):
    write_bytes = Path.write_bytes
    left = [3]

    def some(self: Path, data: bytes) -> int:
        if self.name.startswith("o.json"):
            return write_bytes(self, data)
        left[0] -= 1
        return write_bytes(self, data) if left[0] >= 0 else full()  # type: ignore[func-returns-value, return-value]

    monkeypatch.setattr(Path, "write_bytes", some)
    code, out, err = cli("predict", tiny_run, *pair, "--timeline", tmp_path / "t", "--json", tmp_path / "o.json")
    assert (code, names(json.loads((tmp_path / "o.json").read_text()))) == (1, ["a.wav", "b.wav"])
    assert err.count("No space left on device") == 13
    assert len(list((tmp_path / "t").glob("[!.]*"))) == 3
    assert out.count("timeline:") == 1


def test_json_that_cannot_be_written_is_found_out_first(cli, tiny_run, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(predicting, "model_folder", lambda _: pytest.fail("the work has begun"))
    (tmp_path / "there.json").write_text("{}")
    for target, reason in [
        (tmp_path, "Is a directory"),
        (tmp_path / "no" / "o.json", "No such file"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "there.json" / "o.json", "Not a directory"),
    ]:
        code, _, err = cli("predict", tiny_run, *pair, "--json", target)
        assert (code, reason in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".srt") == ["a.wav", "b.wav", "there.json"]


def test_a_timeline_that_cannot_be_written_is_found_out_first(cli, tiny_run, pair, tmp_path, monkeypatch):
    monkeypatch.setattr("multiemo.predict.load", lambda *_, **__: pytest.fail("the work has begun"))
    code, _, err = cli("predict", tiny_run, *pair, "--timeline", pair[0])
    assert (code, "--timeline" in err) == (2, True)


def test_json_that_fails_at_last(cli, tiny_run, pair, tmp_path, monkeypatch):
    """Half of it does not stay, and what else failed is said."""
    monkeypatch.setattr(Path, "write_bytes", full)
    code, out, err = cli("predict", tiny_run, *pair, tmp_path / "gone.mp4", "--json", tmp_path / "o.json")
    assert code == 1
    assert "b.wav: present" in out
    assert "gone.mp4: no such file" in err
    assert "o.json: cannot be written: No space left on device" in err
    assert not (tmp_path / "o.json").exists()


def test_standard_output_that_takes_no_more(cli, tiny_run, pair, tmp_path, monkeypatch):
    left = []
    monkeypatch.setattr(predicting, "show", full)
    monkeypatch.setattr("os._exit", lambda code: left.append(code) or sys.exit(code))
    code, _, err = cli("predict", tiny_run, *pair, "--json", tmp_path / "o.json")
    assert (code, left, names(json.loads((tmp_path / "o.json").read_text()))) == (1, [1], ["a.wav", "b.wav"])
    assert "the output: No space left on device" in err


def test_mood_goes_on_past_a_broken_entry(tmp_path):
    segment = {"start": 0.0, "end": 1.0, "valence": 0.5, "arousal": 0.0, "probs": {}}
    entries = [
        {"input": "2024-01-01.wav", "segments": [segment]},
        {"input": "2024-01-02.wav", "segments": [{"end": 1, "valence": 0.5}]},
    ]
    entries.append({"input": "undated.wav", "segments": [segment]})
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    log = mood_log(tmp_path / "p.jsonl")
    assert (log["clips"], log["failed"]) == (1, ["2024-01-02.wav", "undated.wav"])


def test_mood_goes_on(cli, tmp_path):
    rows = [f"2024-01-{day:02d},0.{day % 10}" for day in range(1, 21)]
    (tmp_path / "d.csv").write_text(
        "\n".join(["date,valence", *rows, "soon,0.5", "2024-02-01,7", "2024-02-01,"]) + "\n"
    )
    (tmp_path / "plot.png").mkdir()
    code, out, err = cli(
        "mood",
        tmp_path / "d.csv",
        "--out",
        tmp_path / "o.csv",
        "--plot",
        tmp_path / "plot.png",
        "--json",
        tmp_path / "o.json",
    )
    log = json.loads((tmp_path / "o.json").read_text())
    assert (code, log["clips"], log["failed"]) == (1, 20, ["row 21", "row 22"])
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 21
    assert "row 21: could not be read: " in err
    assert "plot.png: cannot be written: it exists and is not a regular file" in err
    assert "left out row 23: has no valence" in out
    assert cli("mood", tmp_path / "d.csv", "--out", tmp_path / "days.txt")[0] == 2
