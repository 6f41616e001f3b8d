"""Samples with any number of channels and any scale."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from multiemo.media.reading import iter_media, probe, read_media
from tests.support.heard_sounds import RATE, heard
from tests.support.media_files import tone, wav
from tests.support.sounds import music, speech

#: The places of FFmpeg's layout 5.1, in the order in which its channels are stored.
PLACES = ("FL", "FR", "FC", "LFE", "BL", "BR")


def surround(path: Path, **sounds: np.ndarray) -> Path:
    """A FLAC file of 5.1 channels, silent where no sound is given."""
    silence = np.zeros(max(map(len, sounds.values())))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout="5.1")
        stream.codec_context.format = "s16"
        values = np.stack([sounds.get(place, silence) for place in PLACES], 1)
        frame = av.AudioFrame.from_ndarray(np.round(values.reshape(1, -1) * 2**15).astype(np.int16), "s16", "5.1")
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler("s16", "5.1", RATE, frame_size=stream.codec_context.frame_size or 4096)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def level(found: np.ndarray, sound: np.ndarray) -> float:
    """The factor by which a sound is contained in what was read."""
    return float(found[: len(sound)] @ sound[: len(found)] / (sound @ sound))


@pytest.mark.parametrize("count", [2, 3, 6, 8, 16, 60])
def test_the_mix_is_the_mean_of_any_number_of_channels(tmp_path: Path, count: int) -> None:
    sound = tone(0.5, RATE)
    np.testing.assert_allclose(heard(wav(tmp_path / "same.wav", [sound] * count)), sound, atol=1e-4)
    others = [tone(0.5, RATE, 300.0 + 10 * i) * (1 + i % 3) / 3 for i in range(count)]
    path = wav(tmp_path / "others.wav", others)
    np.testing.assert_allclose(heard(path), np.mean(others, axis=0), atol=1e-4)
    np.testing.assert_allclose(heard(path, channel=count - 1), others[-1], atol=1e-4)
    assert probe(path).channels == count


@pytest.mark.parametrize("gains", [(1, -1), (1, -0.6), (-1, 1, 1), (1, -1, 1, -1)])
def test_channels_that_mirror_each_other_do_not_cancel(tmp_path: Path, gains: tuple[float, ...]) -> None:
    sound = speech(1.0)
    path = wav(tmp_path / "mirrored.wav", [sound * gain for gain in gains])
    found = heard(path)
    assert np.abs(found @ sound) / (sound @ sound) == pytest.approx(np.mean(np.abs(gains)), rel=0.01)
    assert any("mirrors the others" in note for note in read_media(path, rate=RATE).problems)
    np.testing.assert_allclose(heard(path, channel=1), sound * gains[1], atol=1e-3)


def test_channels_that_are_only_different_are_left_as_they_are(tmp_path: Path) -> None:
    voice, other = speech(1.0), music(1.0)
    for channels in ([voice, other], [voice, 0.05 * other], [voice, 0.3 * other - 0.1 * voice]):
        path = wav(tmp_path / "stereo.wav", channels)
        np.testing.assert_allclose(heard(path), np.mean(channels, axis=0), atol=1e-4)
        assert read_media(path, rate=RATE).problems == []


@pytest.mark.parametrize(("count", "at"), [(2, 0), (2, 1), (6, 2), (16, 9)])
@pytest.mark.parametrize("hiss", [0.0, 0.002])
def test_silent_channels_do_not_lower_a_voice(tmp_path: Path, count: int, at: int, hiss: float) -> None:
    voice = speech(2.0)
    channels = [hiss * np.random.default_rng(i).standard_normal(len(voice)) for i in range(count)]
    channels[at] = voice
    path = wav(tmp_path / "one.wav", channels)
    assert level(heard(path), voice) == pytest.approx(1.0, abs=0.02)
    silent = ", ".join(str(i) for i in range(count) if i != at)
    for notes in (read_media(path, rate=RATE).problems, probe(path).problems):
        (note,) = notes
        assert note.startswith(f"channel {silent}, counted from 0, is silent")
    part = read_media(path, rate=RATE, start=1.2, end=1.8).audio
    windows = [w.audio for w in iter_media(path, window=0.5, rate=RATE) if w.audio is not None]
    np.testing.assert_array_equal(part, heard(path)[round(1.2 * RATE) : round(1.8 * RATE)])
    np.testing.assert_array_equal(np.concatenate(windows), heard(path))
    alone = read_media(path, rate=RATE, channel=at)
    assert alone.problems == []
    np.testing.assert_allclose(alone.audio, voice, atol=1e-4)


def test_a_voice_that_is_in_no_analysed_excerpt_is_heard_all_the_same(tmp_path: Path) -> None:
    """Twelve excerpts of three seconds are analysed of a file of 80 s; the second channel is silent in all of them."""
    voice, loud, rare = speech(1.0), music(80.0), np.zeros(80 * RATE, np.float32)
    spoken = slice(5 * RATE, 6 * RATE)
    rare[spoken] = voice
    path = wav(tmp_path / "rare.wav", [loud, rare])
    assert any("channel 1, counted from 0, is silent" in note for note in read_media(path, rate=RATE).problems)
    assert level(heard(path)[spoken] - loud[spoken], voice) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("places", [("FC",), ("FL",), ("FL", "FR"), ("FL", "FR", "FC"), ("BL",), PLACES])
def test_a_voice_in_surround_sound_keeps_its_level(tmp_path: Path, places: tuple[str, ...]) -> None:
    voice = speech(1.0)
    path = surround(tmp_path / "film.flac", **dict.fromkeys(places, voice))
    np.testing.assert_allclose(heard(path), voice, atol=2e-3)


def test_the_centre_of_a_film_is_heard_above_the_other_channels(tmp_path: Path) -> None:
    voice, others = speech(2.0), [tone(2.0, RATE, hz, 0.2) for hz in (700.0, 900.0, 1100.0, 1300.0)]
    left, right, back_left, back_right = others
    rumble = tone(2.0, RATE, 50.0, 0.9)
    path = surround(tmp_path / "film.flac", FL=left, FR=right, FC=voice, LFE=rumble, BL=back_left, BR=back_right)
    expected = voice + 0.5**0.5 * (left + right) + 0.5 * (back_left + back_right)
    np.testing.assert_allclose(heard(path), expected, atol=0.01)
    (note,) = read_media(path, rate=RATE).problems
    assert note == "channel 3, counted from 0, has low-frequency effects only; it was left out"


@pytest.mark.parametrize(
    ("kind", "full"),
    [
        ("<f4", 2.0**15), ("<f4", 2.0**7), ("<f4", 2.0**23), ("<f4", 2.0**31), ("<f8", 2.0**15),  # whole numbers
        ("<f4", 2.0**-16), ("<i4", 2.0**15), ("<i4", 2.0**23), ("<i3", 2.0**15),  # fewer bits than there is room for
    ],
)  # fmt: skip
def test_samples_in_another_scale_are_brought_to_full_scale(tmp_path: Path, kind: str, full: float) -> None:
    sound = speech(1.0)
    path = wav(tmp_path / "scale.wav", [sound], kind, full)
    np.testing.assert_allclose(heard(path), sound, atol=0.02)
    assert sum("bits" in note for note in read_media(path, rate=RATE).problems) == 1
    assert any("bits" in note for note in probe(path).problems)
    part = read_media(path, rate=RATE, start=0.25, end=0.5).audio  # what is quieter, or louder, has the same scale
    assert part is not None
    np.testing.assert_allclose(part, sound[4000:8000], atol=0.02)


@pytest.mark.parametrize(
    ("kind", "full"),
    [("<f4", 1.0), ("<f4", 3.0), ("<f4", 0.003), ("<f8", 1.0), ("<i4", 2.0**31 - 1), ("<i3", 2.0**20), ("<i2", 300.0)],
)
def test_samples_that_keep_to_full_scale_are_left_alone(tmp_path: Path, kind: str, full: float) -> None:
    sound = speech(0.5)
    path = wav(tmp_path / "plain.wav", [sound], kind, full)
    unit = 1.0 if "f" in kind else 2.0 ** (8 * int(kind[2]) - 1)
    np.testing.assert_allclose(heard(path), sound * full / unit, atol=1e-4)
    assert read_media(path, rate=RATE).problems == []


def test_a_few_broken_samples_say_nothing_of_the_scale(tmp_path: Path) -> None:
    sound = speech(1.0)
    broken = sound.copy()
    broken[[100, 5000, 9000]] = 1e6, np.nan, -np.inf
    found = heard(wav(tmp_path / "broken.wav", [broken], "<f4", 1.0))
    kept = np.ones(len(sound), bool)
    kept[[100, 5000, 9000]] = False
    np.testing.assert_allclose(found[kept], sound[kept], atol=1e-4)
