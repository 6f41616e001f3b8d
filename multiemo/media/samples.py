"""Convert decoded samples to one channel with full scale 1: mixing, scale and polarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats

#: Full scale of each FFmpeg sample format that PyAV supports.
_FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
#: Sample formats with more bits than the stored values may have.
WIDE_FORMATS = ("s32", "s64", "flt", "dbl")
#: Peak up to which float samples may exceed full scale. A higher peak means another scale.
MAX_FLOAT_PEAK = 8.0
#: Share of the largest samples that is ignored in estimating the scale, since they may be broken.
_OUTLIER_SHARE = 0.001
#: A channel whose correlation with the loudest channel is below this has inverted polarity.
_MIRROR_CORRELATION = -0.5
#: A channel whose energy is below this share of the loudest channel's is silent (30 dB below it).
_SILENCE = 1e-3
#: FFmpeg's name of the centre channel, which carries the dialogue of a film.
_CENTRE = "FC"
#: Weights of channels by FFmpeg's names of their places, and of all others, as in ITU-R BS.775's downmix of five
#: channels to mono, which leaves out low-frequency effects.
_WEIGHTS, _OTHER_WEIGHT = {_CENTRE: 1.0, "FL": 0.5**0.5, "FR": 0.5**0.5, "LFE": 0.0, "LFE2": 0.0}, 0.5


@dataclass(frozen=True, slots=True)
class Mix:
    """How the channels of a track are mixed to one.

    Args:
        factor: factor applied to all samples.
        weights: weight per channel. Empty for the mean. Ignored for frames with another number of channels.
        notes: remarks for the user, one line each.
        channel_notes: further remarks, on channels that do not count. They do not apply where one channel is kept.
    """

    factor: float = 1.0
    weights: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    channel_notes: tuple[str, ...] = ()

    def to_mono(self, channels: Floats, channel: int | None) -> Floats:
        """Mix ``[C, N]`` to ``[N]``.

        NaN becomes silence, infinite samples full scale.

        Args:
            channels: ``[C, N]`` float32.
            channel: the channel to keep, from 0; silence if it does not exist. ``None`` mixes all channels.
        """
        if channel is not None:
            kept = channels[channel] if channel < len(channels) else np.zeros(channels.shape[1], np.float32)
            return _scaled(kept, self.factor)
        if len(channels) == 1:
            return _scaled(channels[0], self.factor)
        channels = _scaled(channels, self.factor)
        if len(self.weights) != len(channels):
            return np.asarray(channels.mean(axis=0, dtype=np.float32))
        return np.asarray((channels * np.array(self.weights, np.float32)[:, None]).sum(axis=0, dtype=np.float32))


PLAIN_MIX = Mix()


def channels_of(frame: Any) -> Floats:
    """Return the samples of a PyAV frame, ``[C, N]`` float32 with full scale 1. Floats are returned as stored."""
    stored = frame.format.name.removesuffix("p")
    if stored not in _FULL_SCALE:
        frame = av.AudioResampler(format="dblp", layout=frame.layout, rate=frame.sample_rate).resample(frame)[0]
        stored = "dbl"
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(frame.samples, -1).T
    if stored == "u8":
        return np.asarray((values.astype(np.float32) - 128) / 128, np.float32)
    if stored in ("s16", "s32"):
        return np.asarray(values.astype(np.float32) / np.float32(_FULL_SCALE[stored]), np.float32)
    return np.ascontiguousarray(values, dtype=np.float32)


def scale_of(samples: NDArray[np.float32], whole: bool) -> tuple[float, str]:
    """Return the factor that scales samples to full scale 1, and a note for the user (empty for factor 1).

    Args:
        samples: samples of all channels, as converted by :func:`channels_of`.
        whole: whether they were stored as integers.

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
    peak = float(np.quantile(sizes, 1 - _OUTLIER_SHARE))
    if peak > MAX_FLOAT_PEAK:
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
    """Return the number of bits of signed integers that reach a peak; ``None`` beyond 32.

    Example:
        >>> bits_of(20000.0), bits_of(1e12)
        (16, None)
    """
    return next((bits for bits in (8, 16, 24, 32) if peak <= 2.0 ** (bits - 1)), None)


def signs_of(products: NDArray[np.float64]) -> tuple[int, ...]:
    """Return the sign of each channel: -1 for channels of inverted polarity, which would cancel the loudest one.

    Args:
        products: ``[C, C]`` sums of the products of each pair of channels.

    Returns:
        1 or -1 per channel; empty if no channel is inverted.

    Example:
        >>> signs_of(np.array([[1.0, -0.9], [-0.9, 1.0]])), signs_of(np.array([[1.0, -0.1], [-0.1, 1.0]]))
        ((1, -1), ())
    """
    energy = np.diagonal(products)
    loudest = int(energy.argmax())
    scale = np.sqrt(energy * energy[loudest])
    alike = np.divide(products[loudest], scale, out=np.zeros(len(energy)), where=scale > 0)
    turned = alike < _MIRROR_CORRELATION
    return tuple(np.where(turned, -1, 1).tolist()) if turned.any() else ()


def mix_of(products: NDArray[np.float64], places: Sequence[str], factor: float = 1.0, scaled: str = "") -> Mix:
    """Return the mix of a track, which keeps the level of a voice on any of its channels.

    It is the mean of the channels that are not silent, weighted by place. If the centre is not silent, the sound of the
    centre keeps its level instead. Silent channels have their weight in the sum, too, since the analysed excerpts may
    miss their sound.

    Args:
        products: ``[C, C]`` sums of the products of each pair of channels.
        places: FFmpeg's name of the place of each channel; channels of unknown places have equal weights.
        factor: factor applied to all samples.
        scaled: note on this factor, or an empty string.

    Example:
        >>> mix_of(np.diag([1.0, 0.0]), ["FL", "FR"]).weights, mix_of(np.diag([1.0, 0.5]), ["FL", "FR"]).weights
        ((1.0, 1.0), ())
        >>> [round(weight, 2) for weight in mix_of(np.diag([1.0, 1.0, 1.0]), ["FL", "FR", "FC"]).weights]
        [0.71, 0.71, 1.0]
    """
    weights = np.array([_WEIGHTS.get(place, _OTHER_WEIGHT) for place in places])
    effects = (weights == 0) & _audible(products)
    products = products * np.outer(weights > 0, weights > 0)
    if not products.any():
        return Mix(factor, notes=_without_empty(scaled))
    audible = _audible(products)
    signs = np.array(signs_of(products) or [1] * len(weights))
    centre = places.index(_CENTRE) if _CENTRE in places else None
    if centre is not None and audible[centre]:
        shared = signs * signs[centre] * products[centre] / products[centre, centre]
        level = weights @ np.clip(shared, 0.0, 1.0)
    else:
        level = weights[audible].sum()
    mixed = signs * weights / level
    mirrored = _note(signs < 0, "mirrors the others; it was turned over, so as not to cancel them")
    silent = _note(~audible & (weights > 0), "is silent; it does not count in the mix, so as not to lower the others")
    left_out = _note(effects, "has low-frequency effects only; it was left out")
    given = () if np.allclose(mixed, 1 / len(mixed)) else tuple(mixed.tolist())
    return Mix(factor, given, _without_empty(scaled, mirrored), _without_empty(silent, left_out))


def _audible(products: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which channels are not silent."""
    energy = np.diagonal(products)
    return np.asarray((energy > 0) & (energy >= _SILENCE * energy.max()))


def _note(marked: NDArray[np.bool_], what: str) -> str:
    """Return a note on the marked channels; empty if there are none."""
    return f"channel {', '.join(map(str, np.flatnonzero(marked)))}, counted from 0, {what}" if marked.any() else ""


def _without_empty(*notes: str) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


def _scaled(samples: Floats, factor: float) -> Floats:
    if factor != 1.0:
        samples = samples * np.float32(factor)
    if np.isfinite(samples).all():
        return np.array(samples, np.float32)
    return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
