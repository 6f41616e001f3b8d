"""Removes a person's clips from caches."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from multiemo.data.cache.keys import content_digest, span_origin, text_origin
from multiemo.data.cache.removal import RemovedEntries, known_contents, remove_origins
from multiemo.runs.purge.person import PurgedPerson, Row


def remove_cached(person: PurgedPerson, cache: Path, *, dry: bool) -> tuple[RemovedEntries, list[Path]]:
    """Remove everything made from a person's clips from a cache: inputs, embeddings and hidden states.

    Files that no longer exist are found if the cache has read them.

    Args:
        person: the person.
        cache: folder of the cache.
        dry: count the entries only.

    Returns:
        What is removed, and the files that no longer exist and that the cache does not know, so that entries made from
        them cannot be told apart from others.

    Raises:
        CheckpointError: the cache is damaged.
    """
    origins = {text_origin(text) for text in person.dialogue}
    owned: set[str] = set()
    files = {path for row in person.rows for path in _paths(row)}
    digests = known_contents(cache, files)
    for path in files:
        with suppress(OSError):  # it may have been removed already
            digests[path].add(content_digest(path))
    for row in person.rows:
        clip = row.clip
        if clip.text is not None:
            origins.add(text_origin(clip.text))
        for path in _paths(row):
            spans = [(clip.start, clip.end)]
            if path.resolve() not in person.shared:
                spans += [(None, None)]
                owned |= digests[path]
            origins |= {span_origin(content, *span) for content in digests[path] for span in spans}
    missing = sorted(path for path, contents in digests.items() if not contents)
    return remove_origins(cache, origins, owned, dry=dry), missing


def _paths(row: Row) -> list[Path]:
    return [*(path for _, path in row.media()), *row.features()]
