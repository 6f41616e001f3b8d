"""Decoded samples as they are stored -> one channel with full scale 1: the mix, its scale, and channels turned over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats

#: Full scale of each sample format of FFmpeg that PyAV hands out.
_FULL = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
#: Sample formats that hold more than their values may need.
WIDE = ("s32", "s64", "flt", "dbl")
#: Floats may go beyond full scale by this much; more is another scale.
OVER = 8.0
#: Share of the samples that may be broken and say nothing of the scale.
_BROKEN = 0.001
#: Correlation of a channel with the loudest below which it is that channel's mirror image.
_MIRROR = -0.5


@dataclass(frozen=True, slots=True)
class Mix:
    """How the channels of a track become one.

    Args:
        factor: samples are multiplied by it.
        signs: of each channel, 1 or -1; empty when none is turned over, as for any other number of channels.
        notes: what the user may want to know of it, one line each.
    """

    factor: float = 1.0
    signs: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def one(self, channels: Floats, channel: int | None) -> Floats:
        """``[C, N]`` to ``[N]``: a channel, silent where there is none, or the mean of all.

        Samples that are not finite become silence, infinite ones full scale.
        """
        if channel is not None:
            kept = channels[channel] if channel < len(channels) else np.zeros(channels.shape[1], np.float32)
            return _finite(kept, self.factor)
        if len(channels) == 1:
            return _finite(channels[0], self.factor)
        channels = _finite(channels, self.factor)
        if len(self.signs) == len(channels):
            channels = channels * np.array(self.signs, np.float32)[:, None]
        return np.asarray(channels.mean(axis=0, dtype=np.float32))


PLAIN = Mix()


def channels_of(frame: Any) -> Floats:
    """``[C, N]`` float32 of a frame of PyAV, full scale 1; floats as they are stored."""
    stored = frame.format.name.removesuffix("p")
    if stored not in _FULL:
        frame = av.AudioResampler(format="dblp", layout=frame.layout, rate=frame.sample_rate).resample(frame)[0]
        stored = "dbl"
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(frame.samples, -1).T
    if stored == "u8":
        return np.asarray((values.astype(np.float32) - 128) / 128, np.float32)
    if stored in ("s16", "s32"):
        return np.asarray(values.astype(np.float32) / np.float32(_FULL[stored]), np.float32)
    return np.ascontiguousarray(values, dtype=np.float32)


def scale_of(samples: NDArray[np.float32], whole: bool) -> tuple[float, str]:
    """By what samples have to be multiplied to have full scale 1, and what to say of it.

    Args:
        samples: of all channels, full scale 1 where the file keeps to it.
        whole: they were stored as whole numbers.

    Example:
        >>> voice = np.array([0.0, 3000.0, -20000.0], np.float32)
        >>> scale_of(voice, False)[0] == 2**-15, scale_of(voice / 2**31, True)[0] == 2**16
        (True, True)
        >>> scale_of(voice / 2**15, True)
        (1.0, '')
    """
    sizes = np.abs(samples[np.isfinite(samples)])
    if not len(sizes):
        return 1.0, ""
    peak = float(np.quantile(sizes, 1 - _BROKEN))
    if peak > OVER:
        bits = bits_of(peak)
        if bits is None:
            return 1 / peak, f"its samples reach {peak:.3g} where 1 is full scale; they were divided by that"
        what = f"its samples reach {peak:.0f} where 1 is full scale: they are values of {bits} bits"
        return 2.0 ** (1 - bits), f"{what}, and were divided by {2 ** (bits - 1)}"
    top = float(sizes.max())
    missing = 16 if top <= 2.0**-15 else 8 if whole and top <= 2.0**-8 else 0
    if top > 0 and missing:
        what = f"its samples reach {20 * np.log10(top):.0f} dB of full scale only: they are values of fewer bits"
        return 2.0**missing, f"{what} in a wider format, and were multiplied by {2**missing}"
    return 1.0, ""


def bits_of(peak: float) -> int | None:
    """How many bits whole numbers have that reach so far; ``None`` beyond 32.

    Example:
        >>> bits_of(20000.0), bits_of(1e12)
        (16, None)
    """
    return next((bits for bits in (8, 16, 24, 32) if peak <= 2.0 ** (bits - 1)), None)


def signs_of(products: NDArray[np.float64]) -> tuple[int, ...]:
    """Which channels are mirror images of the loudest and would cancel it; empty when none is.

    Args:
        products: ``[C, C]`` sums of the products of every two channels.

    Example:
        >>> signs_of(np.array([[1.0, -0.9], [-0.9, 1.0]])), signs_of(np.array([[1.0, -0.1], [-0.1, 1.0]]))
        ((1, -1), ())
    """
    energy = np.diagonal(products)
    loudest = int(energy.argmax())
    scale = np.sqrt(energy * energy[loudest])
    alike = np.divide(products[loudest], scale, out=np.zeros(len(energy)), where=scale > 0)
    turned = alike < _MIRROR
    return tuple(np.where(turned, -1, 1).tolist()) if turned.any() else ()


def _finite(samples: Floats, factor: float) -> Floats:
    if factor != 1.0:
        samples = samples * np.float32(factor)
    if np.isfinite(samples).all():
        return np.array(samples, np.float32)
    return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
