"""Which columns the precomputed features of a modality have, over all clips: one kind, or several that cannot go
through one encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiemo.data.features.reading import feature_columns
from multiemo.data.manifest.reading import media_path
from multiemo.errors import ManifestError, MediaError
from multiemo.types import Clip, Modality


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """Clips whose features have the same columns.

    Args:
        columns: their names; numbers where the file names none.
        clips: how many.
        example: id of the first.
    """

    columns: tuple[str, ...]
    clips: int
    example: str

    def __str__(self) -> str:
        named = not all(name.isdecimal() for name in self.columns)
        names = f" ({', '.join(self.columns[:2])}{', ...' if len(self.columns) > 2 else ''})" if named else ""
        return f"{len(self.columns)} columns{names} in {self.clips} clips such as {self.example!r}"


def kinds_of(found: Iterable[tuple[str, tuple[str, ...]]]) -> list[ColumnKind]:
    """The kinds among (clip id, columns of its features), those of most clips first.

    Example:
        >>> print(*kinds_of([("a", ("0", "1")), ("b", ("0",)), ("c", ("0", "1"))]), sep="; ")
        2 columns in 2 clips such as 'a'; 1 columns in 1 clips such as 'b'
    """
    counts: Counter[tuple[str, ...]] = Counter()
    first: dict[tuple[str, ...], str] = {}
    for name, columns in found:
        counts[columns] += 1
        first.setdefault(columns, name)
    return [ColumnKind(columns, count, first[columns]) for columns, count in counts.most_common()]


def agreed_columns(clips: Sequence[Clip], folder: Path, modality: Modality, *, skip_bad: bool) -> tuple[str, ...]:
    """The columns that an encoder of a manifest's features takes.

    Args:
        clips: of the manifest; those without features of the modality, or whose file cannot be read, do not count.
        folder: the manifest's.
        skip_bad: clips whose features have other columns than most may be left out later.

    Raises:
        ManifestError: no clip has such features; or the clips differ in their columns, and leaving some out was not
            allowed, is not decided by a majority, or would not find those that only differ in the columns' names.
    """
    referred = [(clip, ref) for clip in clips if (ref := clip.features.get(modality)) is not None]
    if not referred:
        raise ManifestError(f"no row has features.{modality}, which encoder 'features' reads")
    found: list[tuple[str, tuple[str, ...]]] = []
    trouble: MediaError | None = None
    for clip, ref in referred:
        try:
            found.append((clip.id, feature_columns(media_path(ref.path, folder), ref.key)))
        except MediaError as error:
            trouble = trouble or MediaError(f"clip {clip.id!r}: {error}")
    if not found and trouble is not None:
        raise trouble
    most, *others = kinds_of(found)
    said = f"features.{modality} differ in their columns: {'; '.join(map(str, (most, *others)))}"
    if any(len(other.columns) == len(most.columns) for other in others):
        raise ManifestError(f"{said}; columns of one number but other names or order are not told apart: extract again")
    if others and not skip_bad:
        raise ManifestError(
            f"{said}; extract all alike, or set data.skip_bad=true to leave out those that differ from most"
        )
    if others and others[0].clips == most.clips:
        raise ManifestError(f"{said}; no kind is that of most, so data.skip_bad cannot choose: extract all alike")
    return most.columns
