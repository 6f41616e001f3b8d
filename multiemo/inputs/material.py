"""What inputs are made from: a manifest row, the decoded media, and the raw forms extracted from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multiemo.arrays import Floats, Pixels
from multiemo.media.reading import Media
from multiemo.types import Clip, ContextTurn


@dataclass(frozen=True, slots=True)
class Request:
    """What to decode from a media file.

    Args:
        sample_rate: sample rate of the sound, Hz; ``None`` leaves the sound out.
        fps: pictures per second; ``None`` leaves the pictures out.
        max_frames: upper limit on pictures. If ``fps`` would give more, this many are spread evenly over the span.
    """

    sample_rate: int | None = None
    fps: float | None = None
    max_frames: int | None = None

    def joined(self, other: Request) -> Request | None:
        """One request that serves both, or ``None`` if they need different forms of the same track.

        Example:
            >>> Request(sample_rate=16000).joined(Request(fps=4.0, max_frames=8))
            Request(sample_rate=16000, fps=4.0, max_frames=8)
            >>> Request(sample_rate=16000).joined(Request(sample_rate=8000)) is None
            True
        """
        if None not in (self.sample_rate, other.sample_rate) and self.sample_rate != other.sample_rate:
            return None
        if None not in (self.fps, other.fps) and (self.fps, self.max_frames) != (other.fps, other.max_frames):
            return None
        pictures = self if self.fps is not None else other
        return Request(self.sample_rate or other.sample_rate, pictures.fps, pictures.max_frames)

    def served_by(self, media: Media) -> bool:
        """Whether the media holds everything that was requested."""
        return (self.sample_rate is None or media.audio is not None) and (self.fps is None or media.frames is not None)


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A manifest row with its context.

    Args:
        clip: the row.
        folder: folder to which its paths are relative.
        earlier: preceding turns of its dialogue, oldest first.
    """

    clip: Clip
    folder: Path
    earlier: Sequence[ContextTurn] = ()


# --------------------------------------------------------------------------------------------------------------------
# Raw forms: what an input extracts from a clip and converts to a tensor. Corruptions modify these.


@dataclass(frozen=True, slots=True)
class Utterance:
    """The words of one clip.

    Args:
        text: the unprocessed utterance.
        earlier: preceding turns of its dialogue, oldest first.
        language: code of its language, if known.
    """

    text: str
    earlier: Sequence[ContextTurn] = ()
    language: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Audio:
    """The sound of one clip.

    Args:
        samples: ``[N]`` mono float32 within -1..1.
        rate: sample rate, Hz.
    """

    samples: Floats
    rate: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of one clip.

    Args:
        frames: ``[F, H, W, 3]`` uint8 RGB.
        times: ``[F]`` seconds from the start of the span.
        cropped: the pictures are face crops, so no face is searched for.
        still: there is one photograph instead of a film.
    """

    frames: Pixels
    times: NDArray[np.float64]
    cropped: bool = field(default=False, kw_only=True)
    still: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Precomputed features of one clip.

    Args:
        values: ``[T, dim]`` float32.
        columns: names of the columns; empty if the file does not name them.
    """

    values: NDArray[np.float32]
    columns: tuple[str, ...] = ()


# --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClipMaterial:
    """Everything known about one clip before an input extracts its raw form.

    Args:
        text: words of the clip; ``None`` if it has none.
        earlier: preceding turns of its dialogue, oldest first.
        audio: sound of the clip; ``None`` if it has none or it was not decoded.
        pictures: pictures of the clip; ``None`` if it has none or they were not decoded.
        row: manifest row of the clip; ``None`` for files, streams and texts.
        missing: {``text``, ``audio`` or ``video``: why it is ``None``}.
    """

    text: str | None = None
    earlier: Sequence[ContextTurn] = ()
    audio: Audio | None = None
    pictures: Pictures | None = None
    row: ManifestRow | None = None
    missing: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def why_not(self, what: str) -> str:
        """Why ``text``, ``audio`` or ``video`` is missing."""
        plain = {"text": "no transcript was given", "audio": "the file has no audio track"}
        return self.missing.get(what) or plain.get(what, "the file has no video track")


def material_of(
    media: Media,
    *,
    text: str | None = None,
    row: ManifestRow | None = None,
    cropped: bool = False,
    missing: Mapping[str, str] | None = None,
) -> ClipMaterial:
    """Wrap decoded media in the form that inputs read.

    Args:
        media: a decoded span.
        text: words of the span.
        row: manifest row of the span, if it has one.
        cropped: whether the pictures are face crops already.
        missing: {``text``, ``audio`` or ``video``: why it is missing}, used where ``media`` gives no reason.
    """
    audio = pictures = None
    if media.audio is not None and media.rate is not None:
        audio = Audio(media.audio, media.rate)
    if media.frames is not None:
        pictures = Pictures(media.frames, media.times, cropped=cropped, still=media.duration == 0)
    earlier = () if row is None else row.earlier
    return ClipMaterial(text, earlier, audio, pictures, row, {**(missing or {}), **media.absent})


@dataclass(frozen=True, slots=True)
class FacePositions:
    """Where in the pictures the input was found.

    Args:
        times: ``[F]`` seconds from the start of the span.
        boxes: ``[F, 4]`` x0, y0, x1, y1 in pixels of the frames.
    """

    times: NDArray[np.float64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PreparedInput:
    """What a model reads of one modality of one clip.

    Args:
        tensor: ``[T, ...]`` as the encoder's InputSpec describes it.
        notes: remarks for the user, one line each.
        positions: where the input was found, for pictures.
    """

    tensor: Tensor
    notes: Sequence[str] = ()
    positions: FacePositions | None = None
