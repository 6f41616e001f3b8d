"""The accountant of Opacus against a privacy loss distribution of our own, and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from multiemo.errors import ConfigError
from multiemo.training.accounting import PrivateSteps, noise_for, spent

pytest.importorskip("opacus")
DELTA = 1e-5


def steps(noise: float, rate: float, count: int, stage: str = "speech") -> PrivateSteps:
    return PrivateSteps(stage=stage, noise_multiplier=noise, sample_rate=rate, steps=count)


def epsilon_of_loss_distributions(ledger: list[PrivateSteps], delta: float, width: float = 2e-3, n: int = 1 << 16):
    """Epsilon by convolving discretised privacy loss distributions, for adding and for removing a clip.

    Each step compares P = (1-q) N(0, s^2) + q N(1, s^2) with Q = N(0, s^2) (Koskela et al. 2020). The losses are
    binned, the distribution of their sum is computed by FFT, and the hockey-stick divergence is inverted.
    """
    x = np.linspace(-60, 60, 400_001)
    worst = 0.0
    for adding in (False, True):
        total, infinite = None, 0.0
        for each in ledger:
            s, q = each.noise_multiplier, each.sample_rate
            p = (1 - q) * norm.pdf(x, 0, s) + q * norm.pdf(x, 1, s)
            base = norm.pdf(x, 0, s)
            ratio = np.log1p(q * np.expm1((2 * x - 1) / (2 * s * s)))
            weights, loss = (base, -ratio) if adding else (p, ratio)
            bins = np.clip(np.rint(loss / width).astype(int) + n // 2, 0, n - 1)
            mass = np.bincount(bins, weights * (x[1] - x[0]), minlength=n)
            transformed = np.fft.rfft(np.fft.ifftshift(mass)) ** each.steps
            total = transformed if total is None else total * transformed
        sums = np.fft.fftshift(np.fft.irfft(total, n)).clip(0)
        losses = (np.arange(n) - n // 2) * width

        def divergence(epsilon, sums=sums, losses=losses, infinite=infinite):
            above = losses > epsilon
            return float((sums[above] * -np.expm1(epsilon - losses[above])).sum()) + infinite

        worst = max(worst, brentq(lambda e: divergence(e) - delta, 0.0, losses[-1] / 2))
    return worst


@pytest.mark.parametrize(
    "ledger",
    [
        [steps(1.0, 0.02, 500)],
        [steps(2.2, 0.27, 160)],
        [steps(4.0, 0.1, 300), steps(4.0, 0.3, 60, "fuse")],
    ],
)
def test_the_stated_epsilon_is_that_of_a_second_accountant(ledger):
    assert spent(ledger, DELTA) == pytest.approx(epsilon_of_loss_distributions(ledger, DELTA), rel=0.02)


def test_one_step_over_everyone_is_the_gaussian_mechanism():
    """Balle & Wang 2018, theorem 8."""

    def delta_of(epsilon: float, noise: float = 1.5) -> float:
        a, b = 1 / (2 * noise), epsilon * noise
        return norm.cdf(a - b) - math.exp(epsilon) * norm.cdf(-a - b)

    exact = brentq(lambda e: delta_of(e) - DELTA, 0.1, 20)
    assert spent([steps(1.5, 1.0, 1)], DELTA) == pytest.approx(exact, rel=0.02)


@pytest.mark.slow
def test_the_chosen_noise_spends_the_budget_and_not_more():
    plan = [(0.05, 100), (0.2, 25)]
    noise = noise_for(plan, 3.0, DELTA)
    assert 2.95 < spent([steps(noise, *each) for each in plan], DELTA) <= 3.0


def test_no_step_spends_nothing():
    assert spent([steps(1.0, 0.1, 0)], DELTA) == 0.0


def test_a_budget_that_no_noise_reaches_is_refused():
    with pytest.raises(ConfigError, match=r"privacy\.epsilon"):
        noise_for([(1.0, 100_000_000)], 1e-3, DELTA)
