"""The prosody track compared with signals of known pitch, noise, jitter and shimmer, and with librosa."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.preprocess.voice.prosody import PROSODY_CHANNELS, prosody, rms_db

RATE = 16000
COLUMN = {name: i for i, name in enumerate(PROSODY_CHANNELS)}
INSIDE = slice(10, -10)


def voice(f0: NDArray[np.float64], rate: int = RATE, tilt: float = 1.0, vowel: bool = False) -> Tensor:
    """Harmonics up to 4 kHz of an F0 contour (one value per sample), falling with ``1 / k ** tilt``."""
    phase = 2 * np.pi * np.cumsum(f0) / rate
    out = np.zeros(len(f0))
    for k in range(1, int(min(4000, 0.45 * rate) / f0.max()) + 1):
        gain = 1 / k**tilt
        if vowel:  # the two lower formants of /a/
            gain *= sum(1 / (1 + ((k * f0.mean() - f) / 80) ** 2) for f in (700, 1200)) + 0.05
        out += gain * np.sin(k * phase)
    return torch.from_numpy((0.3 * out / np.abs(out).max()).astype(np.float32))


def steady(f0: float, seconds: float = 1.0, rate: int = RATE, **more: float) -> Tensor:
    return voice(np.full(round(seconds * rate), f0), rate, **more)


def pulses(f0: float, jitter: float, shimmer: float, seconds: float = 2.0, seed: int = 0) -> Tensor:
    """Decaying resonance excited once per period; period and amplitude of each drawn independently."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(0.02 * RATE)) / RATE
    out, at = np.zeros(round(seconds * RATE)), 0.01
    while at < seconds - 0.05:
        start = int(np.ceil(at * RATE))
        delay = start / RATE - at
        ring = np.exp(-300 * (t + delay)) * np.sin(2 * np.pi * 600 * (t + delay))
        out[start : start + len(t)] += (1 + shimmer * rng.standard_normal()) * ring
        at += (1 + jitter * rng.standard_normal()) / f0
    return torch.from_numpy((0.4 * out).astype(np.float32))


def column(track: Tensor, name: str) -> Tensor:
    return track[..., COLUMN[name]]


def hertz(track: Tensor) -> Tensor:
    return 55.0 * 2 ** (column(track, "f0") / 12)


@pytest.mark.parametrize("f0", [70.0, 110.0, 220.0, 440.0, 650.0])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_steady_pitch_is_exact(f0: float, rate: int) -> None:
    track = prosody(steady(f0, rate=rate), rate)
    assert track.shape == (101, len(PROSODY_CHANNELS))
    cents = 1200 * torch.log2(hertz(track)[INSIDE] / f0)
    assert cents.abs().max() < 5
    assert (column(track, "voicing")[INSIDE] > 0.9).all()


@pytest.mark.parametrize("vowel", [False, True])
def test_glide_is_followed_and_its_slope_measured(vowel: bool) -> None:
    seconds = np.arange(2 * RATE) / RATE
    track = prosody(voice(120 * 2 ** (0.5 * seconds), vowel=vowel), RATE)
    truth = 120 * 2 ** (0.5 * torch.arange(201) / 100)
    cents = (1200 * torch.log2(hertz(track) / truth))[INSIDE].abs()
    assert cents.max() < 20
    assert cents.median() < 4
    assert (column(track, "delta_f0")[INSIDE] - 6.0).abs().median() < 0.5


@pytest.mark.parametrize("truth", [5.0, 10.0, 20.0])
def test_harmonicity_is_the_ratio_that_was_mixed(truth: float) -> None:
    torch.manual_seed(0)
    clean = steady(150.0, 3.0)
    noise = torch.randn_like(clean) * clean.square().mean().sqrt() * 10 ** (-truth / 20)
    measured = column(prosody(clean + noise, RATE), "harmonicity")[INSIDE].median()
    assert abs(float(measured) - truth) < 1.0


def test_noise_is_unvoiced_and_says_so_in_every_voiced_channel() -> None:
    torch.manual_seed(0)
    track = prosody(0.1 * torch.randn(3 * RATE), RATE)
    assert (column(track, "voicing") > 0.5).float().mean() < 0.05
    silent = column(track, "voicing") <= 0.5
    for name in ("jitter", "shimmer", "delta_f0", "h1_h2"):
        assert (column(track, name)[silent] == 0).all()


def test_pitch_is_drawn_straight_across_unvoiced_frames() -> None:
    torch.manual_seed(0)
    gap = 0.02 * torch.randn(RATE // 2)
    track = prosody(torch.cat([steady(110.0), gap, steady(220.0)]), RATE)
    semitones = column(track, "f0")
    assert abs(float(semitones[50]) - 12.0) < 0.1
    assert abs(float(semitones[200]) - 24.0) < 0.1
    assert abs(float(semitones[125]) - 18.0) < 1.5
    assert abs(float(semitones[0]) - 12.0) < 0.3


def test_jitter_and_shimmer_rise_with_what_was_put_in_and_stay_apart() -> None:
    def medians(jitter: float, shimmer: float) -> tuple[float, float]:
        track = prosody(pulses(120.0, jitter, shimmer), RATE)[20:-20]
        track = track[column(track, "voicing") > 0.5]
        return float(column(track, "jitter").median()), float(column(track, "shimmer").median())

    clean, jittered, shimmered = medians(0, 0), medians(0.02, 0), medians(0, 0.1)
    # Independent Gaussian periods differ by 2 / sqrt(pi) standard deviations on average.
    assert clean[0] < 0.3
    assert jittered[0] == pytest.approx(2.26, rel=0.4)
    assert shimmered[1] == pytest.approx(11.3, rel=0.4)
    assert clean[1] < 2.0
    assert shimmered[0] < 0.5 * jittered[0]


def test_tilt_and_first_harmonics_follow_the_source() -> None:
    dull, bright = (prosody(steady(200.0, tilt=tilt), RATE)[50] for tilt in (2.0, 0.5))
    assert float(column(bright, "tilt")) > float(column(dull, "tilt")) + 4
    # Amplitudes falling with 1 / k^2: the second harmonic lies 12.04 dB under the first.
    assert float(column(dull, "h1_h2")) == pytest.approx(12.04, abs=0.5)
    assert float(column(bright, "h1_h2")) == pytest.approx(3.01, abs=0.5)


@pytest.mark.parametrize("rate", [2.0, 4.0])
def test_syllable_rate_counts_energy_peaks(rate: float) -> None:
    t = torch.arange(4 * RATE) / RATE
    spoken = steady(150.0, 4.0) * (0.05 + torch.sin(np.pi * rate * t).square())
    assert float(column(prosody(spoken, RATE), "rate")[150:250].mean()) == pytest.approx(rate, rel=0.1)


def test_energy_is_librosa_s() -> None:
    torch.manual_seed(0)
    wave = 0.1 * torch.randn(RATE) * torch.linspace(0, 1, RATE)
    ours = rms_db(wave.unsqueeze(0), RATE, 160)[0]
    theirs = librosa.feature.rms(y=wave.numpy(), frame_length=400, hop_length=160, center=True, pad_mode="constant")[0]
    np.testing.assert_allclose(ours, np.maximum(20 * np.log10(theirs + 1e-9), -80), atol=0.01)


def test_flux_marks_the_change_of_sound() -> None:
    torch.manual_seed(0)
    track = column(prosody(torch.cat([steady(150.0), 0.05 * torch.randn(RATE)]), RATE), "flux")
    assert 96 <= int(track[INSIDE].argmax()) + 10 <= 104


def test_batch_and_padding_change_nothing() -> None:
    torch.manual_seed(0)
    clips = [steady(130.0, 0.7), pulses(200.0, 0.01, 0.05, 1.1), 0.1 * torch.randn(5000), steady(300.0, 0.31)]
    clips = [clip + 1e-3 * torch.randn_like(clip) for clip in clips]
    lengths = torch.tensor([len(clip) for clip in clips])
    padded = torch.nn.utils.rnn.pad_sequence([*clips, torch.ones(25000)], batch_first=True)[:4]
    together = prosody(padded, RATE, lengths=lengths)
    for clip, track in zip(clips, together, strict=True):
        alone = prosody(clip, RATE)
        torch.testing.assert_close(track[: len(alone)], alone, atol=2e-3, rtol=1e-3)
        assert (track[len(alone) :] == 0).all()


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("samples", [0, 1, 37, 159, 160, 400, 900])
def test_short_silent_and_clipped_audio_stay_finite(rate: int, samples: int) -> None:
    torch.manual_seed(0)
    for wave in (
        torch.zeros(samples),
        torch.ones(samples),
        torch.randn(samples).sign(),
        1e-9 * torch.randn(samples),
        (3 * torch.sin(torch.arange(samples) * 0.1)).clamp(-1, 1),
    ):
        track = prosody(wave, rate)
        assert track.shape == (samples // (rate // 100) + 1, len(PROSODY_CHANNELS))
        assert torch.isfinite(track).all()


def test_silence_is_unvoiced_at_the_floor() -> None:
    track = prosody(torch.zeros(RATE), RATE)
    assert (column(track, "voicing") < 0.01).all()
    assert (column(track, "energy") == -80).all()
    assert (column(track, "f0") == 0).all()
    assert (column(track, "rate") == 0).all()


@pytest.mark.slow
def test_pitch_of_real_takes_against_librosa(real_data: Path) -> None:
    """No worse than Praat, whose own pitch lies within 20 cents of pyin (which smooths fast contours) on 57% of frames
    and within a quarter tone on 80%; and few gross errors."""
    import soundfile

    cents, agree = [], []
    for actor in range(1, 13):
        file = sorted((real_data / "ravdess" / f"Actor_{actor:02d}").glob("*.flac"))[5 * actor % 60]
        audio, rate = soundfile.read(file, dtype="float32")
        f0, voiced, _ = librosa.pyin(
            audio, fmin=60, fmax=700, sr=rate, frame_length=1024, hop_length=rate // 100, center=True
        )
        track = prosody(torch.from_numpy(audio), rate)
        count = min(len(track), len(voiced))
        ours = (column(track, "voicing")[:count] > 0.5).numpy()
        both = ours & voiced[:count]
        cents.append(np.abs(1200 * np.log2(hertz(track).numpy()[:count][both] / f0[:count][both])))
        agree.append(ours == voiced[:count])
    every = np.concatenate(cents)
    shares = {f"within {limit} cents": round(float(np.mean(every < limit)), 3) for limit in (20, 50, 500)}
    print(shares, "voicing agrees", round(float(np.mean(np.concatenate(agree))), 3), "common frames", len(every))
    assert np.mean(every < 20) > 0.50
    assert np.mean(every < 50) > 0.75
    assert np.mean(every > 500) < 0.02
    assert np.mean(np.concatenate(agree)) > 0.80
