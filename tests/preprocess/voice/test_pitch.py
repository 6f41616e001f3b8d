"""The best path through pitch candidates equals that of an exhaustive search."""

from __future__ import annotations

import itertools

import torch

from multiemo.preprocess.voice.pitch import max_marginals


def test_max_marginals_are_those_of_every_path() -> None:
    torch.manual_seed(0)
    emission, transition = torch.randn(2, 6, 3), torch.randn(2, 5, 3, 3)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    ours = max_marginals(emission, transition, mask)
    for b, steps in enumerate((6, 4)):
        best = torch.full((steps, 3), -torch.inf)
        for path in itertools.product(range(3), repeat=steps):
            score = sum(emission[b, t, k] for t, k in enumerate(path))
            score = score + sum(transition[b, t, path[t], path[t + 1]] for t in range(steps - 1))
            for t, k in enumerate(path):
                best[t, k] = torch.maximum(best[t, k], score)
        torch.testing.assert_close(ours[b, :steps], best)
