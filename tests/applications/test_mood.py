"""Mood logs of tables, predictions and clips."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from multiemo.applications.dated_clips import TableColumns
from multiemo.applications.mood import MEANING, draw_days, mood_log
from multiemo.errors import ConfigError, ManifestError
from multiemo.predict import load
from multiemo.tables.reading import open_table
from tests.support.injection import INJECTED, inert
from tests.support.moods import person

DAY = datetime.date(2024, 3, 1)


def table(path: Path, clips: list[np.ndarray], first: datetime.date = DAY) -> Path:
    rows = [(first + datetime.timedelta(d), float(v)) for d, day in enumerate(clips) for v in day]
    pl.DataFrame({"date": [d for d, _ in rows], "valence": [v for _, v in rows]}).write_csv(path)
    return path


def test_a_log_of_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    _, clips = person(rng, 60, move=0.0, shared=0.05, single=0.1, missing=0.2)
    clips = [np.clip(c - 0.5 * (d >= 40), -1, 1) for d, c in enumerate(clips)]
    clips[0], clips[10], clips[59] = np.array([0.1]), clips[10][:0], np.array([-0.4])
    log = mood_log(table(tmp_path / "days.csv", clips), out=tmp_path / "log.csv", plot=tmp_path / "log.html")
    assert log["meaning"] == MEANING
    assert "not a diagnosis" in MEANING
    assert (log["first"], log["last"], len(log["days"])) == ("2024-03-01", "2024-04-29", 60)
    assert log["clips"] == sum(map(len, clips))
    assert log["dates_from"] == {"a column": log["clips"]}
    (change,) = log["changes"]["valence"]
    assert abs((datetime.date.fromisoformat(change["date"]) - DAY).days - 40) <= 2
    assert change["from"] <= change["date"] <= change["to"]
    assert change["before"] - change["after"] == pytest.approx(0.5, abs=0.1)
    assert change["p"] < 0.02
    gap, next_to_it = log["days"][10], log["days"][9]
    assert (gap["clips"], gap["valence"]["mean"]) == (0, None)
    assert gap["valence"]["low"] < gap["valence"]["level"] < gap["valence"]["high"]
    if next_to_it["clips"]:
        assert (
            gap["valence"]["high"] - gap["valence"]["low"]
            > next_to_it["valence"]["high"] - next_to_it["valence"]["low"]
        )
    assert "arousal" not in gap
    assert "no clip has a value of arousal" in log["notes"]
    written = open_table(tmp_path / "log.csv")
    assert list(written.columns) == ["date", "clips", "valence_mean", "valence", "valence_low", "valence_high"]
    assert len(list(written.rows)) == 60
    page = (tmp_path / "log.html").read_text("utf-8")
    assert "not a diagnosis" in page
    assert change["date"] in page
    mood_log(tmp_path / "days.csv", plot=tmp_path / "log.png")
    assert (tmp_path / "log.png").read_bytes()[:4] == b"\x89PNG"
    json.dumps(log)


def test_markup_in_notes_and_sources_is_inert_in_the_page(tmp_path: Path) -> None:
    log = mood_log(table(tmp_path / "days.csv", [np.array([0.1, -0.2])] * 3))
    log = dataclasses.replace(log, notes=[INJECTED], values_from={INJECTED: 1}, meaning=log.meaning + INJECTED)
    draw_days(log, tmp_path / "log.html")
    assert inert(tmp_path / "log.html").count("&lt;script&gt;") == 3


@pytest.mark.parametrize(("option", "name"), [("out", "days.csv"), ("out", "link.csv"), ("plot", "days.html")])
def test_the_source_is_never_replaced(tmp_path: Path, option: str, name: str) -> None:
    source = table(tmp_path / "days.csv", [np.array([0.1])] * 3)
    (tmp_path / "link.csv").symlink_to(source)
    os.link(source, tmp_path / "days.html")
    before = source.read_bytes()
    with pytest.raises(ConfigError, match="is the source to read; write to another file"):
        mood_log(source, **{option: tmp_path / name})
    assert source.read_bytes() == before


def test_few_days_say_so(tmp_path: Path) -> None:
    log = mood_log(table(tmp_path / "two.csv", [np.array([0.1, 0.2]), np.array([0.3])]))
    assert log["days"][0]["valence"] == {"mean": 0.15, "level": 0.15, "low": None, "high": None}
    assert "valence: 2 days with clips; the uncertainty cannot be computed below 3" in log["notes"]
    log = mood_log(table(tmp_path / "nine.csv", [np.array([0.1 * d]) for d in range(9)]))
    assert log["days"][0]["valence"]["low"] is not None
    assert log["changes"] == {}
    assert any("finding changes takes at least 10" in note for note in log["notes"])


def test_predictions_are_read_with_the_dates_of_their_names(tmp_path: Path) -> None:
    def entry(name: str, *segments: dict) -> dict:
        return {"input": name, "segments": [{"start": 0.0, "end": 1.0, **s} for s in segments]}

    entries = [
        entry(
            "a/2024-05-01.wav", {"probs": {"happy": 1.0, "sad": 0.0}}, {"end": 3.0, "probs": {"happy": 0.0, "sad": 1.0}}
        ),
        entry("VID_20240503_101500.mp4", {"valence": 0.5, "arousal": 0.1, "probs": {}}),
        entry("x-2024.05.04.wav"),
    ]
    (tmp_path / "p.json").write_text(json.dumps({"inputs": entries, "model": {}}), "utf-8")
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries), "utf-8")
    log = mood_log(tmp_path / "p.json")
    assert log == mood_log(tmp_path / "p.jsonl")
    assert [day["clips"] for day in log["days"]] == [1, 0, 1]
    assert log["days"][0]["valence"]["mean"] == pytest.approx((0.81 - 3 * 0.63) / 4)
    assert log["days"][2]["arousal"]["mean"] == 0.1
    assert log["dates_from"] == {"the file's name": 2}
    assert set(log["values_from"].values()) == {1}
    assert "valence and arousal derived from label probabilities" in log["values_from"]
    assert "no segment has a valence" in log["left_out"]["x-2024.05.04.wav"]


def test_clips_are_predicted(tiny_run: Path, small_corpus: Path, tmp_path: Path) -> None:
    files = sorted((small_corpus.parent / "media").glob("*.mp4"))[:3]
    rows = [{"when": f"2024-06-0{i + 1}T10:00:00", "file": str(f)} for i, f in enumerate(files)]
    rows.append({"when": "2024-06-05", "file": "gone.mp4"})
    pl.DataFrame(rows).write_csv(tmp_path / "clips.csv")
    columns = TableColumns(date="when", clip="file")
    log = mood_log(tmp_path / "clips.csv", run=tiny_run, columns=columns)
    segments = load(tiny_run).predict(files[0])["segments"]
    weights = [s["end"] - s["start"] for s in segments]
    expected = np.average([s["valence"] for s in segments], weights=weights)
    assert log["days"][0]["valence"]["mean"] == pytest.approx(expected, abs=1e-4)
    assert (log["clips"], log["last"]) == (3, "2024-06-03")
    assert "no such file" in log["left_out"][str(tmp_path / "gone.mp4")]
    with pytest.raises(ConfigError, match="no column 'valence'; it has 'when', 'file'"):
        mood_log(tmp_path / "clips.csv", columns=columns)


def test_a_table_of_another_machine(tmp_path: Path, tiny_run: Path, small_corpus: Path) -> None:
    (tmp_path / "d.csv").write_bytes("date;valence;note\n2024-01-01;0.5;schön\n2024-01-02;0.1;a;b\n".encode("cp1252"))
    log = mood_log(tmp_path / "d.csv")
    assert (log["clips"], list(log["left_out"])) == (1, ["line 3"])
    assert "d.csv is not UTF-8 and was read as cp1252; if its words look wrong, save it as UTF-8" in log["notes"]
    file = sorted((small_corpus.parent / "media").glob("*.mp4"))[0]
    (tmp_path / "clips").symlink_to(file.parent)
    (tmp_path / "c.csv").write_text(f"date,clip\n2024-01-01,C:\\me\\clips\\{file.name}\n2024-01-02,\n", "utf-8")
    log = mood_log(tmp_path / "c.csv", run=tiny_run)
    assert (log["clips"], log["left_out"]) == (1, {"row 2": "has no clip"})
    assert any("were found in another folder" in note for note in log["notes"])


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("d.csv", "date,valence\nsoon,0.1\n", ManifestError, "row 1: 'date' is 'soon'; write dates as"),
        ("d.csv", "date,valence\n2024-01-01,7\n", ManifestError, "row 1: 'valence' is '7'; it must be"),
        ("d.csv", "date,valence\n2024-01-01,much\n", ManifestError, "row 1: 'valence' is 'much'"),
        ("d.csv", "date,valence\n2024-01-01,\n", ManifestError, "contains no day to log (has no valence)"),
        ("d.csv", "date,valence\n1970-01-01,0\n2024-01-01,0\n", ManifestError, "more than ten years"),
        ("d.csv", "day,valence\n2024-01-01,0\n", ConfigError, "no column 'date'; it has 'day', 'valence'"),
        ("d.json", "{}", ManifestError, "is not a prediction JSON"),
        ("d.jsonl", "", ConfigError, "no column 'date'"),
        ("2024-01-01.wav", "x", ConfigError, "contains recordings, which a model must predict first"),
    ],
)
def test_what_is_wrong_is_named(name: str, content: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(error) as caught:
        mood_log(tmp_path / name)
    assert says in str(caught.value)


def test_a_plot_has_a_format(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.png or \.html"):
        mood_log(tmp_path / "d.csv", plot=tmp_path / "plot.pdf")
