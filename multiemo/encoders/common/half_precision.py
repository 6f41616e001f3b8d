"""Layers of pretrained backbones as a GPU computes them fast in half precision; elsewhere they stay as they are.

The results are the library's own to the rounding of half precision. Weights keep their names.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional as F

_HALVES = (torch.bfloat16, torch.float16)
#: A grouped convolution with a kernel this long (steps) is done by spectra.
_LONG = 64
#: Matrix units want rows of whole multiples of so many numbers.
_ALIGNED = 8


def suit_half_precision(backbone: nn.Module) -> None:
    """Make a backbone's one-dimensional convolutions and layer norms fast on a GPU in half precision.

    cuDNN has no kernels on matrix units for convolutions over ``[B, C, T]`` in the layout of the library, nor for long
    kernels in groups (positional convolutions), and autocast returns from every norm to float32, which the next matrix
    product casts back.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv1d) and module.dilation == (1,) and isinstance(module.padding, tuple):
            if module.groups == 1:
                module._conv_forward = MethodType(_strided, module)  # type: ignore[method-assign, assignment]
            elif module.stride == (1,) and module.kernel_size[0] >= _LONG:
                module._conv_forward = MethodType(_spectral, module)  # type: ignore[method-assign, assignment]
        elif type(module) is nn.LayerNorm:
            module.forward = MethodType(_norm, module)  # type: ignore[method-assign]


def half_of(x: Tensor) -> torch.dtype | None:
    """The half precision in which a GPU computes with ``x`` now, if it does."""
    if not x.is_cuda:
        return None
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    return dtype if dtype in _HALVES else None


def strided_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """``F.conv1d`` of ``[B, C, T]`` with channels innermost in memory, as matrix units want them.

    Returns:
        ``[B, O, T']`` whose memory is ``[B, T', O]``: a chain of such layers copies nothing.
    """
    if weight.shape[1] >= _ALIGNED:
        rows = x.transpose(1, 2).contiguous().transpose(1, 2).unsqueeze(2)
        kernel = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return F.conv2d(rows, kernel, bias, (1, stride), (0, padding)).squeeze(2)
    # Of few channels, such as a waveform: every window a row.
    size, channels, width = weight.shape
    windows = F.pad(x, (padding, padding)).unfold(2, width, stride)
    rows = windows.permute(0, 2, 1, 3).flatten(2)
    more = -(channels * width) % _ALIGNED
    made = F.linear(F.pad(rows, (0, more)), F.pad(weight.reshape(size, channels * width), (0, more)), bias)
    return made.transpose(1, 2)


def spectral_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int) -> Tensor:
    """``F.conv1d`` with a stride of one as products of spectra: ``[B, C, T]`` to ``[B, O, T']``.

    Computed in float32 at least, for FFTs of half precision want powers of two and lose more.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    steps, width = x.shape[2] + 2 * padding, weight.shape[2]
    size = next_fast_len(steps, real=True)
    signal = torch.fft.rfft(F.pad(x.to(exact), (padding, padding)), size).unflatten(1, (groups, -1))
    kernel = torch.fft.rfft(weight.to(exact), size).unflatten(0, (groups, -1))
    product = torch.einsum("bgif,goif->bgof", signal, kernel.conj()).flatten(1, 2)
    made: Tensor = torch.fft.irfft(product, size)[..., : steps - width + 1].to(x.dtype)
    return made if bias is None else made + bias.to(x.dtype)[:, None]


#: Of torch, whatever an instance has in its place.
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
