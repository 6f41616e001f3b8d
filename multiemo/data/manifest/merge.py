"""Several manifests -> one, for training on several corpora and for measuring across them."""

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
    """What :func:`merge` made.

    Args:
        clips: the rows as written.
        shared: an id that two corpora had, so that every id got its corpus in front; ``None`` where ids are as before.
    """

    clips: list[Clip]
    shared: str | None


def merge(manifests: Sequence[Path], out: Path) -> Merged:
    """Write the rows of several manifests, in order, as one.

    Ids stay as they are, unless two corpora share one: then every id becomes ``corpus:id``. Rows keep their own label
    sets; a config maps them to its own. Paths stay inside the folder of ``out``: a manifest in it is reached by its
    path, any other through a link ``<out's stem>.<manifest's stem>.media`` to its folder.

    Args:
        manifests: at least two, ``.jsonl`` or ``.parquet``.
        out: the manifest to write; its folder is made.

    Raises:
        ManifestError: fewer than two manifests, one is given twice or is ``out``, cannot be read or breaks a rule, one
            corpus has an id in two of them, or ``out`` cannot be written.
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
        raise ManifestError(f"{out.parent}: cannot be made: {error.strerror or error}") from None
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
    """An id that two corpora have, if any.

    Raises:
        ManifestError: one corpus has an id in two manifests.
    """
    owners: dict[tuple[str, str], Path] = {}
    for manifest, rows in zip(manifests, read, strict=True):
        for clip in rows:
            other = owners.setdefault((clip.corpus, clip.id), manifest)
            if other is not manifest:
                raise ManifestError(
                    f"merge: clip {clip.id!r} of corpus {clip.corpus} is in {other} and in {manifest}; leave one out, "
                    "or, where they are different clips, prepare one of them under another corpus name"
                )
    counts = Counter(name for _, name in owners)
    return next((name for name, count in counts.items() if count > 1), None)


def _prefix(manifest: Path, rows: Sequence[Clip], out: Path, links: dict[Path, str]) -> str:
    """How the folder of a manifest is called from that of ``out``.

    Args:
        links: {folder: its link}, filled as they are made; two manifests of one folder share it.
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
