"""Curves of planted models, whose right order is known, and figures worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from multiemo.explanation.faithfulness.curves import (
    chance_correlation,
    curve_figures,
    rank_correlation,
    removal_scores,
)
from multiemo.metrics import mean_estimate
from tests.support.explained import GameTarget, GameView


class Target(GameTarget):
    """A game whose score is a log-odds."""

    def probability(self, scores: Tensor) -> Tensor:
        return scores.sigmoid()


class View(GameView):
    """Parts with sizes of their own."""

    def __init__(self, sizes: Tensor) -> None:
        super().__init__(len(sizes))
        self._sizes = sizes

    def magnitude(self) -> Tensor:
        return self._sizes


def linear(weights: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda present: present.double() @ weights.double()


WEIGHTS = torch.tensor([3.0, -1.0, 0.5, 2.0, -2.0, 0.0])
SIZES = torch.tensor([1.0, 6.0, 5.0, 2.0, 4.0, 3.0])


def figures(scores: Tensor, seed: int = 0, sizes: Tensor = SIZES) -> dict[str, float]:
    found = curve_figures(View(sizes), Target(len(scores), linear(WEIGHTS)), scores, seed)  # type: ignore[arg-type]
    return {name: getattr(found, name) for name in found.__slots__}


def test_the_true_order_beats_every_control_and_its_reverse_loses() -> None:
    right, reverse = figures(WEIGHTS), figures(-WEIGHTS)
    for name in ("deletion", "deletion_over_magnitude", "insertion", "insertion_over_magnitude"):
        assert right[name] > 0.5
        assert reverse[name] < -0.5


def test_areas_are_those_worked_out_by_hand() -> None:
    """Highest first removes 3, 2, 0.5, 0, -1, -2 from 2.5; largest first removes -1, 0.5, -2, 0, 2, 3."""
    ours = [2.5, -0.5, -2.5, -3.0, -3.0, -2.0, 0.0]
    largest = [2.5, 3.5, 3.0, 5.0, 5.0, 3.0, 0.0]
    kept = [0.0, 3.0, 5.0, 5.5, 5.5, 4.5, 2.5]
    smallest_last = [0.0, -1.0, -0.5, -2.5, -2.5, -0.5, 2.5]
    area = {k: float(np.trapezoid(v)) / 6 for k, v in enumerate([ours, largest, kept, smallest_last])}
    found = figures(WEIGHTS)
    assert found["deletion_over_magnitude"] == pytest.approx(area[1] - area[0])
    assert found["insertion_over_magnitude"] == pytest.approx(area[2] - area[3])


def test_random_scores_are_around_zero() -> None:
    random = np.random.default_rng(0)
    found = [figures(torch.from_numpy(random.normal(size=6)), seed=1000 + i) for i in range(600)]
    for name in ("deletion", "insertion"):
        estimate = mean_estimate(np.array([f[name] for f in found]), [str(i) for i in range(600)])
        assert abs(estimate.value) < 4 * estimate.error
        assert estimate.error < 0.1  # the true order is better by more than 0.5


def test_magnitudes_as_scores_equal_their_control_even_with_ties() -> None:
    tied = torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0, 0.0])
    for sizes in (SIZES, tied):
        found = figures(sizes, sizes=sizes)
        assert found["deletion_over_magnitude"] == found["insertion_over_magnitude"] == 0


def test_comprehensiveness_and_sufficiency_by_hand() -> None:
    """Of six parts, 10% is one, 20% two (1.2, rounded up) and 50% three: without them -0.5, -2.5, -3, with them
    only 3, 5, 5.5."""

    def fall(after: float) -> float:
        return float(torch.tensor(2.5).sigmoid() - torch.tensor(after).sigmoid())

    found = figures(WEIGHTS)
    assert found["comprehensiveness"] == pytest.approx(np.mean([fall(v) for v in (-0.5, -2.5, -3.0)]), abs=1e-6)
    assert found["sufficiency"] == pytest.approx(np.mean([fall(v) for v in (3.0, 5.0, 5.5)]), abs=1e-6)


def test_two_parts_are_enough() -> None:
    view, target = View(torch.tensor([1.0, 2.0])), Target(2, linear(torch.tensor([2.0, 0.0])))
    found = curve_figures(view, target, torch.tensor([1.0, 0.0]), 0)  # type: ignore[arg-type]
    assert found.deletion_over_magnitude == pytest.approx(1.0)  # (2 + 2 * 2 + 0) / 4 against (2 + 2 * 0 + 0) / 4
    assert found.sufficiency == pytest.approx(0.0)


def test_figures_depend_on_the_seed_alone() -> None:
    assert figures(WEIGHTS, seed=3) == figures(WEIGHTS, seed=3)
    assert figures(WEIGHTS, seed=3)["deletion"] != figures(WEIGHTS, seed=4)["deletion"]


def test_equal_removals_are_computed_once_and_in_bounded_batches() -> None:
    calls: list[int] = []

    class Counting(Target):
        def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
            calls.append(len(x))
            return super().__call__(x, mask)

    gone = torch.rand(500, 12, generator=torch.Generator().manual_seed(0)) < 0.5
    target = Counting(12, linear(torch.arange(12.0)))
    found = removal_scores(View(torch.ones(12)), target, torch.cat([gone, gone]))  # type: ignore[arg-type]
    assert torch.equal(found, torch.cat([linear(torch.arange(12.0))(~gone)] * 2))
    assert max(calls) <= 64
    assert sum(calls) == len(torch.unique(gone, dim=0))


def test_a_large_input_is_changed_a_few_at_a_time() -> None:
    target = Target(2, linear(torch.tensor([1.0, 2.0])))
    target.x = torch.empty(1 << 25, device="meta")  # type: ignore[assignment]
    gone = torch.tensor([[True, False], [False, True], [False, False]])
    removal_scores(View(torch.ones(2)), target, gone)  # type: ignore[arg-type]
    assert target.largest == 1


def test_rank_correlation_against_scipy() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        first, second = random.integers(0, 5, (2, 9)).astype(float)
        assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0


@pytest.mark.parametrize("parts", [3, 5, 7, 8, 20])
def test_chance_correlation_is_that_of_random_orders(parts: int) -> None:
    random = np.random.default_rng(0)
    drawn = [abs(rank_correlation(random.permutation(parts) * 1.0, np.arange(parts) * 1.0)) for _ in range(4000)]
    assert chance_correlation(parts) == pytest.approx(np.mean(drawn), abs=0.015)
