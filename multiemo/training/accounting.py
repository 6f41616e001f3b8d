"""The privacy accountant: how much noise a budget needs, and what has been spent. It is that of Opacus.

A private step is a Poisson-subsampled Gaussian mechanism. The steps of all stages compose, with the numerical
accountant of Gopi, Lee & Wutschitz (NeurIPS 2021), whose upper bound is stated.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from multiemo.errors import ConfigError
from multiemo.extras import require
from multiemo.records import Record, record

#: Noise multipliers that are tried, and the relative precision of the one that is found.
_LEAST_NOISE, _MOST_NOISE, _PRECISION = 0.125, 2.0**14, 2e-3
#: The noise that the numerical accountant asks for is at least this share of what Rényi accounting asks for.
_SLACK = 0.8


@record
class PrivateSteps(Record):
    """Steps of one stage that were trained privately.

    Args:
        stage: ``text``, ``speech``, ``face`` or ``fuse``.
        noise_multiplier: standard deviation of the noise, divided by the largest norm of one gradient.
        sample_rate: probability with which a step includes a clip (or speaker).
        steps: number of steps.
    """

    stage: str
    noise_multiplier: float
    sample_rate: float
    steps: int


def spent(ledger: Sequence[PrivateSteps], delta: float) -> float:
    """The epsilon of all steps of a ledger together.

    Args:
        ledger: steps of every stage.
        delta: probability that the bound may fail.

    Raises:
        ConfigError: Opacus is not installed.
    """
    accountant = _accountants().PRVAccountant()
    accountant.history = [(each.noise_multiplier, each.sample_rate, each.steps) for each in ledger if each.steps]
    return _epsilon(accountant, delta) if accountant.history else 0.0


def noise_for(plan: Sequence[tuple[float, int]], epsilon: float, delta: float) -> float:
    """The smallest noise multiplier with which all planned steps together stay within a budget.

    Args:
        plan: (sample rate, steps) of each stage.
        epsilon: the budget.
        delta: probability that the bound may fail.

    Raises:
        ConfigError: no amount of noise is enough, or Opacus is not installed.
    """

    def fits(noise: float, name: str) -> bool:
        accountant = getattr(_accountants(), name)()
        accountant.history = [(noise, rate, steps) for rate, steps in plan]
        return _epsilon(accountant, delta) <= epsilon

    # Rényi accounting is fast and gives an upper bound; the numerical accountant then needs few trials below it.
    low, high = _LEAST_NOISE, 2 * _LEAST_NOISE
    while not fits(high, "RDPAccountant"):
        low, high = high, 2 * high
        if high > _MOST_NOISE:
            raise ConfigError(
                f"privacy.epsilon: no noise reaches {epsilon:g} with delta {delta:g}; choose a larger one"
            )
    low, high = _narrowed(lambda noise: fits(noise, "RDPAccountant"), low, high)
    return _narrowed(lambda noise: fits(noise, "PRVAccountant"), _SLACK * high, high)[1]


def _narrowed(fits: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    """Bisect until two noise multipliers differ by no more than the precision; ``high`` fits throughout."""
    while high / low > 1 + _PRECISION:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if fits(middle) else (middle, high)
    return low, high


def _accountants() -> Any:
    return require("opacus.accountants", "privacy")


def _epsilon(accountant: Any, delta: float) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Rényi orders at the edge of their range: the bound holds, but is loose
        return float(accountant.get_epsilon(delta))
