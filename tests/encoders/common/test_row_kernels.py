"""The kernels for GPUs equal torch's layers in double precision; without a GPU, Triton's interpreter runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

kernels = pytest.importorskip("multiemo.encoders.common.row_kernels", reason="Triton comes with torch for CUDA")

ACTIVATIONS = {"NONE": lambda z: z, "RELU": F.relu, "SILU": F.silu, "GELU": F.gelu}


DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


@pytest.fixture(autouse=True)
def _on_the_device() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.device(DEVICE):
        yield


def draw(*shape: int) -> Tensor:
    """Float32 values far from zero mean, another one for each channel."""
    return 2 * torch.randn(*shape) + 20 * torch.randn(shape[-1])


def compare(ours: list[Tensor], wanted: list[Tensor], tolerance: float = 2e-5) -> None:
    for one, other in zip(ours, wanted, strict=True):
        assert one.dtype == torch.float32
        assert float((one.double() - other).norm() / other.norm()) < tolerance


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("rows", "channels"), [(75, 24), (18, 144), (1100, 5)])
def test_batch_norm_with_its_activation_is_torch_s(activation: str, rows: int, channels: int) -> None:
    x = draw(1, rows, channels).requires_grad_()
    weight, bias = (torch.rand(channels) - 0.3).requires_grad_(), torch.randn(channels).requires_grad_()
    mean, variance = torch.randn(channels), torch.rand(channels)
    mean64, variance64 = mean.double(), variance.double()
    made = kernels.norm_act(x, weight, bias, 1e-3, getattr(kernels, activation), running=(mean, variance), momentum=0.3)
    slope = torch.randn_like(made)
    got = torch.autograd.grad(made, (x, weight, bias), slope)
    exact = [v.detach().double().requires_grad_() for v in (x, weight, bias)]
    normed = F.batch_norm(exact[0][0], mean64, variance64, *exact[1:], training=True, momentum=0.3, eps=1e-3)
    wanted = ACTIVATIONS[activation](normed)
    expected = torch.autograd.grad(wanted, exact, slope[0].double())
    compare([made[0], got[0][0], *got[1:], mean, variance], [wanted, expected[0][0], *expected[1:], mean64, variance64])


@pytest.mark.parametrize("lengths", [None, [40, 23, 1]])
def test_instance_norm_is_that_of_each_clip_s_real_steps(lengths: list[int] | None) -> None:
    x = draw(3, 40, 12).requires_grad_()
    weight, bias = torch.rand(12).requires_grad_(), torch.randn(12).requires_grad_()
    given = None if lengths is None else torch.tensor(lengths)
    made = kernels.norm_act(x, weight, bias, 1e-2, lengths=given)
    slope = torch.randn_like(made)
    got = torch.autograd.grad(made, (x, weight, bias), slope)
    exact = [v.detach().double().requires_grad_() for v in (x, weight, bias)]
    clips = []
    for clip, steps in zip(exact[0], lengths or [40] * 3, strict=True):
        variance, mean = torch.var_mean(clip[:steps], 0, correction=0)  # padding is normalised with the same figures
        clips.append((clip - mean) * (variance + 1e-2).rsqrt() * exact[1] + exact[2])
    wanted = torch.stack(clips)
    compare([made, *got], [wanted, *torch.autograd.grad(wanted, exact, slope.double())])


@pytest.mark.parametrize("channels", [24, 130])
def test_pooling_and_gating_are_torch_s(channels: int) -> None:
    x, scale = draw(2, 33, channels).requires_grad_(), torch.rand(channels).requires_grad_()
    rows, mean = kernels.pooled(x)
    made = kernels.gated(rows, (mean * scale).sigmoid())
    slope = torch.randn_like(made)
    got = torch.autograd.grad(made, (x, scale), slope)
    exact = [v.detach().double().requires_grad_() for v in (x, scale)]
    wanted = exact[0] * (exact[0].mean(1, keepdim=True) * exact[1]).sigmoid()
    compare([made, *got], [wanted, *torch.autograd.grad(wanted, exact, slope.double())])
