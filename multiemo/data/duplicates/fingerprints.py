"""Fingerprints of the media of clips. Each distinct span is decoded once and its fingerprint stored in the cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.duplicates.pictures import FILM_FPS, FILM_SECONDS, FILM_SIDE, STILL_SIDE, small_greys
from multiemo.data.duplicates.sounds import SAMPLE_RATE, sound_words
from multiemo.data.manifest.reading import media_path
from multiemo.errors import MediaError
from multiemo.media.reading import Media, read_media
from multiemo.progress import Progress
from multiemo.types import Absent, Clip

#: Part of every cache key; increment it when a fingerprint changes.
FINGERPRINT_VERSION = 1
#: Longer side of decoded film frames before the final downscaling, in pixels.
_FILM_DECODE_SIDE = 64


@dataclass(slots=True)
class FingerprintSpan:
    """One span of one file, and all clips with byte-identical media.

    Args:
        file: media file of the first of these clips.
        start, end: its span, in seconds.
        clips: indices of the clips, ascending.
    """

    file: Path
    start: float | None
    end: float | None
    clips: list[int] = field(default_factory=list)


class FingerprintReader:
    """Finds the distinct spans of clips and computes their fingerprints. To be used as a context manager.

    Args:
        clips: rows of a manifest.
        folder: the manifest's folder.
        cache: folder of the tensor cache; with ``None`` fingerprints are deleted at the end of the ``with`` block.
        progress: updated with the number of spans read, of those known to be needed so far.
    """

    def __init__(self, clips: Sequence[Clip], folder: Path, cache: Path | None, progress: Progress | None) -> None:
        self.clips, self.folder, self.progress = clips, folder, progress
        self._temporary = tempfile.TemporaryDirectory(prefix="multiemo-") if cache is None else None
        self._store = TensorCache(Path(self._temporary.name) if self._temporary else Path(str(cache)))
        self._done = self._total = 0

    def __enter__(self) -> FingerprintReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def spans(self, path_of: Callable[[Clip], str | None], *, timed: bool = True) -> list[FingerprintSpan]:
        """Return the distinct spans of one medium, in the order of the clips.

        Args:
            path_of: returns the file with that medium of a clip, or ``None``.
            timed: whether ``start`` and ``end`` of the clip apply to the file.

        Raises:
            MediaError: a file is missing; the message names the clip.
        """
        spans: dict[tuple[str, float, float | None], FingerprintSpan] = {}
        for index, clip in enumerate(self.clips):
            path = path_of(clip)
            if path is not None:
                file = media_path(path, self.folder)
                start, end = (clip.start, clip.end) if timed else (None, None)
                with _errors_naming(clip):
                    key = self._store.content_digest(file), start or 0.0, end
                spans.setdefault(key, FingerprintSpan(file, start, end)).clips.append(index)
        return list(spans.values())

    def sounds(self, spans: Sequence[FingerprintSpan]) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        """Return the spans with audio and their fingerprints (:func:`multiemo.data.duplicates.sounds.sound_words`).

        Raises:
            MediaError: a file cannot be read; the message names the clip.
        """
        return self._read(spans, "sound", _sound)

    def stills(self, spans: Sequence[FingerprintSpan]) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        """Return the spans with a picture and these pictures as ``[side, side]`` grey values; see :meth:`sounds`."""
        found, greys = self._read(spans, "still", _still)
        return found, [grey[0] for grey in greys]

    def films(self, spans: Sequence[FingerprintSpan]) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        """Return the spans with frames and these frames as ``[F, side, side]`` grey values; see :meth:`sounds`."""
        return self._read(spans, "film", _film)

    def _read(
        self, spans: Sequence[FingerprintSpan], kind: str, make: Callable[[FingerprintSpan], Tensor | Absent]
    ) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        found: list[FingerprintSpan] = []
        prints: list[NDArray[Any]] = []
        self._total += len(spans)
        for span in spans:
            with _errors_naming(self.clips[span.clips[0]]):
                key = self._store.key(
                    span.file, span.start, span.end, {"duplicates": kind, "version": FINGERPRINT_VERSION}
                )
                known = self._store.get(key)
                if known is None:
                    known = make(span)
                    self._store.put(key, known)
            if not isinstance(known, Absent):
                found.append(span)
                prints.append(known.numpy())
            self._done += 1
            if self.progress is not None:
                self.progress.update(self._done, self._total)
        return found, prints


@contextmanager
def _errors_naming(clip: Clip) -> Iterator[None]:
    """Add the id of the clip to media errors."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"clip {clip.id!r}: {error}; correct or remove the row") from None


def _sound(span: FingerprintSpan) -> Tensor | Absent:
    media = read_media(span.file, start=span.start, end=span.end, rate=SAMPLE_RATE)
    if media.audio is None:
        return Absent(media.absent.get("audio", "no audio"))
    return torch.from_numpy(sound_words(media.audio))


def _still(span: FingerprintSpan) -> Tensor | Absent:
    return _small(read_media(span.file, fps=1.0, max_frames=1), STILL_SIDE)


def _film(span: FingerprintSpan) -> Tensor | Absent:
    last = (span.start or 0.0) + FILM_SECONDS
    end = last if span.end is None else min(span.end, last)
    media = read_media(span.file, start=span.start, end=end, fps=FILM_FPS, max_side=_FILM_DECODE_SIDE)
    return _small(media, FILM_SIDE)


def _small(media: Media, side: int) -> Tensor | Absent:
    if media.frames is None:
        return Absent(media.absent.get("video", "no pictures"))
    return torch.from_numpy(small_greys(media.frames, side))
