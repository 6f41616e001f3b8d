"""Compare the columns of the precomputed features of a modality over all clips: one encoder needs the same columns."""

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
    """A group of clips whose features have the same columns.

    Args:
        columns: names of the columns; numbers if the files do not name them.
        clips: number of clips.
        example: id of the first clip.
    """

    columns: tuple[str, ...]
    clips: int
    example: str

    def __str__(self) -> str:
        named = not all(name.isdecimal() for name in self.columns)
        names = f" ({', '.join(self.columns[:2])}{', ...' if len(self.columns) > 2 else ''})" if named else ""
        return f"{len(self.columns)} columns{names} in {self.clips} clips such as {self.example!r}"


def kinds_of(found: Iterable[tuple[str, tuple[str, ...]]]) -> list[ColumnKind]:
    """Group (clip id, columns of its features) by columns, the kinds with most clips first.

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
    """Return the feature columns that an encoder of a modality reads.

    Args:
        clips: clips of the manifest; those without features of the modality, or with an unreadable file, are ignored.
        folder: the manifest's folder.
        modality: the modality of the features.
        skip_bad: whether clips whose columns differ from those of most clips may be left out later.

    Returns:
        The names of the columns of most clips.

    Raises:
        ManifestError: no clip has such features; or the columns differ, and ``skip_bad`` is false, there is no
            majority, or only the names of the columns differ, so that the deviating clips cannot be detected later.
        MediaError: no feature file can be read.
    """
    referred = [(clip, ref) for clip in clips if (ref := clip.features.get(modality)) is not None]
    if not referred:
        raise ManifestError(f"no row has features.{modality}, which the encoder 'features' reads")
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
    difference = f"features.{modality} differ in their columns: {'; '.join(map(str, (most, *others)))}"
    if any(len(other.columns) == len(most.columns) for other in others):
        raise ManifestError(
            f"{difference}; the number of columns is the same but names or order differ, which cannot be detected per "
            "clip: extract all features in the same way"
        )
    if others and not skip_bad:
        raise ManifestError(
            f"{difference}; extract all features in the same way, or set data.skip_bad=true to leave out the clips "
            "that differ from most"
        )
    if others and others[0].clips == most.clips:
        raise ManifestError(
            f"{difference}; there is no majority, so data.skip_bad cannot choose: extract all features in the same way"
        )
    return most.columns
