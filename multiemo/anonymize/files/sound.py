"""Read the sound of a file, protect its voices, and encode it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.arrays import Floats
from multiemo.files import draft
from multiemo.media.container import media_error
from multiemo.media.reading import iter_media, probe

#: Lets FFmpeg write nothing about itself, the time or the machine.
NO_METADATA = {"fflags": "+bitexact"}
#: {ending: (FFmpeg container, codec)} of sounds.
SOUND_FORMATS = {".flac": ("flac", "flac"), ".wav": ("wav", "pcm_s16le")}
#: Sample rates of AAC, Hz.
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LAYOUTS = {1: "mono", 2: "stereo"}
#: Length of the windows in which sound is decoded, seconds, and samples that are encoded at a time.
_WINDOW, _BLOCK = 10.0, 1 << 14


@dataclass(slots=True)
class ProtectedSound:
    """The sound of a file, decoded and protected piece by piece.

    Args:
        file: the file.
        voice: how voices are protected.
        rate: sample rate, Hz.
        channels: 1 or 2; a file with more is mixed to one.
        notes: what was left out or could not be read, filled while the sound is read.
        samples: number of samples per channel read so far.
    """

    file: Path
    voice: VoiceProtection
    rate: int
    channels: int
    notes: list[str] = field(default_factory=list)
    samples: int = 0

    @classmethod
    def of(cls, file: Path, voice: VoiceProtection, *, for_aac: bool = False) -> ProtectedSound | None:
        """Open the sound of a file; ``None`` if it has none.

        Args:
            file: a media file.
            voice: how voices are protected.
            for_aac: whether the rate must be one of AAC.

        Raises:
            MediaError: the file cannot be read.
        """
        info = probe(file)
        if not (info.has_audio and info.rate and info.channels):
            return None
        rate = info.rate if not for_aac or info.rate in _AAC_RATES else 48000
        made = cls(file, voice, rate, info.channels if info.channels in _LAYOUTS else 1)
        if info.channels not in _LAYOUTS:
            made.notes.append(f"its {info.channels} channels of sound were mixed to one")
        return made

    @property
    def seconds(self) -> float:
        """Duration of the sound read so far."""
        return self.samples / self.rate

    def __iter__(self) -> Iterator[Floats]:
        """Yield the protected sound as ``[C, N]`` float32 pieces."""
        streams = [self.voice.stream(self._channel(number), self.rate) for number in range(self.channels)]
        for pieces in zip(*streams, strict=True):
            self.samples += len(pieces[0])
            yield np.stack(pieces)

    def _channel(self, number: int) -> Iterator[Floats]:
        """Yield the original samples of one channel."""
        alone = None if self.channels == 1 else number
        heard = 0
        for window in iter_media(self.file, window=_WINDOW, rate=self.rate, channel=alone):
            if number == 0:
                self.notes += window.problems
            missing = round(window.offset * self.rate) - heard
            if window.audio is not None:
                samples = np.concatenate([np.zeros(max(0, missing), np.float32), window.audio])
                heard += len(samples)
                yield samples


def add_sound(container: Any, codec: str, sound: ProtectedSound) -> Any:
    """Add a stream for a sound to a container that is being written.

    Args:
        container: PyAV container.
        codec: FFmpeg's name of the encoder.
        sound: the sound.
    """
    stream = container.add_stream(codec, rate=sound.rate, layout=_LAYOUTS[sound.channels])
    if codec == "aac":
        stream.bit_rate = 96_000 * sound.channels
    elif codec == "flac":
        stream.codec_context.format = "s16"
    return stream


def sound_packets(stream: Any, sound: ProtectedSound) -> Iterator[Any]:
    """Yield the encoded packets of a sound."""
    whole = stream.codec_context.format.name == "s16"
    position = 0
    for piece in sound:
        for start in range(0, piece.shape[1], _BLOCK):
            part = np.ascontiguousarray(piece[:, start : start + _BLOCK])
            if whole:
                part = np.clip(np.rint(part.T * 32768.0), -32768, 32767).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="s16" if whole else "fltp", layout=_LAYOUTS[sound.channels])
            frame.sample_rate, frame.pts, frame.time_base = sound.rate, position, Fraction(1, sound.rate)
            position += frame.samples
            yield from stream.encode(frame)
    yield from stream.encode(None)


def write_sound(source: Path, out: Path, voice: VoiceProtection) -> ProtectedSound:
    """Write the protected sound of a file as FLAC or WAV of 16 bits.

    Args:
        source: a file with sound.
        out: ``.flac`` or ``.wav``.
        voice: how voices are protected.

    Returns:
        The sound, with its notes and its length.

    Raises:
        MediaError: the source cannot be read, or the file cannot be written.
    """
    sound = ProtectedSound.of(source, voice)
    if sound is None:
        raise media_error("", source, "has no sound that can be decoded; name another file")
    form, codec = SOUND_FORMATS[out.suffix.lower()]
    with draft(out) as made, av.open(str(made), "w", format=form, options=NO_METADATA) as container:
        stream = add_sound(container, codec, sound)
        for packet in sound_packets(stream, sound):
            container.mux(packet)
    return sound
