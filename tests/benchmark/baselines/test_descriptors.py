from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import fft, stats

from multiemo.benchmark.baselines.descriptors import (
    ACOUSTIC_NAMES,
    ALWAYS,
    COEFFICIENTS,
    VOICED,
    acoustic_functionals,
    feature_statistics,
    functionals,
    hog,
    hog_descriptor,
)
from multiemo.benchmark.run import run_benchmark
from multiemo.config import load_config
from multiemo.errors import ConfigError
from multiemo.preprocess.voice.tensors import SpeechPreprocessor
from multiemo.types import PROSODY_CHANNELS, SpeechSpec

RATE = 16000
needs_hog = pytest.mark.skipif(not hasattr(cv2, "HOGDescriptor"), reason="OpenCV 5 has no HOG")


def track_of(samples: np.ndarray) -> np.ndarray:
    return SpeechPreprocessor(SpeechSpec(trim=0))(samples.astype(np.float32), RATE).numpy()


def named(track: np.ndarray) -> dict[str, float]:
    return dict(zip(ACOUSTIC_NAMES, acoustic_functionals(track).tolist(), strict=True))


def made_track(steps: int, bands: int = 24, **channels: np.ndarray) -> np.ndarray:
    """A track whose prosody is given, channel by channel; the rest is zero."""
    track = np.zeros((steps, bands + len(PROSODY_CHANNELS)), dtype=np.float32)
    for name, values in channels.items():
        track[:, bands + PROSODY_CHANNELS.index(name)] = values
    return track


def test_functionals_agree_with_scipy():
    random = np.random.default_rng(1)
    values, times = random.normal(size=57), np.arange(57) * 0.01
    found = functionals(values, times)
    assert found[:2] == pytest.approx([values.mean(), values.std()])
    assert found[2:5] == pytest.approx([stats.scoreatpercentile(values, p) for p in (20, 50, 80)])
    assert found[5] == pytest.approx(found[4] - found[2])
    assert found[6] == pytest.approx(stats.linregress(times, values).slope)


def test_a_tone_has_its_pitch_and_no_pauses():
    t = np.arange(2 * RATE) / RATE
    found = named(track_of(0.3 * np.sin(2 * np.pi * 220 * t)))
    assert found["f0_mean"] == pytest.approx(24.0, abs=0.05)  # two octaves over 55 Hz
    assert found["f0_range"] < 0.1
    assert found["voiced_share"] > 0.95
    assert found["stretches"] == pytest.approx(0.5, rel=0.05)  # one in two seconds
    assert found["voiced_mean"] == pytest.approx(2.0, rel=0.05)
    louder = named(track_of(0.6 * np.sin(2 * np.pi * 220 * t)))
    assert louder["energy_mean"] - found["energy_mean"] == pytest.approx(6.02, abs=0.1)


def test_a_whisper_has_no_pitch_but_a_loudness():
    found = named(track_of(0.1 * np.random.default_rng(0).normal(size=RATE)))
    track = made_track(100, voicing=np.zeros(100), energy=np.linspace(-30, -20, 100))
    silent = named(track)
    for channel in VOICED:
        assert np.isnan(silent[f"{channel}_mean"])
    assert silent["energy_slope"] == pytest.approx(10 / 0.99)
    assert (silent["voiced_share"], silent["voiced_mean"], silent["unvoiced_mean"]) == (0, 0, 1)
    assert np.isfinite([found[f"{channel}_mean"] for channel in ALWAYS]).all()


def test_voice_measures_look_at_voiced_frames_only():
    voicing = np.tile([0.0] * 5 + [1.0] * 15, 4)
    found = named(made_track(80, voicing=voicing, jitter=np.where(voicing > 0.5, 2.0, 90.0)))
    assert found["jitter_mean"] == 2.0
    assert found["voiced_share"] == 0.75
    assert found["stretches"] == pytest.approx(4 / 0.8)
    assert found["voiced_mean"] == pytest.approx(0.15)
    assert found["unvoiced_deviation"] == pytest.approx(0, abs=1e-6)


def test_cepstra_are_the_cosine_transform_of_levels():
    random = np.random.default_rng(2)
    track = np.concatenate([random.normal(size=(40, 64)), made_track(40, bands=0)], axis=1).astype(np.float32)
    decibels = 10 * np.log10(np.exp(track[:, :64].astype(float)))
    cepstrum = fft.dct(decibels, axis=1, norm="ortho")[:, :COEFFICIENTS]
    found = named(track)
    assert [found[f"mfcc{i}_mean"] for i in range(COEFFICIENTS)] == pytest.approx(cepstrum.mean(0), rel=1e-3, abs=1e-4)
    assert [found[f"mfcc{i}_deviation"] for i in range(COEFFICIENTS)] == pytest.approx(cepstrum.std(0), rel=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_the_shortest_clips_have_descriptors(steps: int):
    found = acoustic_functionals(track_of(np.random.default_rng(0).normal(size=RATE))[:steps])
    assert found.shape == (len(ACOUSTIC_NAMES),)
    assert not np.isinf(found).any()


def test_hog_is_missed_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch, tiny_config, tmp_path):
    hog_descriptor.cache_clear()
    monkeypatch.delattr(cv2, "HOGDescriptor", raising=False)
    config = load_config(tiny_config(tmp_path))
    with pytest.raises(ConfigError, match=r"is HOG, which OpenCV .* benchmark\.baselines=false"):
        run_benchmark(config, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [".lock"]


@needs_hog
def test_hog_is_the_mean_over_frames_and_tells_directions_apart():
    ramp = np.linspace(0, 255, 48).astype(np.uint8)
    across = np.broadcast_to(ramp, (3, 48, 48))
    down = across.transpose(0, 2, 1)
    one, other, both = (hog(np.stack(crops)) for crops in ([across], [down], [across, down]))
    assert one.shape == (900,)
    assert both == pytest.approx((one + other) / 2, abs=1e-6)
    # All of the gradient lies in one direction: at the edge of the first bin or in the middle one of nine.
    assert one.reshape(-1, 9)[:, [0, 8]].sum() == pytest.approx(one.sum(), rel=1e-3)
    assert other.reshape(-1, 9)[:, 4].sum() == pytest.approx(other.sum(), rel=1e-3)


def test_feature_statistics_are_means_then_deviations():
    values = np.array([[1.0, 4.0], [3.0, 4.0]], dtype=np.float32)
    assert feature_statistics(values).tolist() == [2.0, 4.0, 1.0, 0.0]
