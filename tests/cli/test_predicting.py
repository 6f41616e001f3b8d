"""``predict`` and ``live`` on the command line: timelines, names of files, wrong options."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from multiemo.cli.common import NOTICE


def test_predict_writes_timelines(cli, tiny_run, talk, tmp_path):
    out = tmp_path / "timelines"
    code, printed, _ = cli("predict", tiny_run, talk, "--timeline", out, "--json", tmp_path / "p.json")
    assert code == 0
    assert sorted(p.name for p in out.glob("[!.]*")) == [
        f"talk.{s}" for s in ("TextGrid", "csv", "eaf", "html", "json", "png", "srt", "vtt")
    ]
    assert "over time: " in printed or "timeline: " in printed
    entry = json.loads((tmp_path / "p.json").read_text("utf-8"))["inputs"][0]
    assert json.loads((out / "talk.json").read_text("utf-8"))["inputs"][0] == entry
    page = (out / "talk.html").read_text("utf-8")
    assert "data:image/jpeg;base64" in page  # a face


def test_two_inputs_of_one_name_do_not_overwrite_each_other(cli, tiny_run, talk, tmp_path):
    other = tmp_path / "other" / talk.name
    other.parent.mkdir()
    other.write_bytes(talk.read_bytes())
    out = tmp_path / "out"
    assert cli("predict", tiny_run, talk, other, "--timeline", out, "--format", "srt")[0] == 0
    assert sorted(p.name for p in out.glob("[!.]*")) == ["talk-2.srt", "talk.srt"]


def test_a_timeline_replaces_no_file_of_the_user(cli, tiny_run, talk, tmp_path, monkeypatch):
    """It is found out before the work begins."""
    monkeypatch.setattr("multiemo.predict.Predictor.predict_many", lambda *_: pytest.fail("the work has begun"))
    film, words, picture = tmp_path / "talk.mp4", tmp_path / "talk.srt", tmp_path / "pic.png"
    film.write_bytes(talk.read_bytes())
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nI am happy\n", "utf-8")
    cv2.imwrite(str(picture), np.full((64, 64, 3), 90, np.uint8))
    before = {path: path.read_bytes() for path in (film, words, picture)}
    why = {picture: "it is read as an input or a transcript", words: "multiemo did not write it"}
    for source, target, form in ((picture, picture, "png"), (film, words, "srt")):
        code, _, err = cli("predict", tiny_run, source, "--timeline", tmp_path, "--format", form)
        assert (code, err.count("\n")) == (2, 1)
        assert f"--timeline: {str(target)!r} would be replaced, and {why[target]}" in err
        assert "choose another folder" in err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "srt"], "add --timeline DIR"),
        (["--timeline", "T", "--format", "xyz"], "no timeline format 'xyz'"),
        (["--out", "O", "--hop", "1"], "--out cannot be combined with --timeline"),
        (["--segments", "words"], "is not one of auto, whole"),
        (["--transcript", "missing.srt"], "missing.srt"),
    ],
)
def test_wrong_options_are_one_line(cli, tiny_run, talk, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = cli("predict", tiny_run, talk, *options)
    assert code in (1, 2)
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_live_replays_a_file_at_the_speed_of_life(cli, tiny_run, small_corpus, tmp_path):
    clip = next(small_corpus.parent.glob("media/*.mp4"))
    code, out, _ = cli("live", tiny_run, "--replay", clip, "--no-microphone", "--json", tmp_path / "l.json")
    assert code == 0
    said = json.loads((tmp_path / "l.json").read_text("utf-8"))["segments"]
    assert said
    assert out.count("\n") == len(said)


def test_the_notice_about_the_law_is_printed_once_and_never_into_json(cli, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIEMO_CACHE", str(tmp_path / "cache"))
    command = ["predict", tiny_run, "--text", "I am so happy", "--json", "-"]
    _, output, first = cli(*command)
    assert [line for line in first.splitlines() if "AI Act" in line] == [NOTICE]
    assert json.loads(output)["inputs"]
    assert "AI Act" not in cli(*command)[2]
    assert "AI Act" not in cli("texts", tiny_run, "I am so happy")[2], "the machine remembers it, not the command"
