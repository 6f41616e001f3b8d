"""Find the clip that another system means: by its id, or by the name or path of its media file."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

from multiemo.errors import CheckpointError, ManifestError
from multiemo.types import Clip

#: Components of a path in lower case, the last first.
_Parts: TypeAlias = tuple[str, ...]


class ClipNames:
    """Finds clips by what other systems call them.

    Args:
        ids: ids of the test clips.
        rows: reads the rows of the run's manifest; called for the first name that is not an id.

    Attributes:
        problem: why the manifest could not be read, so that only ids are known; empty if it could.
    """

    def __init__(self, ids: Collection[str], rows: Callable[[], Iterable[Clip]]) -> None:
        self._ids, self._rows = frozenset(ids), rows
        self.problem = ""
        self._known: set[str] | None = None
        self._by_file: dict[str, list[tuple[_Parts, str]]] = {}

    def find(self, name: str) -> list[str]:
        """Ids of the clips that a name may mean; more than one if it is ambiguous, none if it is unknown.

        An id precedes a path. Of several media files with the name, those are meant whose path agrees in most
        components; a name without, or with another, extension means the files of that stem.

        Args:
            name: id of a clip, or name or path of its media file as any system writes it.
        """
        if name in self._ids:
            return [name]
        self._read()
        assert self._known is not None
        if name in self._known:
            return [name]
        parts = _parts(name)
        stem = _stem(parts)
        agreeing: dict[str, int] = {}
        for key, given in ((parts[0], parts), (stem[0], stem)) if parts else ():
            for other, clip in self._by_file.get(key, ()):
                agreeing[clip] = max(agreeing.get(clip, 0), _agreement(given, other))
            if agreeing:
                break
        best = max(agreeing.values(), default=0)
        return sorted(clip for clip, count in agreeing.items() if count == best)

    def is_tested(self, clip: str) -> bool:
        """Whether a clip is in the test part."""
        return clip in self._ids

    def _read(self) -> None:
        if self._known is not None:
            return
        self._known = set()
        try:
            rows = list(self._rows())
        except (CheckpointError, ManifestError) as error:
            rows, self.problem = [], str(error)
        for clip in rows:
            self._known.add(clip.id)
        for clip_id, path in [*((c.id, path) for c in rows for path in _files(c)), *((i, i) for i in self._ids)]:
            parts = _parts(path)
            for key, found in {parts[0]: parts, _stem(parts)[0]: _stem(parts)}.items():
                self._by_file.setdefault(key, []).append((found, clip_id))


def _files(clip: Clip) -> Iterator[str]:
    yield from (path for path in (clip.video, clip.audio, clip.image) if path)


def _parts(name: str) -> _Parts:
    plain = unicodedata.normalize("NFC", name.strip().replace("\\", "/")).casefold()
    return tuple(part for part in reversed(plain.split("/")) if part not in ("", "."))


def _stem(parts: _Parts) -> _Parts:
    return (PurePosixPath(parts[0]).stem, *parts[1:]) if parts else parts


def _agreement(first: _Parts, second: _Parts) -> int:
    """Number of equal components from the end of two paths."""
    pairs = zip(first, second, strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
