"""The commands on collections, as a person types them."""

from __future__ import annotations

import csv
import datetime
import json

import numpy as np
import pytest


def test_texts(cli, tiny_run, tmp_path):
    table = tmp_path / "posts.csv"
    table.write_text("id,text\n1,I am so happy\n2,我今天很难过\n3,\n", "utf-8")
    out = tmp_path / "done.csv"
    code, said, _ = cli("texts", tiny_run, table, "--column", "text", "--out", out, "--json", tmp_path / "s.json")
    assert code == 0
    assert "2 of 3 rows" in said
    assert "1 not predicted: " in said
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["text"] == "我今天很难过"
    assert rows[0]["emotion"]
    assert not rows[2]["emotion"]
    assert json.loads((tmp_path / "s.json").read_text("utf-8"))["predicted"] == 2
    code, said, err = cli("texts", tiny_run, table, "--column", "words", "--out", tmp_path / "x.csv")
    assert code == 2
    assert "words" in err
    assert "id, text" in err or "'text'" in err
    assert err.count("\n") >= 1
    assert "Traceback" not in err


def test_call(cli, tiny_run, talk_like, tmp_path):
    code, said, err = cli("call", tiny_run, talk_like, "--left", "agent", "--right", "customer", "--json", "-")
    assert code == 0, err
    found = json.loads(said)
    assert [s["speaker"] for s in found["speakers"]] == ["agent", "customer"]
    assert found["speakers"][0]["talk_seconds"] > 1
    assert not found["speakers"][1]["scored"]
    code, said, _ = cli("call", tiny_run, talk_like)
    assert code == 0
    assert "left: " in said
    assert "right: not scored" in said
    assert "no moment of escalation" in said


def test_mood(cli, tmp_path):
    rng = np.random.default_rng(3)
    table = tmp_path / "days.csv"
    with table.open("w", encoding="utf-8") as file:
        file.write("date,valence,arousal\n")
        for day in range(40):
            value = float(np.clip(rng.normal(0.6 if day < 20 else -0.6, 0.15), -1, 1))
            file.write(f"{datetime.date(2026, 1, 1) + datetime.timedelta(day)},{value:.3f},0.1\n")
    code, said, err = cli("mood", table, "--out", tmp_path / "log.csv", "--plot", tmp_path / "log.png")
    assert code == 0, err
    assert "40 clips on 40 days" in said
    assert "valence changed about 2026-01-2" in said
    assert "arousal: no change found" in said
    assert "not a diagnosis" in said
    assert len(list(csv.DictReader((tmp_path / "log.csv").open(encoding="utf-8")))) == 40
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = cli("mood", tmp_path / "none.csv")
    assert code == 1
    assert "none.csv" in err


@pytest.fixture
def talk_like(small_corpus, tmp_path):
    """A voice on the left channel, nothing on the right."""
    import soundfile

    from multiemo.data.manifest.reading import read_manifest
    from multiemo.media.reading import read_media

    voices = []
    for clip in read_manifest(small_corpus):
        source = clip.audio or clip.video
        media = None if source is None else read_media(small_corpus.parent / source, rate=16000)
        if media is not None and media.audio is not None:
            voices += [media.audio, np.zeros(16000, np.float32)]
        if len(voices) == 8:
            break
    left = np.concatenate(voices)
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([left, np.zeros_like(left)], 1), 16000)
    return path
