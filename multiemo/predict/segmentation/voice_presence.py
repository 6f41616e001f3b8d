"""Decides whether there is speech in a piece of sound, and if not, why."""

from __future__ import annotations

import numpy as np
import soxr

from multiemo.arrays import Floats
from multiemo.predict.segmentation.turns import ENTER
from multiemo.types import Absent
from multiemo.voice_activity import RATE, VoiceActivity

#: Peak (dB of full scale) below which a voice may go undetected, and the peak to which such sound is then amplified.
_QUIET_DB, _AMPLIFIED_DB = -45.0, -10.0
_NOBODY = "nobody speaks here"


def no_voice(sound: Floats, rate: int, *, pause: bool = False) -> Absent | None:
    """Why there is no speech in a piece of sound; ``None`` if there is some.

    Args:
        sound: ``[N]`` float32 mono.
        rate: sample rate, Hz.
        pause: whether voice activity detection has already found no voice in it.
    """
    if not pause and _has_voice(sound, rate):
        return None
    peak = float(np.abs(sound).max(initial=0.0))
    level = 20 * np.log10(max(peak, 1e-10))
    if peak == 0 or level > _QUIET_DB or not _has_voice(sound * np.float32(10 ** (_AMPLIFIED_DB / 20) / peak), rate):
        return Absent(_NOBODY)
    gain = _AMPLIFIED_DB - level
    return Absent(
        f"somebody speaks here, but too quietly: the sound peaks at {level:.0f} dB of full scale; amplify it by "
        f"{gain:.0f} dB"
    )


def _has_voice(sound: Floats, rate: int) -> bool:
    """Whether there is a voice at any moment."""
    detector = VoiceActivity()
    probabilities = np.concatenate([detector(at_voice_rate(sound, rate)), detector.flush()])
    return bool((probabilities >= ENTER).any())


def at_voice_rate(sound: Floats, rate: int) -> Floats:
    """Resample sound to 16 kHz, the rate of voice activity detection and speech recognition."""
    return sound if rate == RATE else np.asarray(soxr.resample(sound, rate, RATE), np.float32)
