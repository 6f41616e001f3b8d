"""Descriptors of one clip for classic classifiers: vectors of fixed length, computed without training.

:func:`acoustic_functionals` is a set like eGeMAPS (Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417), computed from
the prosody track and mel bands of this package: voice measures over voiced frames, loudness and spectrum over all
frames, timing of voiced segments, and MFCCs with their differences. :func:`hog` follows Dalal & Triggs 2005.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.errors import ConfigError
from multiemo.inputs.face import DESCRIBED_SIDE
from multiemo.types import PROSODY_CHANNELS

AnyFloats = NDArray[np.floating[Any]]

#: Mel cepstral coefficients, each also with its first and second difference.
COEFFICIENTS = 20
#: Channels of the prosody track that are defined in voiced frames only, and those that are defined in all frames.
VOICED = ("f0", "harmonicity", "jitter", "shimmer", "delta_f0", "h1_h2")
ALWAYS = ("energy", "tilt", "rate", "flux")
#: Functionals of a channel over time; range is from the 20th to the 80th percentile, slope the change per second.
FUNCTIONALS = ("mean", "deviation", "p20", "p50", "p80", "range", "slope")
#: Timing: share of voiced frames, voiced segments per second, and durations of voiced and unvoiced segments, seconds.
TIMING = (
    "voiced_share", "stretches", "voiced_mean", "voiced_deviation", "unvoiced_mean", "unvoiced_deviation",
)  # fmt: skip
#: The columns of :func:`acoustic_functionals`, in order.
ACOUSTIC_NAMES: tuple[str, ...] = (
    *(f"{channel}_{name}" for channel in (*VOICED, *ALWAYS) for name in FUNCTIONALS),
    *TIMING,
    *(
        f"{kind}{i}_{name}"
        for name in ("mean", "deviation")
        for kind in ("mfcc", "d", "dd")
        for i in range(COEFFICIENTS)
    ),
)
#: Side of the crops for :func:`hog`, pixels.
HOG_SIDE = DESCRIBED_SIDE


def acoustic_functionals(track: NDArray[np.float32], *, hop: float = 0.01) -> NDArray[np.float32]:
    """Statistics of the voice over a clip.

    Args:
        track: ``[T, M + P]``: log-mel bands (natural logarithm of power), then the prosody channels, as
            :class:`multiemo.preprocess.voice.tensors.SpeechPreprocessor` gives them.
        hop: seconds between rows.

    Returns:
        ``[K]`` with the columns :data:`ACOUSTIC_NAMES`; NaN for what is undefined, such as the pitch of a whisper.
    """
    first = track.shape[1] - len(PROSODY_CHANNELS)
    channel = {name: track[:, first + i].astype(float) for i, name in enumerate(PROSODY_CHANNELS)}
    times = np.arange(len(track)) * hop
    voiced = channel["voicing"] > 0.5
    columns = [functionals(channel[name][voiced], times[voiced]) for name in VOICED]
    columns += [functionals(channel[name], times) for name in ALWAYS]
    columns += [_timing(voiced, hop), _cepstrum(track[:, :first])]
    return np.concatenate(columns).astype(np.float32)


def functionals(values: AnyFloats, times: AnyFloats) -> AnyFloats:
    """Functionals of one channel, ``[len(FUNCTIONALS)]``; NaN for fewer than two values.

    Args:
        values: ``[T]``.
        times: ``[T]`` increasing times, seconds.

    Example:
        >>> functionals(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.5, 1.0])).round(2)
        array([2.  , 0.82, 1.4 , 2.  , 2.6 , 1.2 , 2.  ])
    """
    if len(values) < 2:
        return np.full(len(FUNCTIONALS), np.nan)
    low, middle, high = np.percentile(values, (20, 50, 80))
    centred = times - times.mean()
    slope = centred @ values / (centred @ centred)
    return np.array([values.mean(), values.std(), low, middle, high, high - low, slope])


def _timing(voiced: NDArray[np.bool_], hop: float) -> AnyFloats:
    """Timing functionals, ``[len(TIMING)]``; the mean duration is 0 if there is no such segment."""

    def lengths(frames: NDArray[np.bool_]) -> AnyFloats:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], frames.astype(int), [0]])))
        return (edges[1::2] - edges[::2]) * hop

    spoken, silent = lengths(voiced), lengths(~voiced)
    moments = [f(x) if len(x) else 0.0 for x in (spoken, silent) for f in (np.mean, np.std)]
    return np.array([voiced.mean(), len(spoken) / (len(voiced) * hop), *moments])


def _cepstrum(mel: NDArray[np.float32]) -> AnyFloats:
    """Means, then deviations, of the MFCCs and their differences over nine frames, ``[6 * COEFFICIENTS]``."""
    from librosa.feature import delta, mfcc

    base = mfcc(S=10 / np.log(10) * mel.T, n_mfcc=COEFFICIENTS)
    # "nearest" repeats the end frames, so that clips of a few frames have differences, too.
    track = np.concatenate([base, *(delta(base, order=order, mode="nearest") for order in (1, 2))])
    return np.concatenate([track.mean(axis=1), track.std(axis=1)]).astype(float)


def hog(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of oriented gradients of a face, averaged over the frames (Dalal & Triggs 2005).

    Crops are converted to grey; cells have 8x8 pixels, blocks 2x2 cells, histograms 9 unsigned orientations.

    Args:
        crops: ``[F, 3, HOG_SIDE, HOG_SIDE]`` uint8 RGB.

    Returns:
        ``[900]``.

    Raises:
        ConfigError: this OpenCV has no HOG.
    """
    import cv2

    frames = np.ascontiguousarray(crops.transpose(0, 2, 3, 1))
    grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)
    pictures = np.stack([hog_descriptor().compute(picture).ravel() for picture in grey])
    return np.asarray(pictures.mean(axis=0, dtype=np.float64), dtype=np.float32)


@lru_cache(maxsize=1)
def hog_descriptor() -> Any:
    """OpenCV's HOG descriptor for crops of :data:`HOG_SIDE`.

    Raises:
        ConfigError: this OpenCV has no HOG.
    """
    import cv2

    if not hasattr(cv2, "HOGDescriptor"):
        raise ConfigError(
            f"the classic baseline of the face is HOG, which OpenCV {cv2.__version__} does not have; install OpenCV "
            "below version 5, or set benchmark.baselines=false"
        )
    return cv2.HOGDescriptor((HOG_SIDE, HOG_SIDE), (16, 16), (8, 8), (8, 8), 9)


def feature_statistics(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over time, then deviations, of features ``[T, D]``: ``[2 D]``."""
    return np.concatenate([values.mean(axis=0), values.std(axis=0)]).astype(np.float32)


#: {kind of input: its descriptor}; every other kind has :func:`feature_statistics`.
DESCRIPTORS: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {"speech": acoustic_functionals, "face": hog}
