"""Scores of parts against games whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
import shapiq
import torch

from multiemo.explanation.attribution import attribute, occlusion
from tests.support.explained import GameTarget, GameView


def random_game(parts: int) -> GameTarget:
    """A value for every subset, without any structure."""
    table = torch.randn(2**parts, generator=torch.Generator().manual_seed(parts))
    weights = 2 ** torch.arange(parts)
    return GameTarget(parts, lambda present: table[(present * weights).sum(1)])


@pytest.mark.parametrize("parts", [1, 2, 5, 8])
def test_few_parts_get_exact_shapley_values(parts: int) -> None:
    game = random_game(parts)
    scores, method = attribute(GameView(parts), game)

    def value(present: np.ndarray) -> np.ndarray:
        return game.value(torch.from_numpy(present)).double().numpy()

    oracle = shapiq.ExactComputer(n_players=parts, game=value)("SV")
    assert method == "Shapley values"
    assert scores.tolist() == pytest.approx([oracle[(i,)] for i in range(parts)], abs=1e-5)


def test_a_moderate_number_of_parts_is_sampled_the_same_way_every_time() -> None:
    weights = torch.linspace(-1, 1, 30)
    game = GameTarget(30, lambda present: present.float() @ weights + 3.0 * (present[:, 0] & present[:, 29]).float())
    scores, method = attribute(GameView(30), game)
    again, _ = attribute(GameView(30), game)
    expected = weights.clone()
    expected[[0, 29]] += 1.5  # a pair shares what it adds; each order and its reverse give both halves exactly
    assert method == "Shapley sampling"
    assert torch.allclose(scores, expected, atol=1e-4)
    assert torch.equal(scores, again)


def test_many_parts_are_left_out_one_by_one() -> None:
    weights = torch.arange(400.0)
    game = GameTarget(400, lambda present: present.float() @ weights)
    scores, method = attribute(GameView(400), game)
    assert method == "occlusion"
    assert torch.allclose(scores, weights, atol=0.1)
    assert game.largest <= 64


def test_a_large_input_costs_fewer_and_smaller_batches() -> None:
    game = GameTarget(20, lambda present: present.float().sum(1))
    game.x = torch.zeros(200_000, 1)
    assert attribute(GameView(20), game)[1] == "occlusion"
    assert game.largest <= 20


def test_gradients_come_first_unless_they_are_not_finite() -> None:
    game = random_game(3)
    assert attribute(GameView(3, [1.0, 2.0, 3.0]), game)[0].tolist() == [1.0, 2.0, 3.0]
    assert attribute(GameView(3, [1.0, float("nan"), 3.0]), game)[1] == "Shapley values"


def test_occlusion_is_the_fall_without_one_part() -> None:
    game = GameTarget(2, lambda present: 5.0 * present[:, 0].float() - 2.0 * present.all(1).float())
    assert occlusion(GameView(2), game).tolist() == [3.0, -2.0]
