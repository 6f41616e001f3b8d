"""The command anonymize, as a person types it."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from multiemo.data.manifest.reading import write_manifest
from multiemo.types import Clip
from tests.support.media_files import grid, tone, wav, write
from tests.support.sounds import speech


def test_a_film_and_its_report(cli, tmp_path):
    source = write(tmp_path / "a.mp4", stamps=grid(5), audio=tone(0.2))
    code, said, err = cli("anonymize", source, "--out", tmp_path / "b.mp4", "--detector", "haar", "--json", "-")
    assert code == 0, err
    report = json.loads(said)
    assert report["files"][0]["faces"]["frames_without"] == 5
    assert (report["voice"], report["mcadams"], report["detector"]) == ("mcadams", 0.8, "haar")
    code, said, err = cli("anonymize", source, "--out", tmp_path / "b.mp4")
    assert (code, said) == (2, "")
    assert err == f"error: --out: {tmp_path / 'b.mp4'} already exists; choose another name, or delete it\n"


def test_a_manifest(cli, tmp_path):
    wav(tmp_path / "m" / "a.wav", [speech(0.3)])
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "m" / "a.png")
    rows = [
        Clip(id="1", corpus="c", text="I am with Rachel", audio="a.wav"),
        Clip(id="2", corpus="c", image="a.png", cropped=True),
    ]
    write_manifest(rows, tmp_path / "m" / "m.jsonl")
    code, said, err = cli("anonymize", tmp_path / "m" / "m.jsonl", "--out", tmp_path / "out", "--voice", "shift")
    assert code == 0, err
    assert said.splitlines() == [
        "a.wav: sound, 0.3 s",
        "a.png: picture, face crops, covered as a whole",
        f"{tmp_path / 'out'}: 2 rows; masked in their texts: NAME 1",
    ]


def test_wrong_options_and_bad_files(cli, tmp_path):
    source = wav(tmp_path / "a.wav", [speech(0.3)])
    for options, message in (
        (("--voice", "robot"), "--voice: 'robot' is not known; choices: mcadams, shift, keep"),
        (("--mcadams", "3"), "--mcadams: 3 is outside 0.5 to 1.5"),
        (("--detector", "best"), "unknown face detector 'best'"),
        (("--words", "presidio"), "--words presidio needs presidio_analyzer"),
    ):
        code, _, err = cli("anonymize", source, "--out", tmp_path / "b.wav", *options)
        assert code == 2
        assert message in err
    (tmp_path / "c.wav").write_bytes(b"nothing at all")
    code, _, err = cli("anonymize", tmp_path / "c.wav", "--out", tmp_path / "d.wav")
    assert code == 1
    assert "c.wav" in err
    assert not (tmp_path / "d.wav").exists()
