"""Calls: one channel at a time, and rises that are there or are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from multiemo.applications import calls
from multiemo.applications.affect import HEAD
from multiemo.applications.call_report import CallSegment
from multiemo.applications.calls import analyse_call
from multiemo.errors import ConfigError, MediaError
from multiemo.media.reading import iter_media, probe, read_media
from multiemo.predict.prediction import SegmentPrediction
from tests.support.calls import RATE, tone
from tests.support.media_files import tracks, wav
from tests.support.sounds import talk as talk_of


class Model:
    """Stands in for a predictor: two-second windows whose valence a function of time says."""

    reader = SimpleNamespace(rate=RATE)

    def __init__(self, valence: Callable[[float], float], every: float = 2.0) -> None:
        self.valence, self.every, self.told = valence, every, []

    def read_channels(
        self, sounds: Sequence[Any], words: Sequence[Sequence[Any]], *, speakers: Sequence[str], duration: float
    ) -> list[list[SegmentPrediction]]:
        self.told += [cue.text for cues in words for cue in cues]
        assert len(speakers) in (0, len(sounds))
        for sound in sounds:
            # AAC's last block is as long as the decoder makes it
            assert sum(map(len, sound)) == pytest.approx(duration * RATE, abs=1024)
        starts = np.arange(0.0, duration - 1e-6, self.every)
        windows = [
            SegmentPrediction(
                start=s,
                end=s + self.every,
                kind="speech",
                label="x",
                best="x",
                probs={"x": 1.0},
                by_modality={},
                valence=self.valence(s),
                present=["speech"],
                absent={},
            )
            for s in starts.tolist()
        ]
        return [windows for _ in sounds]

    def describe(self) -> dict[str, Any]:
        return {"name": "model"}


def use(monkeypatch: pytest.MonkeyPatch, valence: Callable[[float], float] = lambda time: 0.0) -> Model:
    model = Model(valence)
    monkeypatch.setattr(calls, "load", lambda run, device, **_: model)
    monkeypatch.setattr(calls, "read_channels", Model.read_channels)
    return model


def test_one_channel_is_read_alone(tmp_path: Path) -> None:
    left, right = tone(3, [(0, 1)]), tone(3, [(2, 3)], 0.25)
    path = wav(tmp_path / "call.wav", [left, right])
    assert probe(path).channels == 2
    for channel, sound in enumerate((left, right)):
        found = read_media(path, rate=RATE, channel=channel).audio
        np.testing.assert_allclose(found, sound, atol=1e-3)
        pieces = [m.audio for m in iter_media(path, window=0.7, rate=RATE, channel=channel)]
        np.testing.assert_allclose(np.concatenate(pieces), sound, atol=1e-3)
    np.testing.assert_allclose(read_media(path, rate=RATE).audio, (left + right) / 2, atol=1e-3)
    half = read_media(path, rate=8000, channel=1).audio
    np.testing.assert_allclose(half[17000:23000], right[34000:46000:2], atol=0.01)
    for channel in (2, -1):
        with pytest.raises(MediaError, match=f"2 audio channels, so there is no channel {channel}"):
            read_media(path, rate=RATE, channel=channel)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Two synthetic people who speak in turn, one on each channel."""
    said = [talk_of(3.0, seed) for seed in (1, 2, 3, 4)]
    mute = [np.zeros_like(s) for s in said]
    left = [said[0], mute[1], said[2], mute[3]]
    right = [mute[0], said[1], mute[2], said[3]]
    faint = np.random.default_rng(0).normal(0, 1e-4, (2, 4 * 3 * RATE))
    return np.concatenate(left) + faint[0], np.concatenate(right) + faint[1]


def crossed(pair: tuple[np.ndarray, np.ndarray], level: float, gain: float = 1.0) -> list[np.ndarray]:
    """Each voice also on the other channel, so many dB lower and 0.4 ms later; the second recorded with a gain."""
    leak = 10 ** (level / 20)
    left, right = pair
    return [left + leak * np.roll(right, 6), gain * (right + leak * np.roll(left, 6))]


@pytest.mark.parametrize("level", [-3.0, -6.0, -10.0])
def test_the_channels_of_a_room_are_no_speakers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pair: tuple[np.ndarray, np.ndarray], level: float
) -> None:
    use(monkeypatch)
    call = analyse_call("run", wav(tmp_path / "room.wav", crossed(pair, level)))
    (speaker,) = call["speakers"]
    assert speaker["speaker"] == "call"
    assert call["overlaps"] is None
    assert call["separation"] == pytest.approx(-level, abs=1)
    assert any(
        "each channel contains both speakers" in note and f"only {-level:.0f} dB lower" in note
        for note in call["notes"]
    )


@pytest.mark.parametrize(("level", "gain"), [(-14.0, 1.0), (-20.0, 1.0), (-40.0, 1.0), (-100.0, 1.0), (-15.0, 0.3)])
def test_channels_that_are_apart_are_speakers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pair: tuple[np.ndarray, np.ndarray], level: float, gain: float
) -> None:
    use(monkeypatch)
    call = analyse_call("run", wav(tmp_path / "call.wav", crossed(pair, level, gain)))
    assert [s["speaker"] for s in call["speakers"]] == ["left", "right"]
    assert call["overlaps"]["count"] == 0
    assert all(0.4 < s["talk_share"] < 0.6 for s in call["speakers"])
    assert call["separation"] >= min(-level, 30) - 1


def test_channels_that_mirror_each_other_are_the_same_sound(
    loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch)
    sound = tone(6, [(1, 5)])
    call = analyse_call("run", wav(tmp_path / "mirrored.wav", [sound, -sound]))
    assert [s["speaker"] for s in call["speakers"]] == ["call"]
    assert sum("both channels contain the same sound" in note for note in call["notes"]) == 1
    assert sum("mirrors" in note for note in call["notes"]) == 1


def test_two_mono_tracks_are_the_channels_of_a_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    use(monkeypatch)
    left, right = (channel.astype(np.float32) for channel in pair)
    call = analyse_call("run", tracks(tmp_path / "call.mkv", left, right[: 11 * RATE]))
    assert [s["speaker"] for s in call["speakers"]] == ["left", "right"]
    assert all(0.4 < s["talk_share"] < 0.6 for s in call["speakers"])
    assert any("two mono audio tracks, 1 (aac, mono) and 2 (aac, mono): each is a channel" in n for n in call["notes"])
    alone = analyse_call("run", tracks(tmp_path / "call.mkv", left, right), track=2)
    assert [s["speaker"] for s in alone["speakers"]] == ["call"]
    dubbed = analyse_call("run", tracks(tmp_path / "film.mkv", left, right, language=("eng", "ger")))
    assert [s["speaker"] for s in dubbed["speakers"]] == ["call"]
    assert any("1 (aac, mono, eng), 2 (aac, mono, ger); 1 was read" in note for note in dubbed["notes"])


def test_the_same_sound_twice_is_one_trajectory(loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch)
    sound = tone(20, [(0, 5), (8, 18)])
    double = analyse_call("run", wav(tmp_path / "double.wav", [sound, sound]))
    single = analyse_call("run", wav(tmp_path / "single.wav", [sound]))
    assert any("cannot be separated" in note for note in double["notes"])
    for call in (double, single):
        assert [s["speaker"] for s in call["speakers"]] == ["call"]
        assert call["overlaps"] is None
        assert call["speakers"][0]["interruptions"] is None
        assert call["silences"]["count"] == 1
    assert double["timelines"] == single["timelines"]


def test_speakers_are_told_apart_and_a_silent_channel_is_not_scored(
    loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, lambda time: 0.2)
    path = wav(tmp_path / "call.wav", [tone(30, [(0, 10), (14, 20)]), tone(30, [(9, 14.5), (18, 30)])])
    call = analyse_call("run", path, speakers=("agent", "customer"))
    agent, customer = call["speakers"]
    assert (agent["speaker"], agent["channel"], customer["speaker"]) == ("agent", 0, "customer")
    assert agent["talk_seconds"] == pytest.approx(16, abs=0.15)
    assert agent["talk_share"] == pytest.approx(16 / 33.5, abs=0.01)
    assert (agent["turns"], customer["turns"]) == (2, 2)
    assert (agent["interruptions"], customer["interruptions"]) == (1, 2)
    assert call["overlaps"]["count"] == 3
    assert call["overlaps"]["seconds"] == pytest.approx(3.5, abs=0.2)
    assert agent["negativity"] == -0.2
    assert [s["start"] for s in call["timelines"]["agent"]] == [0, 2, 4, 6, 8, 14, 16, 18]
    assert call["values_from"] == [HEAD]
    json.dumps(call)

    path = wav(tmp_path / "half.wav", [tone(30, [(0, 10)]), tone(30, [])])
    call = analyse_call("run", path)
    assert [s["scored"] for s in call["speakers"]] == [True, False]
    assert "nobody speaks" in call["speakers"][1]["absent"]
    assert call["speakers"][1]["negativity"] is None
    assert call["timelines"]["right"] == []
    call = analyse_call("run", wav(tmp_path / "none.wav", [tone(9, [])]))
    assert (call["speakers"][0]["scored"], call["speakers"][0]["talk_share"], call["moments"]) == (False, None, [])


@pytest.mark.slow
def test_an_escalation_is_found_where_it_is(loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 0.08, 200)
    path = wav(tmp_path / "call.wav", [tone(200, [(0, 99), (101, 200)]), tone(200, [(99, 101)])])
    use(monkeypatch, lambda time: noise[int(time)] - (0.4 if time >= 120 else 0))
    call = analyse_call("run", path)
    (moment,) = call["moments"]
    assert moment["speaker"] == "left"
    assert abs(moment["time"] - 120) <= 4
    assert moment["before"] == pytest.approx(0, abs=0.05)
    assert moment["after"] == pytest.approx(0.4, abs=0.1)
    assert "negativity rose from" in moment["why"]
    use(monkeypatch, lambda time: noise[int(time)] + (0.4 if time >= 120 else 0))  # relief
    assert analyse_call("run", path)["moments"] == []
    use(monkeypatch, lambda time: noise[int(time)] - (0.4 if 120 <= time < 123 else 0))  # a moment that passes
    assert analyse_call("run", path)["moments"] == []


def test_words_go_to_their_speaker(loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = wav(tmp_path / "call.wav", [tone(12, [(0, 6)]), tone(12, [(6, 12)])])
    cues = [
        {"start": 0, "end": 2, "text": "hello", "speaker": "Agent"},
        {"start": 3, "end": 5, "text": "what", "speaker": "customer"},
        {"start": 7, "end": 9, "text": "who", "speaker": "SPEAKER_1"},
    ]
    (tmp_path / "call.json").write_text(json.dumps(cues), "utf-8")
    model = use(monkeypatch)
    call = analyse_call("run", path, speakers=("agent", "customer"))
    assert model.told == ["hello", "what", "who"]
    assert any("1 cue(s) of the transcript name none of agent, customer" in note for note in call["notes"])


def test_a_transcript_without_words_does_not_hide_the_next(
    loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = wav(tmp_path / "call.wav", [tone(12, [(0, 6)]), tone(12, [(6, 12)])])
    (tmp_path / "call.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\n[music]\n", "utf-8")
    (tmp_path / "call.json").write_text(json.dumps([{"start": 0, "end": 2, "text": "hello"}]), "utf-8")
    model = use(monkeypatch)
    notes = analyse_call("run", path)["notes"]
    assert model.told == ["hello"]
    assert {"the transcript (call.srt) has no words and was not used", "words: call.json"} <= set(notes)


def test_what_is_no_call(loud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch)
    with pytest.raises(MediaError, match="3 audio channels, but a call has one or two"):
        analyse_call("run", wav(tmp_path / "three.wav", [tone(1, [])] * 3))
    with pytest.raises(ConfigError, match="both are called 'a'"):
        analyse_call("run", tmp_path / "x.wav", speakers=("a", "a"))
    with pytest.raises(MediaError, match="no such file"):
        analyse_call("run", tmp_path / "x.wav")


def test_a_real_conversation(tiny_run: Path, real_data: Path, tmp_path: Path) -> None:
    """Takes of two actors in turn, the other faintly in each channel."""
    takes = [sorted((real_data / "ravdess" / f"Actor_0{a}").glob("*.flac"))[:4] for a in (1, 2)]
    sounds = [[read_media(f, rate=RATE).audio for f in some] for some in takes]
    sounds = [[s / np.abs(s).max() * 0.5 for s in some] for some in sounds]
    left = np.concatenate([x for a, b in zip(*sounds, strict=True) for x in (a, np.zeros(len(b)))])
    right = np.concatenate([x for a, b in zip(*sounds, strict=True) for x in (np.zeros(len(a)), b)])
    call = analyse_call(tiny_run, wav(tmp_path / "call.wav", [left + 0.02 * right, right + 0.02 * left]))
    assert [s["scored"] for s in call["speakers"]] == [True, True]
    assert [s["turns"] for s in call["speakers"]] == [4, 4]
    assert call["overlaps"]["count"] == 0
    assert all(abs(s["talk_share"] - 0.5) < 0.1 for s in call["speakers"])


def speaker(values: np.ndarray) -> list[CallSegment]:
    return [CallSegment(start=2.0 * i, end=2.0 * i + 2, negativity=v, text=None) for i, v in enumerate(values.tolist())]


def negativity(rng: np.random.Generator, n: int, correlation: float, skewed: bool = False) -> np.ndarray:
    x = rng.standard_normal(n)
    for i in range(1, n):
        x[i] = correlation * x[i - 1] + np.sqrt(1 - correlation**2) * x[i]
    return np.exp(x) if skewed else x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("correlation", "skewed"),
    [*(pytest.param(0.0, skewed, marks=pytest.mark.slow) for skewed in (False, True)), (0.3, False)],
)
def test_moments_are_as_rare_without_change_as_stated(correlation: float, skewed: bool) -> None:
    rng = np.random.default_rng(11)
    found = np.mean([bool(calls._moments("a", speaker(negativity(rng, 40, correlation, skewed)))) for _ in range(200)])
    assert 0.005 <= found <= 0.09


@pytest.mark.slow
def test_rises_are_found_and_falls_are_not() -> None:
    rng = np.random.default_rng(5)
    up, down = 0, 0
    for _ in range(60):
        x = negativity(rng, 40, 0.0)
        step = 2.0 * (np.arange(40) >= 26)
        up += any(abs(m["time"] / 2 - 26) <= 3 for m in calls._moments("a", speaker(x + step)))
        down += bool(calls._moments("a", speaker(x - step)))
    assert up >= 42
    assert down <= 8
    assert calls._moments("a", speaker(np.arange(7.0))) == []
    assert calls._moments("a", speaker(np.zeros(50))) == []
