"""Corpus folder -> manifest: run an adapter, make its paths reachable from the manifest's folder, write the rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import multiemo.data.corpora  # noqa: F401  (announces the adapters)
from multiemo.data.corpora.locate import located
from multiemo.data.corpora.source import NotTheCorpus, noting
from multiemo.data.manifest.reading import judge, write_manifest
from multiemo.data.manifest.rows import MEDIA_KEYS
from multiemo.errors import ManifestError
from multiemo.registry import corpora
from multiemo.types import Clip

#: A folder with this file was written by ``prepare`` and may be written again.
_MARK = ".multiemo-media"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a corpus that did not become a clip.

    Args:
        what: file or row.
        reason: why.
    """

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """What :func:`prepare` made.

    Args:
        clips: the rows as written.
        skipped: what was left out, and why.
        root: the corpus folder that was read, which may lie near the one that was named.
        labels: {(as the corpus writes it, what it became or ``None``): how many}, where labels are words of its makers.
        notes: what a user should know of how the corpus was read, where nothing is left out.
    """

    clips: list[Clip]
    skipped: list[Skipped]
    root: Path
    labels: Mapping[tuple[str, str | None], int]
    notes: list[str]


def prepare(corpus: str, root: Path, out: Path, options: Mapping[str, Any] = MappingProxyType({})) -> PreparedCorpus:
    """Write the manifest of a corpus.

    A manifest's paths stay inside its folder. Where ``root`` lies in that folder, its paths are used; otherwise a link
    ``<manifest's stem>.media`` to ``root`` is put beside the manifest. Media and features that have to be written out
    first (the pixels of FER2013's CSV) go into a real folder of that name, and a link to ``root`` then lies in it.
    Where ``root`` lies a little above or below the corpus, the corpus is found (:mod:`multiemo.data.corpora.locate`).

    Args:
        corpus: a registered adapter.
        root: the corpus folder (or, for some adapters, its one file).
        out: the manifest, ``.jsonl`` or ``.parquet``; its folder is made.
        options: of the adapter; checked for name and type (strings such as ``"true"`` are converted).

    Raises:
        ConfigError: unknown corpus or option.
        ManifestError: ``root`` is not the corpus, holds no usable clip, or the manifest cannot be written.
    """
    folder = out.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be made: {error.strerror or error}") from None
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
        problem = judge(clip, number, seen)
        if problem is None:
            clips.append(clip)
        else:
            broken.append(Skipped(f"clip {clip.id!r}", problem.message))
    if not clips:
        raise ManifestError(
            f"{corpus}: {root} gave no clip; first of {len(broken)} left out: {broken[0].what}: {broken[0].reason}"
        )
    write_manifest(clips, out)
    return replace(read, clips=clips, skipped=[*read.skipped, *broken])


def _placed(clips: list[Clip], home: Path, folder: Path, link: str) -> list[Clip]:
    """The clips with paths from the manifest's folder.

    Args:
        clips: with paths below ``home``, or absolute ones.
        folder: the manifest's.
        link: name of the link to ``home`` where that lies elsewhere; one to another folder gets a number after it.
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
    """The folders that hold some files: one for all that lie below one folder of a disk's top."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        groups.setdefault(file.parts[: min(2, len(file.parts) - 1)], []).append(str(file.parent))
    return sorted((Path(os.path.commonpath(folders)) for folders in groups.values()), key=lambda top: -len(top.parts))


def _read(corpus: str, root: Path, options: Mapping[str, Any], made: Callable[[], Path]) -> PreparedCorpus:
    """What an adapter makes of a folder.

    Raises:
        NotTheCorpus: it does not look like the corpus, or holds no usable clip.
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
        raise NotTheCorpus(f"{corpus}: {root} gave no clip{why}")
    return PreparedCorpus(found, skipped, root, labels, notes)


def _as_text(read: PreparedCorpus) -> PreparedCorpus:
    """Without the clips that have a file whose name is no UTF-8, which no manifest can hold.

    Raises:
        ManifestError: no other is left.
    """
    kept, skipped = [], list(read.skipped)
    for clip in read.clips:
        written = "\0".join(filter(None, (clip.id, clip.speaker, clip.group, clip.label_set, *clip_paths(clip))))
        if written.isascii() or written.encode(errors="replace").decode() == written:
            kept.append(clip)
        else:
            skipped.append(Skipped(repr(clip.id), "has a name that is not UTF-8; rename the file or folder"))
    if not kept:
        raise ManifestError(f"{read.root}: gave no clip; {skipped[-1].what}: {skipped[-1].reason}")
    return replace(read, clips=kept, skipped=skipped)


def _lies_in(read: PreparedCorpus, folder: Path) -> bool:
    """Whether a file of a corpus that was read lies in ``folder``."""
    inner, home = folder.resolve(), read.root.resolve()
    return any((home / path).is_relative_to(inner) for clip in read.clips for path in clip_paths(clip))


def clip_paths(clip: Clip) -> list[str]:
    """Every path of a clip: media, then features."""
    media = [path for key in MEDIA_KEYS if (path := getattr(clip, key)) is not None]
    return media + [ref.path for ref in clip.features.values()]


def with_paths(clip: Clip, place: Callable[[str], str]) -> Clip:
    """The clip with every path replaced by ``place(path)``."""
    media: dict[str, Any] = {key: place(path) for key in MEDIA_KEYS if (path := getattr(clip, key)) is not None}
    features = {modality: replace(ref, path=place(ref.path)) for modality, ref in clip.features.items()}
    return replace(clip, features=features, **media)


def join(prefix: str, path: str) -> str:
    """``path`` below ``prefix``, which may be empty.

    Example:
        >>> join("meld.media", "a.mp4"), join("", "a.mp4")
        ('meld.media/a.mp4', 'a.mp4')
    """
    return f"{prefix}/{path}" if prefix else path


def reach(target: Path, folder: Path, *, link: str) -> str:
    """How ``target`` is called from ``folder``: its relative path when inside, else that of a link made for it.

    Args:
        target: an existing folder.
        folder: the manifest's folder.
        link: name of the link; an older link of that name is replaced, a real file or folder never.

    Returns:
        A prefix in POSIX form; empty when the two are one folder.

    Raises:
        ManifestError: the name is taken, or the platform makes no links.
    """
    lexical = (Path(os.path.abspath(target)), Path(os.path.abspath(folder)))
    for inner, outer in (lexical, (target.resolve(), folder.resolve())):
        if inner.is_relative_to(outer):
            return "" if inner == outer else inner.relative_to(outer).as_posix()
    place = folder / link
    advice = "put the manifest at or above the corpus folder"
    if place.exists() and not place.is_symlink():
        raise ManifestError(
            f"{place} is a real file or folder, so no link to {target} is put there; move it, or {advice}"
        )
    try:
        place.unlink(missing_ok=True)
        place.symlink_to(target.resolve(), target_is_directory=True)
    except OSError as error:
        raise ManifestError(f"{place}: cannot link to {target} ({error.strerror or error}); {advice}") from None
    return link


def _writable(place: Path) -> Path:
    """The folder ``place``, made for media that an adapter writes; absolute.

    Raises:
        ManifestError: something that ``prepare`` did not make has that name.
    """
    try:
        if place.is_symlink():
            place.unlink()
        elif place.exists() and not (place / _MARK).is_file():
            raise ManifestError(f"{place} is there already and was not made by prepare; move it or rename the manifest")
        place.mkdir(exist_ok=True)
        (place / _MARK).touch()
    except OSError as error:
        raise ManifestError(f"{place}: cannot be made: {error.strerror or error}") from None
    return place.absolute()
