"""Prepare a corpus: run its adapter, make its paths relative to the manifest's folder, and write the manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import multiemo.data.corpora  # noqa: F401  (registers the adapters)
from multiemo.data.corpora.locate import located
from multiemo.data.corpora.source import NotTheCorpus, noting
from multiemo.data.manifest.reading import check_clip, write_manifest
from multiemo.data.manifest.rows import MEDIA_KEYS
from multiemo.errors import ManifestError
from multiemo.registry import corpora
from multiemo.types import Clip

#: Marks a folder that was written by ``prepare`` and may be overwritten.
_MARK = ".multiemo-media"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a corpus that was left out.

    Args:
        what: file or row.
        reason: why it was left out.
    """

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """The result of :func:`prepare`.

    Args:
        clips: the rows as written.
        skipped: what was left out, and why.
        root: the corpus folder that was read; it may be a little below or above the given one.
        labels: {(label in the corpus, mapped label or ``None``): number of clips}, for corpora with free labels.
        notes: notes for the user about how the corpus was read, where nothing was left out.
    """

    clips: list[Clip]
    skipped: list[Skipped]
    root: Path
    labels: Mapping[tuple[str, str | None], int]
    notes: list[str]


def prepare(corpus: str, root: Path, out: Path, options: Mapping[str, Any] = MappingProxyType({})) -> PreparedCorpus:
    """Write the manifest of a corpus.

    All paths of a manifest stay inside its folder. If ``root`` is inside that folder, relative paths are used;
    otherwise a link ``<manifest's stem>.media`` to ``root`` is created beside the manifest. Media and features that
    have to be extracted first (the pixels of FER2013's CSV) are written to a real folder of that name, which then
    contains the link to ``root``. If ``root`` is a little above or below the corpus, the corpus is located
    (:mod:`multiemo.data.corpora.locate`).

    Args:
        corpus: name of a registered adapter.
        root: the corpus folder (or, for some adapters, its single file).
        out: the manifest, ``.jsonl`` or ``.parquet``; its folder is created.
        options: options of the adapter; names and types are checked (strings such as ``"true"`` are converted).

    Returns:
        The clips as written, and what was left out.

    Raises:
        ConfigError: the corpus or an option is unknown.
        ManifestError: ``root`` is not the corpus or has no usable clip, or the manifest cannot be written.
    """
    folder = make_folder_of(out)
    written = folder / f"{out.stem}.media"
    link = written.name

    def made() -> Path:
        nonlocal link
        link = f"{written.name}/corpus"
        return _writable(written)

    above = corpora.facts(corpus).get("above", True)
    read = _as_text(located(root, lambda place: _read(corpus, place, options, made), _lies_in, above=above))
    root, found = read.root, read.clips
    placed = _placed(found, root if root.is_dir() else root.parent, folder, link)
    clips, broken = [], []
    seen: dict[str, int] = {}
    for number, clip in enumerate(placed, start=1):
        problem = check_clip(clip, number, seen)
        if problem is None:
            clips.append(clip)
        else:
            broken.append(Skipped(f"clip {clip.id!r}", problem.message))
    if not clips:
        raise ManifestError(
            f"{corpus}: {root} has no usable clip; first of {len(broken)} left out: {broken[0].what}: "
            f"{broken[0].reason}"
        )
    write_manifest(clips, out)
    return replace(read, clips=clips, skipped=[*read.skipped, *broken])


def make_folder_of(manifest: Path) -> Path:
    """Create the folder of a manifest, unless it exists, and return it.

    Raises:
        ManifestError: it cannot be created.
    """
    folder = manifest.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be created: {error.strerror or error}") from None
    return folder


def _placed(clips: list[Clip], home: Path, folder: Path, link: str) -> list[Clip]:
    """Return the clips with paths relative to the manifest's folder.

    Args:
        clips: clips with paths relative to ``home``, or absolute.
        home: the corpus folder.
        folder: the manifest's folder.
        link: name of the link to ``home`` if that is elsewhere; links to other folders get a number appended.
    """
    here = Path(os.path.abspath(folder))
    paths = dict.fromkeys(path for clip in clips for path in clip_paths(clip))
    prefix = reach(home, folder, link=link) if any(not os.path.isabs(path) for path in paths) else None
    outside = [Path(path) for path in paths if os.path.isabs(path) and not Path(path).is_relative_to(here)]
    prefixes: dict[Path, str] = {}
    for top in _tops(outside):
        count = len(prefixes) + (prefix is not None) + 1
        prefixes[top] = reach(top, folder, link=link if count == 1 else f"{link}-{count}")

    def place(path: str) -> str:
        new = Path(path)
        if not new.is_absolute():
            return join(prefix or "", path)
        if new.is_relative_to(here):
            return new.relative_to(here).as_posix()
        top = next(top for top in prefixes if new.is_relative_to(top))
        return join(prefixes[top], new.relative_to(top).as_posix())

    return [with_paths(clip, place) for clip in clips]


def _tops(files: list[Path]) -> list[Path]:
    """Return folders that contain the given files: their common folder for each top-level folder of a disk."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        groups.setdefault(file.parts[: min(2, len(file.parts) - 1)], []).append(str(file.parent))
    return sorted((Path(os.path.commonpath(folders)) for folders in groups.values()), key=lambda top: -len(top.parts))


def _read(corpus: str, root: Path, options: Mapping[str, Any], made: Callable[[], Path]) -> PreparedCorpus:
    """Run an adapter on a folder.

    Raises:
        NotTheCorpus: the folder does not look like the corpus, or has no usable clip.
    """
    skipped: list[Skipped] = []
    labels: Counter[tuple[str, str | None]] = Counter()

    def became(word: str, label: str | None) -> None:
        labels[word, label] += 1

    def skip(what: str, reason: str) -> None:
        skipped.append(Skipped(what, reason))

    given = {"root": root, "skip": skip, "made": made, "became": became}
    with noting() as notes:
        found: list[Clip] = list(corpora.build(corpus, options, where="prepare", **given))
    if not found:
        why = f"; first of {len(skipped)} left out: {skipped[0].what}: {skipped[0].reason}" if skipped else ""
        raise NotTheCorpus(f"{corpus}: {root} has no usable clip{why}")
    return PreparedCorpus(found, skipped, root, labels, notes)


def _as_text(read: PreparedCorpus) -> PreparedCorpus:
    """Leave out the clips with a name that is not valid UTF-8, which a manifest cannot contain.

    Raises:
        ManifestError: no clip is left.
    """
    kept, skipped = [], list(read.skipped)
    for clip in read.clips:
        written = "\0".join(filter(None, (clip.id, clip.speaker, clip.group, clip.label_set, *clip_paths(clip))))
        if written.isascii() or written.encode(errors="replace").decode() == written:
            kept.append(clip)
        else:
            skipped.append(Skipped(repr(clip.id), "has a name that is not UTF-8; rename the file or folder"))
    if not kept:
        raise ManifestError(f"{read.root}: has no usable clip; {skipped[-1].what}: {skipped[-1].reason}")
    return replace(read, clips=kept, skipped=skipped)


def _lies_in(read: PreparedCorpus, folder: Path) -> bool:
    """Return whether a file of the corpus is inside ``folder``."""
    inner, home = folder.resolve(), read.root.resolve()
    return any((home / path).is_relative_to(inner) for clip in read.clips for path in clip_paths(clip))


def clip_paths(clip: Clip) -> list[str]:
    """Return all paths of a clip: media, then features."""
    media = [path for key in MEDIA_KEYS if (path := getattr(clip, key)) is not None]
    return media + [ref.path for ref in clip.features.values()]


def with_paths(clip: Clip, place: Callable[[str], str]) -> Clip:
    """Return the clip with every path replaced by ``place(path)``."""
    media: dict[str, Any] = {key: place(path) for key in MEDIA_KEYS if (path := getattr(clip, key)) is not None}
    features = {modality: replace(ref, path=place(ref.path)) for modality, ref in clip.features.items()}
    return replace(clip, features=features, **media)


def join(prefix: str, path: str) -> str:
    """Join a prefix, which may be empty, and a relative path.

    Example:
        >>> join("meld.media", "a.mp4"), join("", "a.mp4")
        ('meld.media/a.mp4', 'a.mp4')
    """
    return f"{prefix}/{path}" if prefix else path


def reach(target: Path, folder: Path, *, link: str) -> str:
    """Return the relative path from ``folder`` to ``target``; if ``target`` is outside, create a link to it.

    Args:
        target: an existing folder.
        folder: the manifest's folder.
        link: name of the link; an existing link of that name is replaced, a real file or folder never.

    Returns:
        A prefix in POSIX form; empty if both are the same folder.

    Raises:
        ManifestError: the name is taken, or the platform does not support links.
    """
    lexical = (Path(os.path.abspath(target)), Path(os.path.abspath(folder)))
    for inner, outer in (lexical, (target.resolve(), folder.resolve())):
        if inner.is_relative_to(outer):
            return "" if inner == outer else inner.relative_to(outer).as_posix()
    place = folder / link
    advice = "put the manifest at or above the corpus folder"
    if place.exists() and not place.is_symlink():
        raise ManifestError(
            f"{place} is a real file or folder, so a link to {target} cannot be created there; move it, or {advice}"
        )
    try:
        place.unlink(missing_ok=True)
        place.symlink_to(target.resolve(), target_is_directory=True)
    except OSError as error:
        raise ManifestError(f"{place}: cannot link to {target} ({error.strerror or error}); {advice}") from None
    return link


def _writable(place: Path) -> Path:
    """Create the folder ``place`` for media that an adapter writes; return its absolute path.

    Raises:
        ManifestError: a file or folder of that name exists that was not created by ``prepare``.
    """
    try:
        if place.is_symlink():
            place.unlink()
        elif place.exists() and not (place / _MARK).is_file():
            raise ManifestError(
                f"{place} exists and was not created by prepare; move it, or give the manifest another name"
            )
        place.mkdir(exist_ok=True)
        (place / _MARK).touch()
    except OSError as error:
        raise ManifestError(f"{place}: cannot be created: {error.strerror or error}") from None
    return place.absolute()
