"""The smallest change is found, and checked on the decision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from multiemo.explanation.counterfactual import removals, smallest_change
from tests.support.explained import GameTarget, GameView


class Decides(GameTarget):
    """Two labels; the first is decided while the value is above zero."""

    names = ("yes", "no")

    def __init__(self, weights: list[float], bias: float) -> None:
        super().__init__(len(weights), lambda present: present.float() @ torch.tensor(weights) + bias)
        self.model, self.label = SimpleNamespace(task="single"), 0

    def embed(self, x, mask):
        return self(x, mask)

    def logits(self, embeddings):
        return torch.stack([embeddings, torch.zeros_like(embeddings)], dim=1)

    def probabilities(self, logits):
        return logits.softmax(1)

    def decide(self, logits):
        return [(int(row.argmax()),) for row in logits]


@pytest.mark.parametrize(
    ("weights", "bias", "removed", "tried"),
    [
        ([1.0, 3.0, 2.0], -4.5, ["1"], 3),  # several single parts would do: the one with the largest effect
        ([1.0, 1.0, 1.0, -1.0], -0.5, ["0", "1"], 10),  # no single part
        ([1.0, 1.0, 1.0, 1.0], -1.5, ["0", "1", "2"], 14),  # no pair
    ],
)
def test_the_smallest_removal_that_changes_the_label(weights, bias, removed, tried) -> None:
    target = Decides(weights, bias)
    found, count = smallest_change(removals(GameView(len(weights)), target, 3), target)
    assert [found.part, *found.others] == removed
    assert found.label == "no"
    assert found.after < 0.5 < found.before
    assert count == tried


@pytest.mark.parametrize(("parts", "claim"), [(5, "and no pair)"), (6, "and no pair that was tried)")])
def test_a_triple_claims_only_what_was_checked(parts, claim) -> None:
    """Of six equal parts, the pair of the last two is never tried, as neither of them is among the best four."""
    target = Decides([1.0] * parts, 2.5 - parts)
    found, _ = smallest_change(removals(GameView(parts), target, 3), target)
    assert len(found.others) == 2
    assert found.change.endswith(claim)


def test_nothing_is_reported_if_nothing_changes_the_label() -> None:
    target = Decides([1.0] * 4, 1.0)
    found, count = smallest_change(removals(GameView(4), target, 3), target)
    assert found is None
    assert count == 14
