"""Samples with any number of channels and any scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiemo.media.reading import probe, read_media
from tests.support.heard_sounds import RATE, heard
from tests.support.media_files import tone, wav
from tests.support.sounds import music, speech


@pytest.mark.parametrize("count", [2, 3, 6, 8, 16, 60])
def test_the_mix_is_the_mean_of_any_number_of_channels(tmp_path: Path, count: int) -> None:
    sound = tone(0.5, RATE)
    np.testing.assert_allclose(heard(wav(tmp_path / "same.wav", [sound] * count)), sound, atol=1e-4)
    others = [tone(0.5, RATE, 300.0 + 10 * i) * (i % 3) / 2 for i in range(count)]
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
    for channels in ([voice, other], [voice, 0 * voice], [voice, 0.3 * other - 0.1 * voice]):
        path = wav(tmp_path / "stereo.wav", channels)
        np.testing.assert_allclose(heard(path), np.mean(channels, axis=0), atol=1e-4)
        assert read_media(path, rate=RATE).problems == []


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
