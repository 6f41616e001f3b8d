"""Merge several manifests into one, for training on several corpora and for evaluation across corpora."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.data.prepare import clip_paths, join, reach, with_paths
from multiemo.errors import ManifestError
from multiemo.types import Clip


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of :func:`merge`.

    Args:
        clips: the rows as written.
        shared: an id that occurred in two corpora, so that every id was prefixed with its corpus; ``None`` if the ids
            are unchanged.
    """

    clips: list[Clip]
    shared: str | None


def merge(manifests: Sequence[Path], out: Path) -> Merged:
    """Write the rows of several manifests, in order, as one manifest.

    Ids are unchanged unless two corpora share one: then every id becomes ``corpus:id``. Rows keep their own label
    sets; training maps them to the label set of the config. All paths stay inside the folder of ``out``. A manifest
    inside that folder keeps its relative path; any other is linked as ``<out's stem>.<manifest's stem>.media``.

    Args:
        manifests: at least two, ``.jsonl`` or ``.parquet``.
        out: the manifest to write; its folder is created.

    Raises:
        ManifestError: fewer than two manifests are given; one is given twice, is ``out``, cannot be read or has an
            invalid row; an id of one corpus occurs in two of them; or ``out`` cannot be written.
    """
    places = [manifest.resolve() for manifest in manifests]
    repeated = [manifest for manifest, place in zip(manifests, places, strict=True) if places.count(place) > 1]
    if len(manifests) < 2 or repeated:
        what = f"{repeated[0]} is given twice" if repeated else "there is nothing to merge"
        raise ManifestError(f"merge: {what}; name two or more manifests, each once")
    if out.resolve() in places:
        raise ManifestError(f"merge: {out} is one of the manifests; write to another file")
    read = [read_manifest(manifest) for manifest in manifests]
    shared = _shared_id(manifests, read)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(f"{out.parent}: cannot be created: {error.strerror or error}") from None
    clips: list[Clip] = []
    links: dict[Path, str] = {}
    for manifest, rows in zip(manifests, read, strict=True):
        prefix = _prefix(manifest, rows, out, links)
        for clip in rows:
            moved = with_paths(clip, partial(join, prefix))
            clips.append(moved if shared is None else replace(moved, id=f"{clip.corpus}:{clip.id}"))
    write_manifest(clips, out)
    return Merged(clips, shared)


def _shared_id(manifests: Sequence[Path], read: Sequence[list[Clip]]) -> str | None:
    """Return an id that occurs in two corpora, or ``None``.

    Raises:
        ManifestError: an id of one corpus occurs in two manifests.
    """
    owners: dict[tuple[str, str], Path] = {}
    for manifest, rows in zip(manifests, read, strict=True):
        for clip in rows:
            other = owners.setdefault((clip.corpus, clip.id), manifest)
            if other is not manifest:
                raise ManifestError(
                    f"merge: clip {clip.id!r} of corpus {clip.corpus} is in {other} and in {manifest}; leave one out, "
                    "or, if they are different clips, prepare one of them under another corpus name"
                )
    counts = Counter(name for _, name in owners)
    return next((name for name, count in counts.items() if count > 1), None)


def _prefix(manifest: Path, rows: Sequence[Clip], out: Path, links: dict[Path, str]) -> str:
    """Return the path from the folder of ``out`` to the folder of a manifest, creating a link if necessary.

    Args:
        manifest: a manifest to merge.
        rows: its clips.
        out: the merged manifest.
        links: {folder: link name}, updated here; two manifests in one folder share a link.
    """
    folder = manifest.parent.resolve()
    if not any(clip_paths(clip) for clip in rows):
        return ""
    if folder not in links:
        link = f"{out.stem}.{manifest.stem}.media"
        number = 1
        while link in links.values():
            number += 1
            link = f"{out.stem}.{manifest.stem}-{number}.media"
        links[folder] = reach(manifest.parent, out.parent, link=link)
    return links[folder]
