"""How faces, voices and words are protected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from multiemo.errors import ConfigError

FaceMethod: TypeAlias = Literal["pixelate", "blur", "box", "keep"]
VoiceMethod: TypeAlias = Literal["mcadams", "shift", "keep"]
WordMethod: TypeAlias = Literal["mask", "presidio", "keep"]
#: Range of the McAdams coefficient, and largest shift in semitones. Beyond them speech is no longer understood.
ALPHA_RANGE = (0.5, 1.5)
MAX_SEMITONES = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How everything that is written is protected.

    Args:
        faces: how faces are covered.
        detector: ``auto`` (the best one installed), ``centerface``, ``haar``, or the path of a YuNet ``.onnx`` file.
        voice: how voices are changed.
        mcadams: McAdams coefficient, 0.5..1.5; 1 changes nothing.
        semitones: shift of pitch and formants, -12..12.
        words: how names, numbers and addresses in transcripts are masked.

    Raises:
        ConfigError: a value is invalid.
    """

    faces: FaceMethod = "pixelate"
    detector: str = "auto"
    voice: VoiceMethod = "mcadams"
    mcadams: float = 0.8
    semitones: float = -3.0
    words: WordMethod = "mask"

    def __post_init__(self) -> None:
        for key, value, choices in (
            ("--faces", self.faces, get_args(FaceMethod)),
            ("--voice", self.voice, get_args(VoiceMethod)),
            ("--words", self.words, get_args(WordMethod)),
        ):
            if value not in choices:
                raise ConfigError(f"{key}: {value!r} is not known; choices: {', '.join(choices)}")
        low, high = ALPHA_RANGE
        if not low <= self.mcadams <= high:
            raise ConfigError(f"--mcadams: {self.mcadams:g} is outside {low:g} to {high:g}; 0.8 is the default")
        if not -MAX_SEMITONES <= self.semitones <= MAX_SEMITONES:
            raise ConfigError(f"--semitones: {self.semitones:g} is outside -{MAX_SEMITONES:g} to {MAX_SEMITONES:g}")
