"""Layers of pretrained backbones in forms that a GPU computes fast in half precision. Elsewhere nothing changes.

The results equal those of the library up to half-precision rounding. Weights keep their names.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional as F

#: Dtypes in which matrix units compute.
HALF_DTYPES = (torch.bfloat16, torch.float16)
#: Grouped convolutions with a kernel of at least this many steps are computed through FFTs.
_LONG_KERNEL = 64
#: Matrix units need row lengths that are multiples of this.
_ALIGNMENT = 8


def suit_half_precision(backbone: nn.Module) -> None:
    """Speed up a backbone's one-dimensional convolutions and layer norms on a GPU in half precision.

    cuDNN has no matrix-unit kernels for convolutions over ``[B, C, T]`` in the library's memory layout, nor for grouped
    convolutions with long kernels (positional convolutions). Under autocast every norm returns float32, which the next
    matrix product has to cast back.

    Args:
        backbone: a transformers model; modified in place.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv1d) and module.dilation == (1,) and isinstance(module.padding, tuple):
            if module.groups == 1:
                module._conv_forward = MethodType(_strided, module)  # type: ignore[method-assign, assignment]
            elif module.stride == (1,) and module.kernel_size[0] >= _LONG_KERNEL:
                module._conv_forward = MethodType(_spectral, module)  # type: ignore[method-assign, assignment]
        elif type(module) is nn.LayerNorm:
            module.forward = MethodType(_norm, module)  # type: ignore[method-assign]


def half_of(x: Tensor) -> torch.dtype | None:
    """The half-precision dtype in which a GPU currently computes with ``x``; ``None`` otherwise."""
    if not x.is_cuda:
        return None
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    return dtype if dtype in HALF_DTYPES else None


def strided_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """``F.conv1d`` with channels innermost in memory, the layout that matrix units need.

    Args:
        x: ``[B, C, T]``.
        weight: ``[O, C, width]``.
        bias: ``[O]``, or ``None``.
        stride: steps between outputs.
        padding: zeros added at each end, steps.

    Returns:
        ``[B, O, T']`` stored as ``[B, T', O]``, so that a chain of such layers copies nothing.
    """
    if weight.shape[1] >= _ALIGNMENT:
        rows = x.transpose(1, 2).contiguous().transpose(1, 2).unsqueeze(2)
        kernel = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return F.conv2d(rows, kernel, bias, (1, stride), (0, padding)).squeeze(2)
    # Few channels, as in a waveform: make each window a row.
    size, channels, width = weight.shape
    windows = F.pad(x, (padding, padding)).unfold(2, width, stride)
    rows = windows.permute(0, 2, 1, 3).flatten(2)
    more = -(channels * width) % _ALIGNMENT
    made = F.linear(F.pad(rows, (0, more)), F.pad(weight.reshape(size, channels * width), (0, more)), bias)
    return made.transpose(1, 2)


def spectral_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int) -> Tensor:
    """``F.conv1d`` with a stride of one, computed as a product of spectra.

    Computed in float32 at least: half-precision FFTs require powers of two and are less accurate.

    Args:
        x: ``[B, C, T]``.
        weight: ``[O, C / groups, width]``.
        bias: ``[O]``, or ``None``.
        padding: zeros added at each end, steps.
        groups: number of groups of the convolution.

    Returns:
        ``[B, O, T']``.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    steps, width = x.shape[2] + 2 * padding, weight.shape[2]
    size = next_fast_len(steps, real=True)
    signal = torch.fft.rfft(F.pad(x.to(exact), (padding, padding)), size).unflatten(1, (groups, -1))
    kernel = torch.fft.rfft(weight.to(exact), size).unflatten(0, (groups, -1))
    product = torch.einsum("bgif,goif->bgof", signal, kernel.conj()).flatten(1, 2)
    made: Tensor = torch.fft.irfft(product, size)[..., : steps - width + 1].to(x.dtype)
    return made if bias is None else made + bias.to(x.dtype)[:, None]


#: Torch's own method, even if an instance overrides it.
_plain: Callable[[nn.Conv1d, Tensor, Tensor, Tensor | None], Tensor] = nn.Conv1d._conv_forward


def _strided(self: nn.Conv1d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    dtype = half_of(x)
    if dtype is None:
        return _plain(self, x, weight, bias)
    with torch.autocast("cuda", enabled=False):
        bias = None if bias is None else bias.to(dtype)
        return strided_convolution(x.to(dtype), weight.to(dtype), bias, self.stride[0], int(self.padding[0]))


def _spectral(self: nn.Conv1d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    dtype = half_of(x)
    if dtype is None:
        return _plain(self, x, weight, bias)
    with torch.autocast("cuda", enabled=False):
        return spectral_convolution(x.to(dtype), weight, bias, int(self.padding[0]), self.groups)


def _norm(self: Any, x: Tensor) -> Tensor:
    dtype = half_of(x)
    if dtype is None:
        return nn.LayerNorm.forward(self, x)
    with torch.autocast("cuda", enabled=False):
        weight, bias = (None if p is None else p.to(x.dtype) for p in (self.weight, self.bias))
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps).to(dtype)
