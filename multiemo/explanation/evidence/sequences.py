"""Parts of an input that are steps of time, such as video frames: a part is removed by leaving its steps out."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor


def spans(steps: int, most: int) -> list[tuple[int, int]]:
    """Divide steps into spans of nearly equal length.

    Args:
        steps: number of steps, at least 1.
        most: largest number of spans.

    Returns:
        First step of each span, and the one after its last.

    Example:
        >>> spans(5, 2), spans(2, 8)
        ([(0, 2), (2, 5)], [(0, 1), (1, 2)])
    """
    count = min(steps, most)
    edges = [i * steps // count for i in range(count + 1)]
    return list(pairwise(edges))


def without_steps(x: Tensor, gone: Tensor, substitute: Tensor) -> tuple[Tensor, Tensor]:
    """Leave steps out of a sequence, as if they had not been recorded.

    Args:
        x: ``[T, ...]``.
        gone: ``[K, T]`` bool, true for steps that are left out, for K variants.
        substitute: ``[...]``, the single step of a variant in which all are left out.

    Returns:
        ``[K, T', ...]``, whose remaining steps come first, and its mask ``[K, T']``; T' is the longest variant's.
    """
    kept = ~gone
    lengths = kept.sum(1).clamp_min(1)
    order = gone.to(torch.int8).argsort(dim=1, stable=True)[:, : int(lengths.max())]
    variants = x[order]
    empty = ~kept.any(1)
    variants[empty, 0] = substitute.to(variants.dtype)
    mask = torch.arange(order.shape[1], device=x.device) < lengths.unsqueeze(1)
    return variants, mask
