"""The fake GPU runs what a real one would, and counts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.measure import fake_gpu
from multiemo.training.casts import cast_together
from tests.support.no_copies import needs_fake_gpu
from tests.support.tiny_text import LAYERS, tiny

pytestmark = needs_fake_gpu


def test_gradients_are_those_of_torch_s_engine() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 3))
    x = torch.randn(6, 4)

    def loss() -> torch.Tensor:
        made = net(x)  # a weight that is used twice, and a mean that is broadcast in the backward pass
        return (made * made).sum() + made.mean() * net[0].weight.sum()

    loss().backward()
    expected = [p.grad for p in net.parameters()]
    net.zero_grad()
    fake_gpu.backward(loss())
    for p, wanted in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, wanted)


def test_kernels_bytes_and_operations_of_a_layer() -> None:
    mode = FakeTensorMode()
    layer = fake_gpu.move(nn.Linear(8, 16), mode)
    with mode:
        x = torch.empty(4, 8, device="cuda")
        with fake_gpu.queued() as plain:
            layer(x.view(2, 2, 8).flatten(0, 1))
        with fake_gpu.queued() as half, fake_gpu.autocast(torch.bfloat16):
            made = layer(x)
    assert plain.operators == {"addmm": 1}
    assert plain.moved == 4 * (4 * 8 + 8 * 16 + 16 + 4 * 16)
    assert plain.operations == half.operations == 2 * 4 * 8 * 16
    assert made.dtype == torch.bfloat16
    assert half.operators == {"addmm": 1, "_to_copy": 3}


@pytest.mark.parametrize("padded", [True, False])
def test_a_text_step(tmp_path: Path, padded: bool) -> None:
    """What the host queues for a small RoBERTa: which attention runs, and what casting weights together saves."""
    mode = FakeTensorMode()
    encoder = fake_gpu.move(tiny(tmp_path, "roberta").train(), mode)
    counts = []
    with mode:
        x = torch.ones(2, 8, dtype=torch.long, device="cuda")
        for _ in range(2):
            with fake_gpu.queued() as counted:
                with fake_gpu.autocast(torch.bfloat16):
                    made = encoder(x, x > 0, padded=padded)
                fake_gpu.backward(made.float().sum())
            counts.append(counted)
            encoder.zero_grad()
            cast_together(encoder, pytest.fail)
    separate, together = counts
    kind = "_efficient_" if padded else "_flash_"
    assert separate.operators[f"_scaled_dot_product{kind}attention"] == LAYERS
    assert separate.operators[f"_scaled_dot_product{kind}attention_backward"] == LAYERS
    # Six linear layers with a weight and a bias each: one cast forward and one backward for each, now two in all.
    assert together.operators["_foreach_copy_"] == 2
    assert separate.operators["_to_copy"] - together.operators["_to_copy"] == LAYERS * 6 * 2 * 2
    assert separate.kernels - together.kernels == LAYERS * 6 * 2 * 2 - 2
