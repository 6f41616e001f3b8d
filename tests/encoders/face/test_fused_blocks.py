"""A timm network with its norms and gates computed by our kernels trains like timm's own."""

from __future__ import annotations

import os
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn

from multiemo.encoders.common import fused_layers
from multiemo.encoders.face import fused_blocks
from multiemo.encoders.face.backbones import create_backbone

pytest.importorskip("triton", reason="Triton comes with torch for CUDA")
interpreted = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="needs Triton's interpreter")


def parts(name: str) -> nn.Module:
    """The stem and the first blocks, since an interpreter is slow."""
    torch.manual_seed(0)
    backbone, _ = create_backbone(name, {}, False, None, 32)
    return nn.Sequential(backbone.conv_stem, backbone.bn1, *backbone.blocks[:2])


def step(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, gradients and running statistics of a training step."""
    made = network(x)
    made.square().sum().backward()
    return [made.detach(), *(p.grad for p in network.parameters()), *(b.double() for b in network.buffers())]


@interpreted
@pytest.mark.parametrize(
    ("name", "norms", "gates"),
    [("efficientnet_b0", 9, 3), ("mobilenetv3_small_050", 8, 1), ("efficientnet_lite0", 3, 0)],
)
def test_a_training_step_is_timm_s(name: str, norms: int, gates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 3, 24, 24).to(memory_format=torch.channels_last)
    wanted = step(parts(name).train(), x)
    used: list[str] = []
    monkeypatch.setattr(fused_blocks, "suited", lambda x: not used.append("kernel"))
    got = step(parts(name).train(), x)
    assert len(used) == norms + gates
    largest = max(float(timms.norm()) for timms in wanted)  # some gradients are zero but for rounding
    for ours, timms in zip(got, wanted, strict=True):
        assert float((ours - timms).norm()) <= 1e-5 * float(timms.norm()) + 1e-6 * largest


@interpreted
def test_frozen_statistics_and_evaluation_are_left_to_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_blocks, "suited", lambda x: True)
    network, x = parts("efficientnet_b0").eval(), torch.randn(2, 3, 24, 24)
    before = [b.clone() for b in network.buffers()]
    expected = network(x)
    for module in network.modules():
        if isinstance(module, BatchNormAct2d | SqueezeExcite):
            assert "forward" in vars(module)
            del module.forward
    assert torch.equal(network(x), expected)
    assert all(torch.equal(a, b) for a, b in zip(network.buffers(), before, strict=True))


def test_other_norms_and_activations_are_left_to_timm() -> None:
    network = nn.Sequential(
        BatchNormAct2d(4, act_layer=nn.Hardswish), BatchNormAct2d(4, affine=False), nn.BatchNorm2d(4),
        BatchNormAct2d(4, act_layer=nn.GELU, act_kwargs={"approximate": "tanh"}, inplace=False),
        BatchNormAct2d(4, drop_layer=nn.Dropout),
    )  # fmt: skip
    fused_blocks.fuse_layers(network)
    assert not [m for m in network if "forward" in vars(m)]


def test_weights_keep_their_names() -> None:
    backbone, _ = create_backbone("efficientnet_b0", {}, False, None, 32)
    assert list(backbone.state_dict()) == list(timm.create_model("efficientnet_b0", num_classes=0).state_dict())


def test_a_machine_without_a_compiler_trains_without_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(device: torch.device) -> bool:
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")

    monkeypatch.setattr(fused_layers, "_agrees", fails)
    fused_layers._works.cache_clear()
    try:
        with pytest.warns(UserWarning, match="^Triton does not run here, .*Failed to find C compiler"):
            assert not fused_layers._works(torch.device("cuda:0"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not fused_layers._works(torch.device("cuda:0")), "asked once"
    finally:
        fused_layers._works.cache_clear()


@interpreted
def test_the_check_of_a_machine_runs_both_kinds_of_kernels() -> None:
    assert fused_layers._agrees(torch.device("cpu"))


def test_only_half_precision_in_a_captured_pass_on_a_gpu_is_suited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_layers, "_works", lambda device: True)
    monkeypatch.setattr(fused_layers, "half_of", lambda x: torch.bfloat16)  # as under autocast on a GPU
    on_gpu: Any = SimpleNamespace(is_cuda=True, dtype=torch.bfloat16, device=torch.device("cuda"))
    assert not fused_layers.suited(on_gpu), "outside of a graph the host would be slower than the kernels"
    with fused_layers.captured_pass():
        assert fused_layers.suited(on_gpu)
        assert not fused_layers.suited(torch.zeros(1, dtype=torch.bfloat16))
        assert not fused_layers.suited(SimpleNamespace(**{**vars(on_gpu), "dtype": torch.float32}))  # type: ignore[arg-type]
    assert not fused_layers.suited(on_gpu)
