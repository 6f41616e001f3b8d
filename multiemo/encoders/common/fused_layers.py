"""Whether a layer can be computed by :mod:`~multiemo.encoders.common.row_kernels`, and one that can."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from multiemo.encoders.common.half_precision import HALF_DTYPES, half_of
from multiemo.errors import first_line

_captured: ContextVar[bool] = ContextVar("_captured", default=False)


@contextmanager
def captured_pass() -> Iterator[None]:
    """Within it, a pass is computed that a CUDA graph will repeat."""
    token = _captured.set(True)
    try:
        yield
    finally:
        _captured.reset(token)


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, lengths: Tensor | None) -> Tensor | None:
    """Normalise each channel of each clip over its steps.

    Args:
        x: ``[B, C, T]``.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: added to the variance.
        lengths: ``[B]`` int64, real steps of each clip; ``None`` if all are.

    Returns:
        ``[B, C, T]`` stored as ``[B, T, C]``; ``None`` if the kernels cannot compute it here.
    """
    if not suited(x):
        return None
    from multiemo.encoders.common import row_kernels

    rows = x.transpose(1, 2).contiguous()
    return row_kernels.norm_act(rows, weight, bias, eps, lengths=lengths).transpose(1, 2)


def suited(x: Tensor) -> bool:
    """Whether the kernels take a tensor: half precision on a GPU on which Triton runs, in a pass that is captured.

    Python needs longer to start one of these kernels than torch for one of its own. In a pass that is not captured,
    the GPU would wait for it.
    """
    if not _captured.get() or half_of(x) is None or x.dtype not in HALF_DTYPES:
        return False
    return x.is_cuda and _works(x.device)


@functools.cache
def _works(device: torch.device) -> bool:
    """Whether Triton can build and run the kernels; it needs a C compiler on the machine. Warns once if it cannot."""
    try:
        return _agrees(device)
    except Exception as error:
        warnings.warn(f"Triton does not run here, so training goes on without it ({first_line(error)})", stacklevel=2)
        return False


def _agrees(device: torch.device) -> bool:
    from multiemo.encoders.common import row_kernels

    rows = torch.linspace(-1, 1, 96, device=device).view(2, 3, 16).requires_grad_()
    ones, zeros = torch.ones(16, device=device), torch.zeros(16, device=device)
    with torch.enable_grad():
        made = row_kernels.norm_act(rows, ones, zeros, 1e-5, row_kernels.SILU)
        kept, mean = row_kernels.pooled(made)
        row_kernels.gated(kept, mean).sum().backward()  # type: ignore[no-untyped-call]
    return bool(torch.isfinite(made).all())
