from __future__ import annotations

import pytest
import torch

from tests.support.no_sync import HostSync, no_sync

X = torch.arange(6.0)
READS = {
    "item": lambda x: x[0].item(),
    "float": lambda x: float(x[0]),
    "if": lambda x: 1 if x[0] else 0,
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 1),
    "masked select": lambda x: x.masked_select(x > 1),
    "mask index": lambda x: x[x > 1],
    "mask put": lambda x: x.clone().index_put_((x > 3,), torch.ones(2)),
    "equal": lambda x: torch.equal(x, x),
    "unique": lambda x: x.unique(),
    "repeat": lambda x: x.repeat_interleave(x.long()),
}


@pytest.mark.parametrize("name", READS)
def test_reading_a_value_is_noticed(name):
    READS[name](X)
    with pytest.raises(HostSync), no_sync():
        READS[name](X)


def test_reading_in_the_backward_pass_is_noticed():
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * grad.sum().item()

    x = X.clone().requires_grad_()
    with pytest.raises(HostSync), no_sync():
        Reads.apply(x).sum().backward()


def test_work_that_stays_on_the_device_passes():
    layer = torch.nn.Linear(6, 3)
    with no_sync():
        y = layer(X.expand(2, 6).masked_fill(X > 4, 0.0))
        y[y < 0] = 0.0
        y[:, torch.tensor([0, 2])].square().mean().backward()
    assert layer.weight.grad is not None
