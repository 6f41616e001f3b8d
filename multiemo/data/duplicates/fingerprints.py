"""Fingerprints of the media of clips: each different span is decoded once, and kept in the tensor cache."""

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
from multiemo.data.duplicates.sounds import RATE, sound_words
from multiemo.data.manifest.reading import media_path
from multiemo.errors import MediaError
from multiemo.media.reading import Media, read_media
from multiemo.progress import Progress
from multiemo.types import Absent, Clip

#: Part of every cache key; raise it when a fingerprint changes.
FINGERPRINT_VERSION = 1
#: Longer side of the frames of a film before they are made small, pixels.
_FILM_READ = 64


@dataclass(slots=True)
class FingerprintSpan:
    """One span of one file, and every clip that has it byte for byte.

    Args:
        file, start, end: as the first of the clips has them.
        clips: their indices, ascending.
    """

    file: Path
    start: float | None
    end: float | None
    clips: list[int] = field(default_factory=list)


class FingerprintReader:
    """Finds the spans of clips and makes their fingerprints.

    Args:
        clips: rows of a manifest.
        folder: the manifest's folder.
        cache: folder of the tensor cache; ``None`` keeps fingerprints no longer than the ``with`` block.
        progress: told the spans read, of those known to be needed.
    """

    def __init__(self, clips: Sequence[Clip], folder: Path, cache: Path | None, progress: Progress | None) -> None:
        self.clips, self.folder, self.progress = clips, folder, progress
        self._temporary = tempfile.TemporaryDirectory(prefix="multiemo-") if cache is None else None
        self._store = TensorCache(Path(self._temporary.name) if self._temporary else Path(str(cache)))
        self._done = self._all = 0

    def __enter__(self) -> FingerprintReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def spans(self, path_of: Callable[[Clip], str | None], *, timed: bool = True) -> list[FingerprintSpan]:
        """The different spans that the clips have of one medium, in the order of the clips.

        Args:
            path_of: the file that holds a clip's medium.
            timed: whether ``start`` and ``end`` say which part of the file it is.

        Raises:
            MediaError: a file is missing; names the clip.
        """
        spans: dict[tuple[str, float, float | None], FingerprintSpan] = {}
        for index, clip in enumerate(self.clips):
            path = path_of(clip)
            if path is not None:
                file = media_path(path, self.folder)
                start, end = (clip.start, clip.end) if timed else (None, None)
                with _naming(clip):
                    key = self._store.content_digest(file), start or 0.0, end
                spans.setdefault(key, FingerprintSpan(file, start, end)).clips.append(index)
        return list(spans.values())

    def sounds(self, spans: Sequence[FingerprintSpan]) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        """The spans that have sound, and its words (:func:`multiemo.data.duplicates.sounds.sound_words`).

        Raises:
            MediaError: a file cannot be read; names the clip.
        """
        return self._read(spans, "sound", _sound)

    def stills(self, spans: Sequence[FingerprintSpan]) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        """The spans that have a picture, and it as ``[side, side]`` greys; raises as :meth:`sounds`."""
        there, greys = self._read(spans, "still", _still)
        return there, [grey[0] for grey in greys]

    def films(self, spans: Sequence[FingerprintSpan]) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        """The spans that have frames, and these as ``[F, side, side]`` greys; raises as :meth:`sounds`."""
        return self._read(spans, "film", _film)

    def _read(
        self, spans: Sequence[FingerprintSpan], kind: str, make: Callable[[FingerprintSpan], Tensor | Absent]
    ) -> tuple[list[FingerprintSpan], list[NDArray[Any]]]:
        there: list[FingerprintSpan] = []
        prints: list[NDArray[Any]] = []
        self._all += len(spans)
        for span in spans:
            with _naming(self.clips[span.clips[0]]):
                key = self._store.key(
                    span.file, span.start, span.end, {"duplicates": kind, "version": FINGERPRINT_VERSION}
                )
                known = self._store.get(key)
                if known is None:
                    known = make(span)
                    self._store.put(key, known)
            if not isinstance(known, Absent):
                there.append(span)
                prints.append(known.numpy())
            self._done += 1
            if self.progress is not None:
                self.progress.update(self._done, self._all)
        return there, prints


@contextmanager
def _naming(clip: Clip) -> Iterator[None]:
    """Media errors name the clip."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"clip {clip.id!r}: {error}; mend or remove the row") from None


def _sound(span: FingerprintSpan) -> Tensor | Absent:
    media = read_media(span.file, start=span.start, end=span.end, rate=RATE)
    if media.audio is None:
        return Absent(media.absent.get("audio", "no audio"))
    return torch.from_numpy(sound_words(media.audio))


def _still(span: FingerprintSpan) -> Tensor | Absent:
    return _small(read_media(span.file, fps=1.0, max_frames=1), STILL_SIDE)


def _film(span: FingerprintSpan) -> Tensor | Absent:
    last = (span.start or 0.0) + FILM_SECONDS
    end = last if span.end is None else min(span.end, last)
    media = read_media(span.file, start=span.start, end=end, fps=FILM_FPS, max_side=_FILM_READ)
    return _small(media, FILM_SIDE)


def _small(media: Media, side: int) -> Tensor | Absent:
    if media.frames is None:
        return Absent(media.absent.get("video", "no pictures"))
    return torch.from_numpy(small_greys(media.frames, side))
