"""Every registered fusion: all presence patterns, gradients, and that absent embeddings are never read."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import multiemo.fusion  # noqa: F401  (registers)
from multiemo.fusion.base import Fusion
from multiemo.registry import fusions

DIMS = {"text": 12, "speech": 8, "face": 10}
CLASSES = 4
PATTERNS = [p for p in product([True, False], repeat=3) if any(p)]


def build(name: str) -> Fusion:
    level = fusions.get(name, where="test").level
    dims = dict.fromkeys(DIMS, CLASSES) if level == "decision" else DIMS
    torch.manual_seed(0)
    return fusions.build(name, {}, where="fusion", dims=dims)


def inputs(fusion: Fusion, batch: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    if fusion.level == "decision":
        return {m: torch.randn(batch, CLASSES).log_softmax(1) for m in DIMS}
    return {m: torch.randn(batch, d) for m, d in DIMS.items()}


def presence(pattern: tuple[bool, ...], batch: int = 3) -> dict[str, torch.Tensor]:
    return {m: torch.full((batch,), here) for m, here in zip(DIMS, pattern, strict=True)}


@pytest.mark.parametrize("name", fusions.names())
@pytest.mark.parametrize("pattern", PATTERNS)
def test_absent_modalities_are_never_read(name, pattern):
    fusion = build(name).eval()
    x, here = inputs(fusion), presence(pattern)
    fused = fusion(x, here)
    assert fused.shape == (3, fusion.out_dim)
    assert fused.isfinite().all()
    garbage = {m: x[m] if p else torch.full_like(x[m], 1e4) for m, p in zip(DIMS, pattern, strict=True)}
    torch.testing.assert_close(fusion(garbage, here), fused)


@pytest.mark.parametrize("name", fusions.names())
def test_patterns_differ_and_rows_are_independent(name):
    fusion = build(name).eval()
    x = inputs(fusion)
    by_pattern = {p: fusion(x, presence(p)) for p in PATTERNS}
    full = by_pattern[True, True, True]
    for pattern, fused in by_pattern.items():
        if pattern != (True, True, True):
            assert not torch.allclose(fused, full), f"{pattern} gives what all modalities give"
    mixed = {m: torch.tensor([True, m == "text", m != "text"]) for m in DIMS}
    rows = fusion(x, mixed)
    torch.testing.assert_close(rows[0], full[0])
    torch.testing.assert_close(rows[1], by_pattern[True, False, False][1])
    torch.testing.assert_close(rows[2], by_pattern[False, True, True][2])


@pytest.mark.parametrize("name", fusions.names())
def test_every_parameter_gets_a_gradient(name):
    fusion = build(name).train()
    x = inputs(fusion, 8)
    here = {m: torch.tensor([True] * 4 + [i % 3 == j for i in range(4)]) for j, m in enumerate(DIMS)}
    here["text"] = here["text"] | ~(here["speech"] | here["face"])
    (fusion(x, here) * torch.randn(8, fusion.out_dim)).sum().backward()
    for key, parameter in fusion.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


def test_decision_weights_start_as_a_product_of_experts():
    fusion = build("decision")
    x = inputs(fusion)
    torch.testing.assert_close(fusion(x, presence((True, True, True))), sum(x.values()))
