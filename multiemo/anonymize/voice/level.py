"""The loudness of an anonymised voice: that of the original at each moment, and never above full scale."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from multiemo.arrays import Array, Floats

#: Length of a frame and distance between frames in which levels are compared, seconds.
FRAME, HOP = 0.02, 0.01
#: Largest gain, and mean square below which a frame is silence (-120 dB of full scale).
_MAX_GAIN, _SILENCE = 4.0, 1e-12
#: Highest absolute value of a sample, and half the length of the window over which a peak is turned down, seconds.
PEAK, _LIMITER = 0.999, 0.005


def keep_level(original: Floats, made: Floats, rate: int) -> Floats:
    """Give a voice the level that the original has at each moment. Where the original is silent, the result is zero.

    Args:
        original: ``[N]`` float32.
        made: ``[N]`` the processed voice.
        rate: sample rate, Hz.
    """
    if not len(made):
        return made
    hop = round(rate * HOP)
    window = np.hanning(2 * hop + 1)[:-1]  # overlapping windows add up to 1
    before, after = (_energies(x, window, hop) for x in (original, made))
    gain = np.minimum(np.sqrt(before / np.maximum(after, _SILENCE)), _MAX_GAIN) * (before > _SILENCE)
    contour = np.zeros((len(gain) + 1) * hop)
    contour[:-hop] += (gain[:, None] * window[:hop]).ravel()
    contour[hop:] += (gain[:, None] * window[hop:]).ravel()
    return np.asarray(made * contour[hop : hop + len(made)], np.float32)


def limit(samples: Floats, rate: int) -> Floats:
    """Turn peaks above full scale down, smoothly, so that nothing is clipped. Other samples stay as they are.

    Args:
        samples: ``[N]`` float32.
        rate: sample rate, Hz.
    """
    if not len(samples) or np.abs(samples).max() <= PEAK:
        return samples
    half = max(1, round(rate * _LIMITER))
    needed = PEAK / np.maximum(np.abs(samples), PEAK)
    lowest = _around(needed, half, 1.0).min(-1)
    smooth = _around(lowest, half, 1.0).mean(-1)  # at most `needed`, since all of its values are
    return np.asarray(samples * smooth, np.float32)


def _around(values: Array, half: int, edge: float) -> Array:
    """The values around each value, ``[N, 2 half + 1]``."""
    return sliding_window_view(np.pad(values, half, constant_values=edge), 2 * half + 1)


def _energies(samples: Floats, window: Array, hop: int) -> Array:
    """Weighted mean square of each frame; the first begins one hop before the samples."""
    count = -(-len(samples) // hop) + 1
    padded = np.zeros((count + 1) * hop)
    padded[hop : hop + len(samples)] = np.square(samples, dtype=np.float64)
    halves = padded.reshape(count + 1, hop)
    return np.asarray((halves[:-1] @ window[:hop] + halves[1:] @ window[hop:]) / window.sum())
