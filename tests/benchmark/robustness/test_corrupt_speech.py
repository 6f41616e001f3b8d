"""Corruptions of speech: their documented properties, measured independently."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from multiemo.benchmark.robustness.corrupt_speech import Sound, active_level
from tests.support.corrupted import CHANGING, RATE, apply, sound, speech


def level_by_the_book(samples, rate):
    """ITU-T P.56 method B sample by sample, as its text has it."""
    g = math.exp(-1 / (rate * 0.03))
    hang, thresholds = math.ceil(0.2 * rate), [2.0**-j for j in range(1, 17)]
    counts, silent, p, q = [0] * 16, [hang] * 16, 0.0, 0.0
    for x in np.abs(samples.astype(float)).tolist():
        p = g * p + (1 - g) * x
        q = g * q + (1 - g) * p
        for j, c in enumerate(thresholds):
            silent[j] = 0 if q >= c else silent[j] + 1
            counts[j] += silent[j] <= hang and (q >= c or counts[j] > 0)
    energy = float(np.square(samples.astype(float)).sum())
    before = None
    for c, n in zip(thresholds, counts, strict=True):
        if n:
            level = 10 * math.log10(energy / n)
            gap = level - 20 * math.log10(c)
            if before is not None and gap >= 15.9:
                return before[0] + (15.9 - before[1]) / (gap - before[1]) * (level - before[0])
            before = level, gap
    raise AssertionError("no threshold fits")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_active_level_is_that_of_the_recommendation(seed):
    samples = speech(seconds=1.5, seed=seed)
    assert active_level(samples, RATE) == pytest.approx(level_by_the_book(samples, RATE), abs=0.05)
    padded = np.concatenate([samples, np.zeros(3 * RATE, np.float32)])
    assert active_level(padded, RATE) == pytest.approx(active_level(samples, RATE), abs=0.6), "pauses do not count"


@pytest.mark.parametrize("name", ["white_noise", "babble"])
@pytest.mark.parametrize("snr", [20.0, 10.0, 0.0, -5.0])
def test_noise_lies_as_far_under_the_active_level_as_asked(name, snr):
    clean = sound(level=0.02, seconds=1.5)
    noise = apply(name, clean, snr).samples.astype(float) - clean.samples
    under = level_by_the_book(clean.samples, RATE) - 10 * math.log10(np.square(noise).mean())
    assert under == pytest.approx(snr, abs=0.1)


def test_white_noise_is_white_and_babble_is_like_speech():
    clean = sound(level=0.02)
    white, talk = (apply(n, clean, 0.0).samples.astype(float) - clean.samples for n in ("white_noise", "babble"))
    frequency, density = signal.welch(white, RATE, nperseg=1024)
    inside = density[(frequency > 100) & (frequency < 7900)]
    assert inside.max() / inside.min() < 6
    frequency, density = signal.welch(talk, RATE, nperseg=1024)
    assert density[frequency < 1000].sum() > 3 * density[frequency >= 1000].sum()


def test_babble_mixes_many_others_and_refuses_none():
    clean = sound(level=0.02)
    noise = apply("babble", clean, 0.0).samples.astype(float) - clean.samples
    heard = [
        np.abs(signal.correlate(noise, other[:8000].astype(float), mode="valid", method="fft")).max()
        / np.linalg.norm(other[:8000])
        for other in clean.others
    ]
    strangers = [
        np.abs(signal.correlate(noise, speech(seed=s)[:8000].astype(float), mode="valid", method="fft")).max()
        / np.linalg.norm(speech(seed=s)[:8000])
        for s in range(30, 40)
    ]
    assert np.mean(heard) > 1.3 * np.mean(strangers)
    with pytest.raises(ValueError, match="none"):
        apply("babble", replace(clean, others=()), 0.0)


@pytest.mark.parametrize("headroom", [6.0, 0.0, -12.0])
def test_clipping_cuts_at_its_level_and_keeps_the_energy(headroom):
    clean = sound(seconds=1.5)
    limit = 10 ** ((level_by_the_book(clean.samples, RATE) + headroom) / 20)
    cut = np.clip(clean.samples, -limit, limit)
    expected = cut * np.sqrt(np.square(clean.samples.astype(float)).mean() / np.square(cut.astype(float)).mean())
    got = apply("clipping", clean, headroom).samples
    assert np.abs(got - expected).max() < 0.01 * np.abs(expected).max()
    assert np.square(got.astype(float)).mean() == pytest.approx(np.square(clean.samples.astype(float)).mean(), rel=1e-4)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_telephone_keeps_its_band_and_nothing_else(rate):
    noise = (0.1 * np.random.default_rng(0).standard_normal(4 * rate)).astype(np.float32)
    got = apply("telephone", Sound(noise, rate), 0.0).samples
    frequency, density = signal.welch(got, rate, nperseg=4096)
    _, before = signal.welch(noise, rate, nperseg=4096)
    gain = 10 * np.log10(density / before)
    assert np.abs(gain[(frequency > 500) & (frequency < 3200)]).max() < 2
    assert gain[(frequency > 10) & (frequency < 100)].max() < -30
    assert gain[(frequency > 3700) & (frequency < 0.45 * rate)].max() < -30


def test_the_telephone_quantises_by_the_mu_law_and_loses_packets():
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000 * 20) / 8000)).astype(np.float32)
    line = apply("telephone", Sound(tone, 8000), 0.0).samples[800:-800]
    assert len(np.unique(np.round(line, 5))) <= 256
    noise = line - 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000 * 20) / 8000)[800:-800]
    aligned = signal.correlate(line, tone[800:-800], mode="same", method="fft").max() / np.square(tone[800:-800]).sum()
    assert aligned == pytest.approx(1, abs=0.1)
    assert np.abs(noise).max() < 0.6
    lost = apply("telephone", Sound(tone, 8000), 0.3).samples.reshape(-1, 160)
    assert (np.abs(lost).max(axis=1) == 0).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("name", ["white_noise", "babble"])
def test_a_lower_snr_is_the_same_noise_louder(name):
    clean = sound(level=0.01, seconds=1.0)
    quiet, loud = (apply(name, clean, snr).samples.astype(float) - clean.samples for snr in (10.0, 0.0))
    assert np.corrcoef(quiet, loud)[0, 1] > 0.999


@pytest.mark.parametrize("corruption", [c for c in CHANGING if c.modality == "speech"], ids=lambda c: c.name)
@pytest.mark.parametrize("length", [0, 1, 7, 800])
def test_hardly_any_or_silent_sound_is_no_reason_to_stop(corruption, length):
    others = sound().others
    for samples in (np.zeros(length, np.float32), np.full(length, 0.3, np.float32)):
        for severity in corruption.severities:
            got = apply(corruption.name, Sound(samples, RATE, others), severity).samples
            assert got.shape == samples.shape
            assert np.isfinite(got).all()
            assert samples.any() or not np.abs(got).max(initial=0) > 0.01, "silence stays silence"
