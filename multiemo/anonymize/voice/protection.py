"""The protection of one channel of sound of any length, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from multiemo.anonymize.settings import VoiceMethod
from multiemo.anonymize.voice.level import keep_level, limit
from multiemo.anonymize.voice.mcadams import REFERENCE_RATE, mcadams
from multiemo.arrays import Floats

#: Seconds of sound that are processed at a time, and seconds before and after them that are processed with them. Both
#: are whole, so that frames lie at the same places whatever the rate.
PIECE, MARGIN = 30, 1
#: Seconds over which consecutive pieces are cross-faded.
_FADE = 0.05


@dataclass(frozen=True, slots=True)
class VoiceProtection:
    """How voices are protected.

    Args:
        method: ``mcadams``, ``shift`` or ``keep``.
        alpha: McAdams coefficient.
        semitones: shift of pitch and formants.
    """

    method: VoiceMethod = "mcadams"
    alpha: float = 0.8
    semitones: float = -3.0

    def protect(self, samples: Floats, rate: int) -> Floats:
        """Protect a whole sound: same length, level and silences, without clipping.

        Args:
            samples: ``[N]`` float32 with full scale 1.
            rate: sample rate, Hz.
        """
        if self.method == "keep" or not len(samples):
            return samples
        if self.method == "shift":
            from multiemo.anonymize.voice.shift import shift  # imports torch

            made = shift(samples, rate, self.semitones)
        elif rate <= REFERENCE_RATE:
            made = mcadams(samples, rate, self.alpha)
        else:
            lower = _resampled(samples, rate, REFERENCE_RATE)
            made = _resampled(mcadams(lower, REFERENCE_RATE, self.alpha), REFERENCE_RATE, rate)
            made = np.pad(made[: len(samples)], (0, max(0, len(samples) - len(made))))
        return limit(keep_level(samples, made, rate), rate)

    def stream(self, sounds: Iterable[Floats], rate: int) -> Iterator[Floats]:
        """Protect a sound that arrives in pieces, and yield it in pieces of :data:`PIECE` seconds.

        Args:
            sounds: pieces of any length, each following the previous one.
            rate: sample rate, Hz.
        """
        piece, margin, fade = PIECE * rate, MARGIN * rate, round(_FADE * rate)
        before = np.zeros(0, np.float32)  # original sound before the next piece
        waiting = np.zeros(0, np.float32)
        tail = np.zeros(0, np.float32)  # protected continuation of the last piece
        for sound in _with_end(sounds):
            waiting = waiting if sound is None else np.concatenate([waiting, sound])
            while len(waiting) >= piece + margin or (sound is None and len(waiting)):
                made = self.protect(np.concatenate([before, waiting[: piece + margin]]), rate)[len(before) :]
                last = sound is None and len(waiting) <= piece + margin
                count = len(made) if last else piece
                yield _crossfaded(tail, made[:count], fade)
                tail = made[count:]
                before = np.concatenate([before, waiting[:count]])[-margin:]
                waiting = waiting[count:]


def _resampled(samples: Floats, rate: int, new_rate: int) -> Floats:
    import soxr  # transcripts do not need it

    return np.asarray(soxr.resample(samples, rate, new_rate), np.float32)


def _with_end(sounds: Iterable[Floats]) -> Iterator[Floats | None]:
    yield from sounds
    yield None


def _crossfaded(tail: Floats, sound: Floats, fade: int) -> Floats:
    """Begin a piece with the continuation of the previous one, and fade over to it."""
    count = min(len(tail), len(sound), fade)
    if not count:
        return sound
    share = np.linspace(0, 1, count, dtype=np.float32)
    return np.concatenate([tail[:count] * (1 - share) + sound[:count] * share, sound[count:]])
