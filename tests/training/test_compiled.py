"""Encoders through torch.compile, whose failures are no failures of a training."""

from __future__ import annotations

import pytest
import torch
import torch._inductor.config as inductor
from torch import nn
from torch._inductor.graph import GraphLowering

from multiemo.training.compiled import compile_encoder, run_plainly


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] != 4:
            raise ValueError("four columns are needed")
        return self.layers(x)


def gradients(layers: nn.Module) -> list[torch.Tensor]:
    """Of two batches of different size."""
    torch.manual_seed(1)
    layers.zero_grad()
    for size in (3, 5):
        layers(torch.randn(size, 4)).square().sum().backward()
    return [p.grad for p in layers.parameters() if p.grad is not None]


@pytest.mark.slow
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_where_the_compiler_fails_training_goes_on_and_one_note_says_so(
    backward: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, notes, lowered = GraphLowering.run, [], []

    def broken(self, *arguments):
        lowered.append(self.is_backward)
        if self.is_backward == backward:
            raise AttributeError("type object 'TensorReferenceAnalysis' has no attribute 'python_mod'")
        return real(self, *arguments)

    monkeypatch.setattr(GraphLowering, "run", broken)
    torch.compiler.reset()
    expected = gradients(Layers())
    layers = Layers()
    compile_encoder(layers, notes.append)
    with inductor.patch(force_disable_caches=True):  # else code of an earlier run would be found, and nothing lowered
        for ours, theirs in zip(gradients(layers), expected, strict=True):
            torch.testing.assert_close(ours, theirs)
    assert backward in lowered
    assert len(notes) == 1
    assert "python_mod" in notes[0]


@pytest.mark.slow
def test_a_compiled_module_computes_the_same_until_it_runs_plainly() -> None:
    notes: list[str] = []
    expected = gradients(Layers())
    layers = Layers()
    compile_encoder(layers, notes.append)
    for ours, theirs in zip(gradients(layers), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="four columns"):
        layers(torch.zeros(2, 5))
    assert notes == []
    run_plainly(layers)
    assert layers._compiled_call_impl is None
