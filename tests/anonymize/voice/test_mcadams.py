"""The McAdams coefficient, against other implementations of linear prediction and hand-computed poles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from multiemo.anonymize.voice.mcadams import MAX_RADIUS, mcadams, move_formants, moved_poles, order_of, predictors
from tests.support.sounds import speech

RATE = 16000


def vowel(formants: tuple[float, ...], seconds: float = 1.0, rate: int = RATE, pitch: float = 100.0) -> np.ndarray:
    """Pulses through one resonator for each formant, 60 Hz wide."""
    sound = np.zeros(round(seconds * rate))
    sound[:: round(rate / pitch)] = 1.0
    for hz in formants:
        pole = np.exp(-np.pi * 60 / rate + 2j * np.pi * hz / rate)
        sound = lfilter([1], [1, -2 * pole.real, abs(pole) ** 2], sound)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def resonances(sound: np.ndarray, rate: int) -> np.ndarray:
    """Frequencies of narrow poles, Hz, by linear prediction (SciPy) over half a second."""
    half = sound[rate // 4 : 3 * rate // 4].astype(np.float64) * np.hanning(rate // 2)
    lags = np.correlate(half, half, "full")[len(half) - 1 :][: order_of(rate) + 1]
    roots = np.roots([1.0, *solve_toeplitz(lags[:-1], -lags[1:])])
    narrow = roots[(roots.imag > 0) & (np.abs(roots) > 0.96)]
    return np.sort(np.angle(narrow) * rate / (2 * np.pi))


def test_the_coefficient_one_changes_nothing() -> None:
    sound = speech(1.3)
    assert np.abs(mcadams(sound, RATE, 1.0) - sound).max() < 1e-3 * np.abs(sound).max()
    assert np.abs(mcadams(sound, RATE, 0.8) - sound).max() > 0.1 * np.abs(sound).max()


def test_linear_prediction_solves_the_normal_equations() -> None:
    frames = np.random.default_rng(0).normal(size=(3, 320)) * np.hanning(320)
    found = predictors(frames, 20)
    for frame, coefficients in zip(frames, found, strict=True):
        lags = np.correlate(frame, frame, "full")[319 : 319 + 21]
        np.testing.assert_allclose(coefficients[1:], solve_toeplitz(lags[:-1], -lags[1:]), atol=1e-6)


@pytest.mark.slow  # librosa compiles its function first
def test_linear_prediction_agrees_with_librosa_on_a_voice() -> None:
    import librosa

    sound = vowel((700.0, 1200.0, 2600.0))
    frame = sound[4000:6048].astype(np.float64) * np.hanning(2048)
    np.testing.assert_allclose(predictors(frame[None], 6)[0], librosa.lpc(frame, order=6), atol=0.02)


@pytest.mark.parametrize("rate", [16000, 8000])
def test_the_formants_of_a_vowel_move_as_computed(rate: int) -> None:
    before = (500.0, 1500.0, 3300.0)
    after = resonances(mcadams(vowel(before, rate=rate), rate, 0.8), rate)
    middle = 8000 / np.pi
    for hz in before:
        expected = middle * (hz / middle) ** 0.8
        assert np.abs(after - expected).min() < 0.03 * expected, (hz, expected, after)


def test_the_pitch_stays() -> None:
    made = mcadams(vowel((500.0, 1500.0, 2500.0), pitch=125.0), RATE, 0.7)[2000:10000].astype(np.float64)
    lags = np.correlate(made, made, "full")[len(made) - 1 :]
    assert 60 + lags[60:400].argmax() == 128  # samples between pulses


def test_poles_are_moved_by_hand() -> None:
    angle = 2 * np.pi * 1000 / RATE
    poles = np.array([0.95 * np.exp(1j * angle), 0.95 * np.exp(-1j * angle), 0.5, -0.7])
    moved = moved_poles(poles, RATE, 0.6)
    np.testing.assert_allclose(moved[:2], 0.95 * np.exp(np.array([1j, -1j]) * angle**0.6))
    np.testing.assert_allclose(moved[2:], poles[2:])


@pytest.mark.parametrize("alpha", [0.5, 0.8, 1.5])
def test_no_pole_is_unstable(alpha: float) -> None:
    rng = np.random.default_rng(1)
    poles = rng.uniform(0, 1.2, 500) * np.exp(1j * rng.uniform(-np.pi, np.pi, 500))
    moved = moved_poles(poles, RATE, alpha)
    assert np.abs(moved).max() <= MAX_RADIUS + 1e-12
    assert np.all(np.sign(moved.imag.round(12)) * np.sign(poles.imag) >= 0)  # conjugates stay conjugates
    assert np.isfinite(moved).all()


@pytest.mark.parametrize(
    "sound",
    [
        np.ones(4000),
        np.sin(2 * np.pi * 440 * np.arange(4000) / RATE),
        np.sin(2 * np.pi * 7990 * np.arange(4000) / RATE),
        np.random.default_rng(2).choice((-1.0, 1.0), 4000),
        np.eye(1, 4000, 2000)[0],
        np.full(4000, 1e-5),
    ],
    ids=["constant", "tone", "high tone", "noise", "click", "faint"],
)
def test_any_sound_stays_finite_and_is_not_amplified(sound: np.ndarray) -> None:
    made = mcadams(sound.astype(np.float32), RATE, 0.6)
    assert np.isfinite(made).all()
    assert np.square(made).sum() < 2 * np.square(sound).sum()
    assert np.square(made).sum() > 0.01 * np.square(sound).sum()


def test_frames_keep_their_energy_and_silence_is_silent() -> None:
    frames = np.random.default_rng(3).normal(size=(4, 320))
    frames[2] = 0
    made = move_formants(frames, RATE, 0.7)
    np.testing.assert_allclose(np.square(made).sum(1), np.square(frames).sum(1), rtol=1e-6)
    assert not made[2].any()


@pytest.mark.parametrize("count", [0, 1, 159, 160, 161, 5000])
def test_the_length_stays(count: int) -> None:
    assert mcadams(speech(1.0)[:count], RATE, 0.8).shape == (count,)
