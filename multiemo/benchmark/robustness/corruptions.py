"""The corruptions of clips, by name, that robustness curves measure.

A corruption maps the raw form that an input takes of one clip
(:class:`~multiemo.benchmark.robustness.corrupt_speech.Sound`,
:class:`~multiemo.benchmark.robustness.corrupt_face.Film` or
:class:`~multiemo.benchmark.robustness.corrupt_text.Wording`) to a corrupted form. Its randomness depends only on seed,
clip and corruption, and not on the order of the clips, the process or the severity. A curve therefore shows the same
disturbance growing, and not a new one at each point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.random import Generator

from multiemo.benchmark.robustness import corrupt_face, corrupt_speech, corrupt_text
from multiemo.benchmark.robustness.corrupt_face import Film
from multiemo.benchmark.robustness.corrupt_speech import Sound
from multiemo.benchmark.robustness.corrupt_text import Wording
from multiemo.errors import ConfigError
from multiemo.inputs.base import Input, of_type
from multiemo.registry import suggest
from multiemo.types import MODALITIES, Modality

Raw = TypeVar("Raw")
#: What a corruption needs besides the modality; see :class:`Corruption`.
Needs: TypeAlias = Literal["", "voices", "words", "film"]

_SNR = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0)
_RATES = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Change(Generic[Raw]):
    """The function of a corruption.

    Args:
        takes: type of the raw form.
        function: maps (raw form of a clip, severity, source of randomness) to the corrupted form.
    """

    takes: type[Raw]
    function: Callable[[Raw, float, Generator], Raw]

    def __call__(self, given: object, severity: float, draw: Generator) -> Raw:
        """Corrupt a clip.

        Args:
            given: raw form of the clip, of the type ``takes``.
            severity: severity in the unit of the corruption.
            draw: source of randomness.
        """
        return self.function(of_type(given, self.takes), severity, draw)

    def fits(self, entry: Input) -> bool:
        """Whether the input is made from the form that the corruption changes."""
        return issubclass(self.takes, entry.raw)


@dataclass(frozen=True, slots=True)
class Corruption:
    """A corruption of clips with its severities.

    Args:
        name: name in tables, files and on the command line.
        modality: the modality that it changes; ``None`` for all modalities.
        unit: unit of a severity, as the label of an axis.
        severities: the severities, from mild to severe.
        function: corrupts a clip; ``None`` if the modality is removed from a share of the clips.
        needs: what is needed besides the modality: ``voices`` of other people or ``words`` of the train part, or
            ``film``, which is more than a still picture.
    """

    name: str
    modality: Modality | None
    unit: str
    severities: tuple[float, ...]
    function: Change[Sound] | Change[Film] | Change[Wording] | None
    needs: Needs = ""


def _table() -> dict[str, Corruption]:
    missing = [Corruption(f"missing_{m}", m, "share of clips", _RATES, None) for m in MODALITIES]
    listed = [
        Corruption("white_noise", "speech", "SNR, dB", _SNR, Change(Sound, corrupt_speech.white_noise)),
        Corruption("babble", "speech", "SNR, dB", _SNR, Change(Sound, corrupt_speech.babble), "voices"),
        Corruption("clipping", "speech", "headroom, dB", (12.0, 6.0, 3.0, 0.0, -6.0, -12.0),
                   Change(Sound, corrupt_speech.clipping)),
        Corruption("telephone", "speech", "packets lost", (0.0, 0.05, 0.1, 0.2, 0.4),
                   Change(Sound, corrupt_speech.telephone)),
        Corruption("occlusion", "face", "share of the face", (0.1, 0.2, 0.35, 0.5, 0.7),
                   Change(Film, corrupt_face.occlusion)),
        Corruption("blur", "face", "sigma / face side", (0.01, 0.02, 0.04, 0.08, 0.16),
                   Change(Film, corrupt_face.blur)),
        Corruption("low_light", "face", "stops", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
                   Change(Film, corrupt_face.low_light)),
        Corruption("low_resolution", "face", "face side, px", (64.0, 48.0, 32.0, 24.0, 16.0, 8.0),
                   Change(Film, corrupt_face.low_resolution)),
        Corruption("dropped_frames", "face", "share of frames", (0.2, 0.4, 0.6, 0.8, 0.9),
                   Change(Film, corrupt_face.dropped_frames), "film"),
        Corruption("asr_errors", "text", "word error rate", (0.05, 0.1, 0.2, 0.3, 0.5),
                   Change(Wording, corrupt_text.asr_errors), "words"),
        Corruption("typos", "text", "share of letters", (0.02, 0.05, 0.1, 0.2, 0.3),
                   Change(Wording, corrupt_text.typos)),
        *missing,
        Corruption("missing_any", None, "share of clips", _RATES, None),
    ]  # fmt: skip
    return {corruption.name: corruption for corruption in listed}


#: {name: corruption}.
CORRUPTIONS: dict[str, Corruption] = _table()


def choose(names: Sequence[str | Corruption] | None = None) -> list[Corruption]:
    """Look up corruptions by name; all by default. Corruptions of your own can be listed among the names.

    Raises:
        ConfigError: there is no corruption of that name.

    Example:
        >>> [c.unit for c in choose(["babble", "typos"])]
        ['SNR, dB', 'share of letters']
    """
    chosen = []
    for name in CORRUPTIONS if names is None else names:
        if isinstance(name, str) and name not in CORRUPTIONS:
            raise ConfigError(f"corruptions: unknown corruption {name!r}{suggest(name, list(CORRUPTIONS))}")
        chosen.append(CORRUPTIONS[name] if isinstance(name, str) else name)
    return chosen


def randomness(seed: int, clip: str, name: str) -> Generator:
    """The source of randomness of one clip under one corruption.

    Args:
        seed: seed of the whole curve.
        clip: id of the clip.
        name: name of the corruption.
    """
    digest = hashlib.blake2b(f"{seed}\0{name}\0{clip}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
