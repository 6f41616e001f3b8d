"""Shift the pitch and the formants of a voice by the same factor.

The sound is resampled, which multiplies all frequencies, and stretched back to its length by a phase vocoder (Flanagan
& Golden 1966; Laroche & Dolson 1999). Timing stays. The same factor for every speaker can be undone by whoever knows or
guesses it; the McAdams coefficient is the stronger choice (docs/privacy.md).
"""

from __future__ import annotations

import math

import numpy as np
import soxr
import torch
import torchaudio.functional

from multiemo.arrays import Floats

#: Length of a frame of the phase vocoder, seconds; its size is the next power of two.
_FRAME = 0.04


def shift(samples: Floats, rate: int, semitones: float) -> Floats:
    """Shift a voice up or down.

    Args:
        samples: ``[N]`` float32 with full scale 1.
        rate: sample rate, Hz.
        semitones: positive is up; 12 doubles all frequencies.

    Returns:
        ``[N]`` float32.
    """
    if not len(samples) or not semitones:
        return samples
    factor = 2.0 ** (semitones / 12)
    size = 1 << math.ceil(math.log2(rate * _FRAME))
    hop = size // 4
    squeezed = np.asarray(soxr.resample(samples, rate * factor, rate), np.float32)
    sound = torch.from_numpy(np.pad(squeezed, (0, max(0, size - len(squeezed)))))
    window = torch.hann_window(size)
    spectrum = torch.stft(sound, size, hop, window=window, return_complex=True, pad_mode="constant")
    advance = torch.linspace(0, math.pi * hop, size // 2 + 1)[:, None]
    stretched = torchaudio.functional.phase_vocoder(spectrum, len(squeezed) / len(samples), advance)
    made = torch.istft(stretched, size, hop, window=window).numpy()
    return np.pad(made[: len(samples)], (0, max(0, len(samples) - len(made))))
