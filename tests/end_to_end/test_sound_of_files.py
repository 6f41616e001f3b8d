"""Voices that are there and not heard at first sight, and reasons that name the right cause."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import multiemo
from multiemo.errors import ConfigError, MediaError
from multiemo.inputs.dataset import ClipDataset
from multiemo.media.reading import Playback
from multiemo.predict.sources import Item, expand
from multiemo.transcripts import Cue
from multiemo.types import Clip
from tests.support.answers import told
from tests.support.media_files import VOICE_RATE as RATE
from tests.support.media_files import tracks, wav, write
from tests.support.sounds import music, speech


def row(model: multiemo.Predictor, path: Path) -> dict:
    """What the model says of the manifest row of a sound file."""
    manifest = path.with_suffix(".jsonl")
    values = {"id": "a", "corpus": "c", "speaker": "s", "label": "happy", "label_set": "demo5", "audio": path.name}
    manifest.write_text(json.dumps(values) + "\n", "utf-8")
    (item,) = expand([manifest])
    return model.predict_item(item)


@pytest.mark.parametrize("kind", ["voice", "music", "noise", "silence", "quiet"])
def test_a_file_is_asked_whether_anybody_speaks_and_a_row_is_fed_as_in_training(
    model: multiemo.Predictor, tmp_path: Path, kind: str
) -> None:
    sound = {
        "voice": speech(2.0),
        "music": music(2.0),
        "noise": np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32),
        "silence": np.zeros(2 * RATE, np.float32),
        "quiet": speech(2.0) * 10 ** (-60 / 20),
    }[kind]
    path = wav(tmp_path / "sound.wav", [sound])
    file, clip = told(model, path), row(model, path)
    assert file["present"] == (["speech"] if kind == "voice" else [])
    trained = ClipDataset(
        [Clip(id="a", corpus="c", audio=path.name)], tmp_path, model.bundle.inputs, model.bundle.space()
    )
    assert clip["present"] == list(trained[0].inputs)
    assert clip["absent"].get("speech") == trained[0].absent.get("speech")
    if kind == "voice":
        assert file["segments"][0]["probs"] == clip["segments"][0]["probs"]


def test_a_voice_that_is_too_quiet_is_said_to_be(model: multiemo.Predictor, tmp_path: Path) -> None:
    quiet = told(model, wav(tmp_path / "quiet.wav", [speech(2.0) * 10 ** (-60 / 20)]))
    assert "somebody speaks here, but too quietly: the sound peaks at -68 dB" in quiet["absent"]["speech"]
    assert "amplify it by 58 dB" in quiet["absent"]["speech"]
    long = told(model, wav(tmp_path / "long.wav", [np.tile(speech(2.0) * 10 ** (-60 / 20), 5)]))
    assert "too quietly" in long["absent"]["speech"]
    hiss = np.random.default_rng(0).normal(0, 1e-4, 2 * RATE)
    assert told(model, wav(tmp_path / "hiss.wav", [hiss]))["absent"]["speech"] == "nobody speaks here"


def test_the_same_sound_is_cut_alike_whether_or_not_its_header_knows_its_end(
    model: multiemo.Predictor, tmp_path: Path
) -> None:
    sound = np.concatenate([speech(1.5), np.zeros(2 * RATE, np.float32), speech(1.5)])
    sound = np.interp(np.arange(5 * 48000) / 48000, np.arange(len(sound)) / RATE, sound).astype(np.float32)
    known = write(tmp_path / "known.webm", audio=sound, audio_codec="libopus", rate=48000)
    live = write(tmp_path / "live.webm", audio=sound, audio_codec="libopus", rate=48000, options={"live": "1"})
    first, second = told(model, known), told(model, live)
    assert [s["kind"] for s in first["segments"]] == ["whole"]
    assert first["segments"] == second["segments"]


def test_what_is_cut_off_a_long_voice_is_said(model: multiemo.Predictor, tiny_run: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "long.wav", [np.tile(speech(2.0), 8)])
    note = "only the first 12 s of 16.0 s of voice were read (encoders.speech.max_seconds)"
    assert note in row(model, path)["notes"]
    assert note in told(multiemo.load(tiny_run, segments="whole"), path)["notes"]
    assert not any("only the first" in str(entry) for entry in told(model, path)["segments"])


def test_the_track_can_be_chosen(model: multiemo.Predictor, tiny_run: Path, tmp_path: Path) -> None:
    path = tracks(tmp_path / "two.mp4", music(2.0), speech(2.0))
    assert told(model, path)["present"] == ["speech"]
    assert told(multiemo.load(tiny_run, track=1), path)["absent"]["speech"] == "nobody speaks here"
    with pytest.raises(MediaError, match=r"no audio track 3, numbered from 1; it has 1 \(aac, mono\), 2"):
        multiemo.load(tiny_run, track=3).predict(path)
    with pytest.raises(ConfigError, match="numbered from 1"):
        multiemo.load(tiny_run, track=0)


def test_the_track_from_the_command_line(cli, tiny_run: Path, tmp_path: Path) -> None:
    path = tracks(tmp_path / "two.mp4", music(2.0), speech(2.0))
    code, out, _ = cli("predict", tiny_run, path)
    assert code == 0
    assert "2 was read (nobody speaks on 1)" in out
    code, out, _ = cli("predict", tiny_run, path, "--track", "1")
    assert "nobody speaks here" in out
    for arguments in (["--track", "0"], ["--track", "1", "--out", tmp_path / "out"]):
        assert cli("predict", tiny_run, path, *arguments)[0] == 2
    assert cli("live", tiny_run, "--track", "1")[0] == 2


def test_a_file_of_pure_sound_is_replayed(cli, tiny_run: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "sound.wav", [speech(1.0)])
    code, _, err = cli("live", tiny_run, "--replay", path, "--json", tmp_path / "live.json")
    assert code == 0
    assert "the file has no video track" in err
    (segment,) = json.loads((tmp_path / "live.json").read_text("utf-8"))["segments"]
    assert segment["present"] == ["speech"]
    code, _, err = cli("live", tiny_run, "--replay", path, "--no-microphone")
    assert code == 1
    assert "no video track; there is nothing to replay" in err


# --------------------------------------------------------------------------------------------------------------------
# Streams


@pytest.mark.parametrize(("full", "bits"), [(2.0**7, 8), (2.0**15, 16), (2.0**31, 32)])
def test_a_stream_refuses_sound_in_another_scale(model: multiemo.Predictor, full: float, bits: int) -> None:
    with (
        model.stream(video=False) as stream,
        pytest.raises(MediaError, match=f"full scale is 1; divide values of {bits} bits by {full:.0f}"),
    ):
        stream.push(audio=speech(1.0) * np.float32(full))
    with model.stream(video=False) as stream:
        stream.push(audio=speech(1.0) * np.float32(3.5))  # over, as a hot microphone is


def test_a_stream_refuses_times_in_milliseconds(model: multiemo.Predictor) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    for audio in (True, False):
        sound = speech(0.04) if audio else None
        with model.stream(audio=audio) as stream:
            for time in (0.0, 40.0, 80.0):
                stream.push(audio=sound, frame=frame, time=time)
            with pytest.raises(MediaError, match="times are seconds from the start of the stream, so divide milli"):
                stream.push(audio=sound, frame=frame, time=120.0)
    with model.stream(audio=False) as stream:
        for time in (0.0, 0.1, 30.0, 30.1, 60.0):  # a camera that was paused
            stream.push(frame=frame, time=time)


def test_words_after_the_end_of_a_stream_are_said_to_be(model: multiemo.Predictor) -> None:
    for scale, late in ((1.0, 0), (1000.0, 2)):
        with model.stream(video=False) as stream:
            words = [Cue(scale * start, scale * start + 0.4, said) for start, said in ((0.1, "hello"), (1.0, "again"))]
            said = [*stream.push(audio=speech(2.0), words=words), *stream.close()]
        notes = [note for entry in said for note in entry.get("notes", [])]
        assert any(f"{late} of the words begin after the end of the stream" in note for note in notes) == bool(late)


def test_a_film_in_a_row_uses_the_track_with_the_voice(model: multiemo.Predictor, tmp_path: Path) -> None:
    path = tracks(tmp_path / "two.mp4", music(2.0), speech(2.0))
    clip = row(model, path)
    assert clip["present"] == ["speech"]
    assert any("2 was read" in note for note in clip["notes"])
    assert model.predict_item(Item("x", path))["segments"][0]["probs"] == clip["segments"][0]["probs"]
    assert Playback(path, rate=RATE, fps=None).problems
