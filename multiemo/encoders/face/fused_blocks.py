"""Batch norms and gates of timm's networks, computed in fewer passes over memory in CUDA graphs in half precision.

Elsewhere, and where Triton cannot run, nothing changes.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn

from multiemo.encoders.common.fused_layers import suited

#: Activations that the kernels know, by name.
_ACTIVATIONS: dict[type[nn.Module], str] = {nn.Identity: "NONE", nn.ReLU: "RELU", nn.SiLU: "SILU", nn.GELU: "GELU"}


def fuse_layers(backbone: nn.Module) -> None:
    """Compute a timm backbone's batch norms with their activation, and its squeeze-and-excitation gates, in few passes.

    Args:
        backbone: a timm model; modified in place. Weights keep their names.
    """
    for module in backbone.modules():
        if type(module) is BatchNormAct2d and _activation(module) is not None and module.affine:
            module.forward = MethodType(_norm_act, module)  # type: ignore[method-assign]
        elif type(module) is SqueezeExcite:
            module.forward = MethodType(_squeeze_excite, module)  # type: ignore[method-assign]


def _activation(norm: BatchNormAct2d) -> str | None:
    exact_gelu = getattr(norm.act, "approximate", "none") == "none"
    return _ACTIVATIONS.get(type(norm.act)) if exact_gelu and isinstance(norm.drop, nn.Identity) else None


def _norm_act(self: Any, x: Tensor) -> Tensor:
    running = self.running_mean is not None and self.momentum is not None
    if not (self.training and running and suited(x) and x.numel() > x.shape[1]):
        return BatchNormAct2d.forward(self, x)  # type: ignore[no-any-return]
    from multiemo.encoders.common import row_kernels

    self.num_batches_tracked.add_(1)
    rows = _rows(x)
    made = row_kernels.norm_act(
        rows.view(1, -1, x.shape[1]), self.weight, self.bias, self.eps, getattr(row_kernels, str(_activation(self))),
        running=(self.running_mean, self.running_var), momentum=self.momentum,
    )  # fmt: skip
    return _maps(made.view(rows.shape), x)


def _squeeze_excite(self: Any, x: Tensor) -> Tensor:
    if not (self.training and suited(x)):
        return SqueezeExcite.forward(self, x)  # type: ignore[no-any-return]
    from multiemo.encoders.common import row_kernels

    rows, mean = row_kernels.pooled(_rows(x))
    gates = self.gate(self.conv_expand(self.act1(self.conv_reduce(mean[:, :, None, None]))))
    return _maps(row_kernels.gated(rows, gates.flatten(1).contiguous()), x)


def _rows(x: Tensor) -> Tensor:
    """``[N, H * W, C]`` of ``[N, C, H, W]``, without a copy for channels innermost in memory."""
    return x.permute(0, 2, 3, 1).contiguous().flatten(1, 2)


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    n, c, h, w = like.shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)
