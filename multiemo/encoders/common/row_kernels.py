"""GPU kernels over rows of channels: norms with their activation, and channel gates.

Torch runs statistics, normalisation, activation, pooling and gating one after the other, and each reads and writes the
whole feature map. These kernels read it as rarely as the arithmetic allows, in both directions, and keep only the input
for the backward pass. They are written in Triton, which comes with torch for CUDA; its interpreter runs them on a CPU.

Rows are ``[G, M, C]``, contiguous: G groups of M rows of C channels. For batch normalisation all positions of all
pictures are one group; for instance normalisation, and for gates, each picture or clip is one.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Activations within a norm.
NONE, RELU, SILU, GELU = range(4)
#: Programs of a kernel that sums: enough to fill the largest GPU several times.
_PROGRAMS = 1024
#: Values that one program holds.
_TILE = 4096


@triton.jit
def _activate(z, ACT: tl.constexpr):  # type: ignore[no-untyped-def]
    if ACT == 1:
        z = tl.maximum(z, 0.0)
    elif ACT == 2:
        z = z * tl.sigmoid(z)
    elif ACT == 3:
        z = 0.5 * z * (1 + tl.erf(z * 0.7071067811865476))
    return z


@triton.jit
def _slope(z, ACT: tl.constexpr):  # type: ignore[no-untyped-def]
    slope = tl.full(z.shape, 1.0, tl.float32)
    if ACT == 1:
        slope = tl.where(z > 0, 1.0, 0.0)
    elif ACT == 2:
        s = tl.sigmoid(z)
        slope = s * (1 + z * (1 - s))
    elif ACT == 3:
        slope = 0.5 * (1 + tl.erf(z * 0.7071067811865476)) + z * 0.3989422804014327 * tl.exp(-0.5 * z * z)
    return slope


@triton.jit
def _count(lengths, g, M, MASKED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Rows of a group that are in its statistics."""
    count = M
    if MASKED:
        count = tl.load(lengths + g).to(tl.int32)
    return count


@triton.jit
def _moments(  # type: ignore[no-untyped-def]
    x, lengths, partial, M, C, share, shares, MASKED: tl.constexpr, BM: tl.constexpr, BC: tl.constexpr
):
    """Sums over a share of the rows of x - first row, and of its square: ``partial`` ``[G, shares, 2, C]``."""
    g = tl.program_id(2).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    real = c < C
    x += g * M * C
    first = tl.load(x + c, real, 0.0).to(tl.float32)
    begin = tl.program_id(0) * share
    end = tl.minimum(begin + share, _count(lengths, g, M, MASKED))
    s = tl.zeros([BM, BC], tl.float32)
    q = tl.zeros([BM, BC], tl.float32)
    for row in range(begin, end, BM):
        rows = row + tl.arange(0, BM)
        inside = (rows < end)[:, None] & real[None, :]
        v = tl.load(x + rows.to(tl.int64)[:, None] * C + c[None, :], inside, 0.0).to(tl.float32)
        v = tl.where(inside, v - first[None, :], 0.0)
        s += v
        q += v * v
    partial += (g * shares + tl.program_id(0)) * 2 * C
    tl.store(partial + c, tl.sum(s, 0), real)
    tl.store(partial + C + c, tl.sum(q, 0), real)


@triton.jit
def _slopes(  # type: ignore[no-untyped-def]
    x, dy, stats, partial, M, C, share, shares, ACT: tl.constexpr, BM: tl.constexpr, BC: tl.constexpr
):
    """Sums over a share of the rows of dz and of dz times the normalised x: ``partial`` ``[G, shares, 2, C]``."""
    g = tl.program_id(2).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    real = c < C
    stats += g * 4 * C + c
    scale, shift = tl.load(stats, real, 0.0)[None, :], tl.load(stats + C, real, 0.0)[None, :]
    mean, rstd = tl.load(stats + 2 * C, real, 0.0)[None, :], tl.load(stats + 3 * C, real, 0.0)[None, :]
    begin = tl.program_id(0) * share
    end = tl.minimum(begin + share, M)
    s = tl.zeros([BM, BC], tl.float32)
    q = tl.zeros([BM, BC], tl.float32)
    for row in range(begin, end, BM):
        rows = row + tl.arange(0, BM)
        inside = (rows < end)[:, None] & real[None, :]
        at = g * M * C + rows.to(tl.int64)[:, None] * C + c[None, :]
        v = tl.load(x + at, inside, 0.0).to(tl.float32)
        dz = tl.load(dy + at, inside, 0.0).to(tl.float32) * _slope(v * scale + shift, ACT)
        s += dz
        q += dz * (v - mean) * rstd
    partial += (g * shares + tl.program_id(0)) * 2 * C
    tl.store(partial + c, tl.sum(s, 0), real)
    tl.store(partial + C + c, tl.sum(q, 0), real)


@triton.jit
def _total(partial, c, real, C, shares, BS: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    s = tl.zeros([BC], tl.float32)
    q = tl.zeros([BC], tl.float32)
    for k in range(0, shares, BS):
        ks = k + tl.arange(0, BS)
        inside = (ks < shares)[:, None] & real[None, :]
        at = ks[:, None] * 2 * C + c[None, :]
        s += tl.sum(tl.load(partial + at, inside, 0.0), 0)
        q += tl.sum(tl.load(partial + at + C, inside, 0.0), 0)
    return s, q


@triton.jit
def _statistics(  # type: ignore[no-untyped-def]
    x, lengths, partial, weight, bias, running_mean, running_var, stats, momentum, eps, M, C, shares,
    MASKED: tl.constexpr, RUNNING: tl.constexpr, BS: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """Scale, shift, mean and 1 / deviation of each channel, ``stats`` ``[G, 4, C]``; updates running statistics."""
    g = tl.program_id(1).to(tl.int64)
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    real = c < C
    count = _count(lengths, g, M, MASKED) * 1.0
    s, q = _total(partial + g * shares * 2 * C, c, real, C, shares, BS, BC)
    s, q = s / count, q / count
    mean = tl.load(x + g * M * C + c, real, 0.0).to(tl.float32) + s
    variance = tl.maximum(q - s * s, 0.0)
    rstd = 1 / tl.sqrt(variance + eps)
    scale = tl.load(weight + c, real, 0.0).to(tl.float32) * rstd
    stats += g * 4 * C + c
    tl.store(stats, scale, real)
    tl.store(stats + C, tl.load(bias + c, real, 0.0).to(tl.float32) - mean * scale, real)
    tl.store(stats + 2 * C, mean, real)
    tl.store(stats + 3 * C, rstd, real)
    if RUNNING:
        old = tl.load(running_mean + c, real, 0.0)
        tl.store(running_mean + c, old + momentum * (mean - old), real)
        old = tl.load(running_var + c, real, 0.0)
        tl.store(running_var + c, old + momentum * (variance * (count / (count - 1.0)) - old), real)


@triton.jit
def _totals(partial, out, C, shares, BS: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """``out`` ``[G, 2, C]``: the sums of all shares."""
    g = tl.program_id(1).to(tl.int64)
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    real = c < C
    s, q = _total(partial + g * shares * 2 * C, c, real, C, shares, BS, BC)
    tl.store(out + g * 2 * C + c, s, real)
    tl.store(out + g * 2 * C + C + c, q, real)


@triton.jit
def _normalise(  # type: ignore[no-untyped-def]
    x, stats, out, M, C, ACT: tl.constexpr, BM: tl.constexpr, BC: tl.constexpr
):
    g = tl.program_id(2).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    real = c < C
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    inside = (rows < M)[:, None] & real[None, :]
    at = g * M * C + rows.to(tl.int64)[:, None] * C + c[None, :]
    stats += g * 4 * C + c
    scale, shift = tl.load(stats, real, 0.0)[None, :], tl.load(stats + C, real, 0.0)[None, :]
    y = _activate(tl.load(x + at, inside, 0.0).to(tl.float32) * scale + shift, ACT)
    tl.store(out + at, y.to(out.dtype.element_ty), inside)


@triton.jit
def _differentiate(  # type: ignore[no-untyped-def]
    x, dy, lengths, stats, totals, out, M, C, MASKED: tl.constexpr, ACT: tl.constexpr, BM: tl.constexpr,
    BC: tl.constexpr,
):  # fmt: skip
    g = tl.program_id(2).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    real = c < C
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    inside = (rows < M)[:, None] & real[None, :]
    at = g * M * C + rows.to(tl.int64)[:, None] * C + c[None, :]
    count = _count(lengths, g, M, MASKED)
    stats += g * 4 * C + c
    scale, shift = tl.load(stats, real, 0.0)[None, :], tl.load(stats + C, real, 0.0)[None, :]
    mean, rstd = tl.load(stats + 2 * C, real, 0.0)[None, :], tl.load(stats + 3 * C, real, 0.0)[None, :]
    totals += g * 2 * C + c
    s, q = tl.load(totals, real, 0.0)[None, :] / count, tl.load(totals + C, real, 0.0)[None, :] / count
    v = tl.load(x + at, inside, 0.0).to(tl.float32)
    dz = tl.load(dy + at, inside, 0.0).to(tl.float32) * _slope(v * scale + shift, ACT)
    through_statistics = s + (v - mean) * rstd * q
    if MASKED:  # other rows are not in the statistics
        through_statistics = tl.where((rows < count)[:, None], through_statistics, 0.0)
    tl.store(out + at, (scale * (dz - through_statistics)).to(out.dtype.element_ty), inside)


@triton.jit
def _sum_rows(  # type: ignore[no-untyped-def]
    x, dy, out, M, C, factor, PRODUCT: tl.constexpr, BM: tl.constexpr, BC: tl.constexpr
):
    """``out`` ``[G, C]``: ``factor`` times the sum over the rows of x, or of x times dy."""
    g = tl.program_id(1).to(tl.int64)
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    real = c < C
    s = tl.zeros([BM, BC], tl.float32)
    for row in range(0, M, BM):
        rows = row + tl.arange(0, BM)
        inside = (rows < M)[:, None] & real[None, :]
        at = g * M * C + rows.to(tl.int64)[:, None] * C + c[None, :]
        v = tl.load(x + at, inside, 0.0).to(tl.float32)
        if PRODUCT:
            v *= tl.load(dy + at, inside, 0.0).to(tl.float32)
        s += v
    tl.store(out + g * C + c, (tl.sum(s, 0) * factor).to(out.dtype.element_ty), real)


@triton.jit
def _change_rows(  # type: ignore[no-untyped-def]
    x, by, out, M, C, factor, ADD: tl.constexpr, BM: tl.constexpr, BC: tl.constexpr
):
    """x plus ``factor`` times ``by`` ``[G, C]``, or x times ``by``."""
    g = tl.program_id(2).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    real = c < C
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    inside = (rows < M)[:, None] & real[None, :]
    at = g * M * C + rows.to(tl.int64)[:, None] * C + c[None, :]
    v = tl.load(x + at, inside, 0.0).to(tl.float32)
    row = tl.load(by + g * C + c, real, 0.0).to(tl.float32)[None, :]
    if ADD:
        v += factor * row
    else:
        v *= row
    tl.store(out + at, v.to(out.dtype.element_ty), inside)


def norm_act(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    activation: int = NONE,
    *,
    lengths: Tensor | None = None,
    running: tuple[Tensor, Tensor] | None = None,
    momentum: float = 0.1,
) -> Tensor:
    """Normalise each channel over the rows of its group, scale and shift it, and apply an activation.

    Statistics, weights and intermediate results are float32.

    Args:
        rows: ``[G, M, C]``, contiguous.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: added to the variance.
        activation: one of :data:`NONE`, :data:`RELU`, :data:`SILU`, :data:`GELU`.
        lengths: ``[G]`` int64, the number of rows at the beginning of each group that are in its statistics; ``None``
            if all are.
        running: running mean and variance ``[C]`` float32, updated in place from the only group; M is at least 2.
        momentum: weight of this group in them.

    Returns:
        ``[G, M, C]`` in the dtype of ``rows``.
    """
    made: Tensor = _NormAct.apply(rows, weight, bias, eps, activation, lengths, running, momentum)  # type: ignore[no-untyped-call]
    return made


def pooled(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows ``[G, M, C]``, contiguous, and their mean ``[G, C]``.

    Use these rows from then on: the gradient of the mean is added to theirs in one pass.
    """
    made: tuple[Tensor, Tensor] = _Pooled.apply(rows)  # type: ignore[no-untyped-call]
    return made


def gated(rows: Tensor, gates: Tensor) -> Tensor:
    """The rows ``[G, M, C]``, contiguous, times the gates of their group ``[G, C]``."""
    made: Tensor = _Gated.apply(rows, gates)  # type: ignore[no-untyped-call]
    return made


class _NormAct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, act: int, lengths: Tensor | None,
        running: tuple[Tensor, Tensor] | None, momentum: float,
    ) -> Tensor:  # fmt: skip
        g, m, c = x.shape
        bm, bc = _tile(c)
        blocks = triton.cdiv(c, bc)
        share, shares = _shares(g, m, bm, blocks)
        partial, stats = (x.new_empty(size, dtype=torch.float32) for size in ((g, shares, 2, c), (g, 4, c)))
        y = torch.empty_like(x)
        masked = lengths is not None
        _moments[shares, blocks, g](
            x, lengths if masked else x, partial, m, c, share, shares, masked, bm, bc, num_warps=8
        )
        means, variances = running or (stats, stats)
        _statistics[triton.cdiv(c, 32), g](
            x, lengths if masked else x, partial, weight, bias, means, variances, stats, momentum, eps, m, c, shares,
            masked, running is not None, 64, 32,
        )  # fmt: skip
        _normalise[triton.cdiv(m, bm), blocks, g](x, stats, y, m, c, act, bm, bc, num_warps=8)
        ctx.save_for_backward(x, weight, bias, stats, lengths)
        ctx.act = act
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, bias, stats, lengths = ctx.saved_tensors
        dy = dy.contiguous()
        g, m, c = x.shape
        bm, bc = _tile(c)
        blocks = triton.cdiv(c, bc)
        share, shares = _shares(g, m, bm, blocks)
        partial, totals = (x.new_empty(g, n, 2, c, dtype=torch.float32) for n in (shares, 1))
        dx = torch.empty_like(x)
        masked = lengths is not None
        _slopes[shares, blocks, g](x, dy, stats, partial, m, c, share, shares, ctx.act, bm, bc, num_warps=8)
        _totals[triton.cdiv(c, 32), g](partial, totals, c, shares, 64, 32)
        _differentiate[triton.cdiv(m, bm), blocks, g](
            x, dy, lengths if masked else x, stats, totals, dx, m, c, masked, ctx.act, bm, bc, num_warps=8
        )
        shift, scale = totals.sum((0, 1))
        return dx, scale.to(weight.dtype), shift.to(bias.dtype), None, None, None, None, None


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view_as(x), _summed(x, None, 1 / x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dx: Tensor, dmean: Tensor) -> Tensor:
        return _changed(dx.contiguous(), dmean.contiguous(), 1 / dx.shape[1], add=True)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: Tensor) -> Tensor:
        ctx.save_for_backward(x, gates)
        return _changed(x, gates, 1.0, add=False)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        x, gates = ctx.saved_tensors
        dy = dy.contiguous()
        return _changed(dy, gates, 1.0, add=False), _summed(x, dy, 1.0).to(gates.dtype)


def _summed(x: Tensor, dy: Tensor | None, factor: float) -> Tensor:
    g, m, c = x.shape
    bc = min(triton.next_power_of_2(c), 32)
    bm = min(2048 // bc, triton.next_power_of_2(m))
    out = x.new_empty(g, c)
    product = dy is not None
    _sum_rows[triton.cdiv(c, bc), g](x, dy if product else x, out, m, c, factor, product, bm, bc, num_warps=4)
    return out


def _changed(x: Tensor, by: Tensor, factor: float, *, add: bool) -> Tensor:
    g, m, c = x.shape
    bm, bc = _tile(c)
    bm = min(bm, triton.next_power_of_2(m))
    out = torch.empty_like(x)
    _change_rows[triton.cdiv(m, bm), triton.cdiv(c, bc), g](x, by, out, m, c, factor, add, bm, bc, num_warps=4)
    return out


def _tile(channels: int) -> tuple[int, int]:
    """Rows and channels of a tile: as many channels as fit without much of the last tile being empty."""
    widths = (128, 64, 32)
    padded = {width: triton.cdiv(channels, width) * width for width in widths}
    width = next(width for width in widths if padded[width] <= 1.1 * min(padded.values()))
    return _TILE // width, width


def _shares(groups: int, rows: int, tile: int, blocks: int) -> tuple[int, int]:
    """Rows of a share, a multiple of the tile's, and the number of shares, so that all programs fill the GPU."""
    count = max(1, min(triton.cdiv(rows, tile), _PROGRAMS // (groups * blocks)))
    share = triton.cdiv(triton.cdiv(rows, count), tile) * tile
    return share, triton.cdiv(rows, share)
