"""Compare the columns of the precomputed features of a modality over all clips: one encoder needs the same columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiemo.arrays import Floats
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
        shown = f" ({', '.join(self.columns[:2])}{', ...' if len(self.columns) > 2 else ''})"
        names = shown if given_names(self.columns) else ""
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


def given_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns as they are; empty if they are numbers, which stand for the position in a file without names.

    Example:
        >>> given_names(("AU01_r", "AU02_r")), given_names(("0", "1"))
        (('AU01_r', 'AU02_r'), ())
    """
    return () if all(name.isdecimal() for name in columns) else columns


def in_order(values: Floats, found: tuple[str, ...], expected: tuple[str, ...], path: Path) -> Floats:
    """Arrange columns in the order in which an encoder reads them.

    Args:
        values: ``[T, dim]``.
        found: names of the columns of ``values``; empty if the file does not name them. They stay as they are.
        expected: names of the columns that the encoder reads; empty if it knows none.
        path: the file, for the message.

    Raises:
        MediaError: the names differ.
    """
    if not found or not expected or found == expected:
        return values
    lacking = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    if lacking or unknown:
        difference = [f"the file lacks {_listed(lacking)}"] if lacking else []
        difference += [f"the encoder does not know {_listed(unknown)}"] if unknown else []
        raise MediaError(
            f"{path}: the features have {len(found)} columns, but the encoder reads {len(expected)}: "
            f"{'; '.join(difference)}; extract the features as those of training"
        )
    return values[:, [found.index(name) for name in expected]]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


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
            f"{difference}; the number of columns is the same but names or order differ: extract all features in the "
            "same way"
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
