"""Finds a person's clips in manifests and runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiemo.data.manifest.reading import media_path, read_manifest
from multiemo.data.splits.seen import name_of
from multiemo.errors import ConfigError
from multiemo.files import parse_json
from multiemo.runs.purge.names import Names, media_names, names_of
from multiemo.types import Clip

#: Corpus name of the clips made by :mod:`multiemo.data.composite`.
_COMPOSITE = "composite"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a manifest.

    Args:
        manifest: path of the manifest.
        clip: the row.
    """

    manifest: Path
    clip: Clip

    def media(self) -> list[tuple[str, Path]]:
        """Its sound, film and picture: paths as written, and where they are."""
        written = (self.clip.audio, self.clip.video, self.clip.image)
        return [(path, media_path(path, self.manifest.parent)) for path in written if path is not None]

    def features(self) -> list[Path]:
        """Its feature files."""
        return [media_path(reference.path, self.manifest.parent) for reference in self.clip.features.values()]

    def files(self) -> set[Path]:
        """All its files, without links in their paths."""
        return {path.resolve() for path in (*(path for _, path in self.media()), *self.features())}


@dataclass(frozen=True, slots=True)
class PurgedPerson:
    """A person and everything that manifests and runs say of them.

    Args:
        rows: their clips, and composite clips that are made from their media.
        dialogue: texts of other people in the same dialogues: their cached inputs may hold the person's words.
        shared: files that clips of other people use too.
        full_names: the person as ``CORPUS:NAME``; empty if no manifest has them.
        names: all names under which they occur in files.
    """

    rows: Sequence[Row]
    dialogue: frozenset[str]
    shared: frozenset[Path]
    full_names: Sequence[str]
    names: Names


def find_person(speaker: str, manifests: Sequence[Path], runs: Sequence[Path]) -> PurgedPerson:
    """Find the clips of a person.

    Args:
        speaker: ``NAME`` or ``CORPUS:NAME``.
        manifests: manifests to search.
        runs: run folders, whose predictions name clips too.

    Raises:
        ConfigError: people of several corpora have this name.
        ManifestError: a manifest is invalid.
    """
    rows = [Row(manifest, clip) for manifest in manifests for clip in read_manifest(manifest)]
    own = [row for row in rows if _is_by(row.clip, speaker)]
    people = sorted({name_of(row.clip, "speaker") or "" for row in own})
    if len(people) > 1:
        raise ConfigError(
            f"--speaker: {speaker!r} is the name of several people: {', '.join(people)}; repeat the option for each"
        )
    files = {path for row in own for path in row.files()}
    composed = [row for row in rows if row.clip.corpus == _COMPOSITE and row not in own and row.files() & files]
    keys = {(row.manifest, row.clip.id) for row in (*own, *composed)}
    others = [row for row in rows if (row.manifest, row.clip.id) not in keys]
    shared = frozenset(path for row in others for path in row.files() if path in files)
    groups = {(row.clip.corpus, row.clip.group) for row in own if row.clip.group is not None}
    media = (written for row in own for written, path in row.media() if path.resolve() not in shared)
    known = {*names_of((row.clip for row in (*own, *composed)), speaker), *media_names(media)}
    return PurgedPerson(
        rows=[*own, *composed],
        dialogue=frozenset(r.clip.text for r in others if r.clip.text and (r.clip.corpus, r.clip.group) in groups),
        shared=shared,
        full_names=people or ([speaker] if ":" in speaker else []),
        names=Names(known | set(_predicted(runs, {speaker, *people}))),
    )


def _is_by(clip: Clip, speaker: str) -> bool:
    full = name_of(clip, "speaker")
    return full is not None and speaker in (clip.speaker, full, full.partition(":")[2])


def _predicted(runs: Iterable[Path], speakers: set[str]) -> Iterator[str]:
    """Ids of the clips of these speakers in the predictions of runs."""
    for file in (file for run in runs for file in run.rglob("predictions.jsonl")):
        for line in file.read_bytes().splitlines():
            try:
                values = parse_json(line)
                named, clip = values["speaker"], values["id"]
                if named in speakers or named.partition(":")[2] in speakers:
                    yield str(clip)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # predictions of files, which have no speaker
