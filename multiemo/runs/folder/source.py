"""Reopens the manifest and the split of a finished run."""

from __future__ import annotations

import json
from pathlib import Path

from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.seen import check_unseen
from multiemo.data.splits.split import Split, check_disjoint
from multiemo.errors import CheckpointError, ConfigError, ManifestError
from multiemo.files import parse_json
from multiemo.runs.folder.recorded_paths import manifests_of, mend_links
from multiemo.runs.folder.required_files import file_digest
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import Clip


def part_of(source: Source, split: str) -> list[Clip]:
    """Rows of one part of a run's split.

    Args:
        source: source of the run.
        split: name of the part.

    Raises:
        ConfigError: the part does not exist or is empty.
    """
    parts = source.split.parts
    if split not in parts:
        raise ConfigError(f"--split: {split!r} is not a part; choices: {', '.join(parts)}")
    if not parts[split]:
        available = ", ".join(name for name, ids in parts.items() if ids)
        raise ConfigError(
            f"this run was trained without a {split} part (it has {available}); evaluate it on people it has not seen, "
            "with --manifest"
        )
    return source.part(split)


def stored_source(run: Path, bundle: Bundle, moved: Path | None) -> tuple[Source, list[str]]:
    """The source of a finished run, with the split stored in ``splits.json``.

    Args:
        run: run folder.
        bundle: model of the run, or one of its branches.
        moved: new path of its manifest, if the user gives one.

    Returns:
        The source, and notes for the report.

    Raises:
        CheckpointError: ``splits.json`` is missing or belongs to another run.
        ManifestError: the manifest is missing or lacks clips of the split.
    """
    path = run / "splits.json"
    if not path.is_file():
        raise CheckpointError(
            f"{run}: no splits.json, so its test part is unknown; evaluate the run folder that this model comes from, "
            "or give a manifest of people it has not seen with --manifest"
        )
    mend_links(run)
    stored = parse_json(path.read_text("utf-8"))[bundle.facts["stage"]]
    manifest = _manifest_of(run, bundle, moved)
    split = Split.from_json(json.dumps(stored))
    if split.hash != bundle.facts["split"]:
        raise CheckpointError(
            f"{path}: has the split {split.hash}, but the model was trained on {bundle.facts['split']}; splits.json "
            "belongs to another run: restore the file of this run"
        )
    clips = read_manifest(manifest)
    missing = {i for ids in split.parts.values() for i in ids} - {c.id for c in clips}
    if missing:
        raise ManifestError(
            f"{manifest}: {len(missing)} clips of the run's split are missing (first: {min(missing)!r}), so the "
            "figures would not be those of this run; restore these rows"
        )
    check_disjoint(split, clips, empty=("val", "test"))  # its config may have allowed either part to be empty
    check_unseen(bundle.seen, clips, split, f"the model {run}")
    notes = list(split.notes)
    if _digest(bundle) not in (None, file_digest(manifest)):
        notes.append(f"{manifest} is not byte for byte the manifest that this run was trained on")
    label_from = bundle.facts.get("label_from", bundle.config.data.label_from)
    return Source(manifest, clips, split, label_from), notes


def _manifest_of(run: Path, bundle: Bundle, moved: Path | None) -> Path:
    """The present path of a run's manifest; among several candidates, the one with the recorded digest.

    Raises:
        ManifestError: no candidate exists.
    """
    known = manifests_of(run, bundle.facts["stage"])
    if not known and isinstance(bundle.facts["manifest"], str):  # written by an earlier version
        known = [Path(bundle.facts["manifest"])]
    existing = [path for path in ([moved] if moved is not None else known) if path.is_file()]
    if not existing:
        named = moved or (known[-1] if known else bundle.facts["manifest"]["name"])
        raise ManifestError(
            f"{named}: the run's manifest is not there; give its new path with --manifest PATH --split test (without "
            "--split, all of its rows would be evaluated, including those trained on)"
        )
    same = [path for path in existing if file_digest(path) == _digest(bundle)] if len(existing) > 1 else []
    return (same or existing)[0]


def _digest(bundle: Bundle) -> str | None:
    """SHA-256 of the manifest that was trained on; earlier versions did not record it."""
    known = bundle.facts["manifest"]
    return None if isinstance(known, str) else known["sha256"]
