"""Whether anybody speaks in a piece of sound, and if not, why it seems so."""

from __future__ import annotations

import numpy as np
import soxr

from multiemo.arrays import Floats
from multiemo.predict.segmentation.turns import ENTER
from multiemo.types import Absent
from multiemo.voice_activity import RATE, VoiceActivity

#: Peak (dB of full scale) under which a voice may be there and not be heard, and that to which it is then raised.
_QUIET, _RAISED = -45.0, -10.0
_NOBODY = "nobody speaks here"


def no_voice(sound: Floats, rate: int, *, pause: bool = False) -> Absent | None:
    """Why there is no voice to read; ``None`` when there is one.

    Args:
        sound: ``[N]`` float32 mono.
        rate: Hz.
        pause: it is known already that nobody is heard.
    """
    if not pause and _speaks(sound, rate):
        return None
    peak = float(np.abs(sound).max(initial=0.0))
    level = 20 * np.log10(max(peak, 1e-10))
    if peak == 0 or level > _QUIET or not _speaks(sound * np.float32(10 ** (_RAISED / 20) / peak), rate):
        return Absent(_NOBODY)
    louder = _RAISED - level
    return Absent(
        f"somebody speaks here, but too quietly: the loudest moment lies at {level:.0f} dB of full scale; make the "
        f"sound {louder:.0f} dB louder"
    )


def _speaks(sound: Floats, rate: int) -> bool:
    """Whether there is a voice at any moment."""
    voice = VoiceActivity()
    heard = np.concatenate([voice(at_voice_rate(sound, rate)), voice.flush()])
    return bool((heard >= ENTER).any())


def at_voice_rate(sound: Floats, rate: int) -> Floats:
    """A piece of sound at the rate that the voice network and recognisers read."""
    return sound if rate == RATE else np.asarray(soxr.resample(sound, rate, RATE), np.float32)
