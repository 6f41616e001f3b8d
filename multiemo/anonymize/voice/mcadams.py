"""Anonymise a voice without training by the McAdams coefficient.

Patino, Tomashenko, Todisco, Nautsch & Evans (2021), "Speaker anonymisation using the McAdams coefficient", Interspeech.
Each frame of 20 ms is split by linear prediction into an all-pole filter (the vocal tract) and a residual (the source).
The angle of every complex pole, in radians at 16 kHz, is raised to the power of the coefficient, which moves the
formants: a frequency f becomes f0 (f / f0)^alpha with f0 = 8000 / pi = 2546 Hz. The residual passes through the new
filter, and the frames are overlapped and added. Pitch and timing stay.

It differs from the published code in four points:

- Linear prediction is the autocorrelation method, whose poles lie inside the unit circle. Burg's method, which is used
  there, guarantees that only up to rounding. The radius of a pole is bounded here as well.
- Each frame keeps its energy. A moved filter has another gain, which would change the loudness of every sound.
- The power law is in hertz, so that the result does not depend on the sample rate. Above 16 kHz the sound is processed
  at 16 kHz, and frequencies above 8 kHz, which would pass unchanged, are removed.
- All frames are processed together, as arrays.
"""

from __future__ import annotations

import math

import numpy as np

from multiemo.arrays import Array, Floats

#: Length of a frame and distance between frames, seconds.
FRAME, HOP = 0.02, 0.01
#: Sample rate at which the power law applies to angles, and highest rate at which frames are processed, Hz.
REFERENCE_RATE = 16000
#: Largest radius of a pole. A pole at 0.999 decays by 60 dB in 0.4 s at 16 kHz.
MAX_RADIUS = 0.999
#: Share of the energy that is added to lag 0 of the autocorrelation, -90 dB; it bounds the condition of the equations.
_WHITE_NOISE = 1e-9
#: Mean square below which a frame is silence, -120 dB of full scale.
_SILENCE = 1e-12
#: Imaginary part below which a pole counts as real.
_REAL = 1e-8
#: Frames that are processed together; bounds the memory.
_BATCH = 4096


def mcadams(samples: Floats, rate: int, alpha: float) -> Floats:
    """Move the formants of a voice by the McAdams coefficient.

    Args:
        samples: ``[N]`` float32 with full scale 1, at most :data:`REFERENCE_RATE` samples per second.
        rate: sample rate, Hz.
        alpha: exponent of the poles' angles; 1 changes nothing, below 1 moves low formants up.

    Returns:
        ``[N]`` float32. It may exceed full scale; see :func:`multiemo.anonymize.voice.level.limit`.
    """
    if not len(samples):
        return samples
    hop = round(rate * HOP)
    size = 2 * hop
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size))  # its square adds up to 1
    count = -(-len(samples) // hop) + 1
    padded = np.zeros((count + 1) * hop)
    padded[hop : hop + len(samples)] = samples
    made = np.zeros_like(padded)
    for first in range(0, count, _BATCH):
        numbers = np.arange(first, min(first + _BATCH, count))
        frames = padded[numbers[:, None] * hop + np.arange(size)] * window
        moved = move_formants(frames, rate, alpha) * window
        halves = moved.reshape(len(numbers), 2, hop)
        made[first * hop : (first + len(numbers)) * hop] += halves[:, 0].ravel()
        made[(first + 1) * hop : (first + 1 + len(numbers)) * hop] += halves[:, 1].ravel()
    return made[hop : hop + len(samples)].astype(np.float32)


def move_formants(frames: Array, rate: int, alpha: float) -> Array:
    """Move the poles of each frame's all-pole filter, and keep the frame's energy.

    Args:
        frames: ``[F, N]`` windowed frames. Frames of silence become zero.
        rate: sample rate, Hz.
        alpha: exponent of the poles' angles.
    """
    energy = np.square(frames).mean(1)
    sounding = energy > _SILENCE
    made = np.zeros_like(frames)
    if not sounding.any():
        return made
    heard = frames[sounding]
    old = predictors(heard, order_of(rate))
    poles = _poles(old)
    new = _polynomials(moved_poles(poles, rate, alpha))
    filtered = _all_pole(_residual(heard, old), new)
    gain = np.sqrt(energy[sounding] / np.maximum(np.square(filtered).mean(1), 1e-30))
    made[sounding] = filtered * gain[:, None]
    return made


def order_of(rate: int) -> int:
    """Order of linear prediction: a pair of poles for each kilohertz, and four more poles.

    Example:
        >>> order_of(16000), order_of(8000)
        (20, 12)
    """
    return 2 * (rate // 2000) + 4


def predictors(frames: Array, order: int) -> Array:
    """Coefficients of linear prediction by the autocorrelation method and the Levinson-Durbin recursion.

    Args:
        frames: ``[F, N]`` windowed frames.
        order: P, number of poles.

    Returns:
        ``[F, P + 1]``: 1, a_1, ..., a_P of A(z) = 1 + a_1 z^-1 + ...
    """
    size = 1 << (2 * frames.shape[1] - 1).bit_length()
    spectrum = np.fft.rfft(frames, size)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + _WHITE_NOISE) + 1e-30
    found = np.zeros((len(frames), order + 1))
    found[:, 0] = 1.0
    error = correlation[:, 0].copy()
    for k in range(1, order + 1):
        reflection = -(found[:, :k] * correlation[:, k:0:-1]).sum(1) / error
        found[:, 1 : k + 1] += reflection[:, None] * found[:, k - 1 :: -1][:, :k]
        error *= np.maximum(1 - reflection**2, _WHITE_NOISE)
    return found


def moved_poles(poles: Array, rate: int, alpha: float) -> Array:
    """Raise the angles of complex poles to a power and bound the radius of all.

    Args:
        poles: complex array of any shape.
        rate: sample rate, Hz.
        alpha: exponent of the angles, which are in radians at :data:`REFERENCE_RATE`.

    Example:
        >>> pole = np.array([0.9 * np.exp(0.25j), 0.9 * np.exp(-0.25j), -0.5])
        >>> np.angle(moved_poles(pole, 16000, 0.5)).round(6).tolist()
        [0.5, -0.5, 3.141593]
    """
    scale = rate / REFERENCE_RATE
    angle = np.angle(poles)
    moved = np.sign(angle) * np.minimum((np.abs(angle) * scale) ** alpha / scale, math.pi)
    angle = np.where(np.abs(np.imag(poles)) > _REAL, moved, angle)
    made: Array = np.minimum(np.abs(poles), MAX_RADIUS) * np.exp(1j * angle)
    return made


def _poles(predictor: Array) -> Array:
    """Roots ``[F, P]`` of polynomials ``[F, P + 1]``, as eigenvalues of their companion matrices."""
    count, order = len(predictor), predictor.shape[1] - 1
    companion = np.zeros((count, order, order))
    companion[:, 0] = -predictor[:, 1:]
    companion[:, np.arange(1, order), np.arange(order - 1)] = 1.0
    return np.asarray(np.linalg.eigvals(companion))


def _polynomials(roots: Array) -> Array:
    """Monic polynomials ``[F, P + 1]`` with the roots ``[F, P]``, which are real or pairs of conjugates."""
    made = np.zeros((len(roots), roots.shape[1] + 1), dtype=np.complex128)
    made[:, 0] = 1.0
    for k in range(roots.shape[1]):
        made[:, 1 : k + 2] -= roots[:, k, None] * made[:, : k + 1]
    return np.ascontiguousarray(made.real)


def _residual(frames: Array, predictor: Array) -> Array:
    """Filter each frame by its A(z), from rest."""
    made: Array = frames.copy()
    for k in range(1, predictor.shape[1]):
        made[:, k:] += predictor[:, k, None] * frames[:, :-k]
    return made


def _all_pole(residual: Array, predictor: Array) -> Array:
    """Filter each residual by 1 / A(z), from rest; the recursion runs over time for all frames together."""
    order = predictor.shape[1] - 1
    count, size = residual.shape
    made = np.zeros((size + order, count))
    source, taps = np.ascontiguousarray(residual.T), np.ascontiguousarray(predictor[:, :0:-1].T)
    for n in range(size):
        made[n + order] = source[n] - np.einsum("kf,kf->f", taps, made[n : n + order])
    filtered: Array = made[order:].T
    return filtered
