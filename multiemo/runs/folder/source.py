"""The manifest and the split of a finished run, found again."""

from __future__ import annotations

import json
from pathlib import Path

from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.seen import check_unseen
from multiemo.data.splits.split import Split, check_disjoint
from multiemo.errors import CheckpointError, ConfigError, ManifestError
from multiemo.runs.folder.recorded_paths import manifests_of, mend_links
from multiemo.runs.folder.required_files import file_digest
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import Clip


def part_of(source: Source, split: str) -> list[Clip]:
    """Rows of one part of a run's split."""
    parts = source.split.parts
    if split not in parts:
        raise ConfigError(f"--split: {split!r} is not a part; choices: {', '.join(parts)}")
    if not parts[split]:
        here = ", ".join(name for name, ids in parts.items() if ids)
        raise ConfigError(
            f"this run was trained without a {split} part (it has {here}); measure it on people it has not seen, with "
            "--manifest"
        )
    return source.part(split)


def stored_source(run: Path, bundle: Bundle, moved: Path | None) -> tuple[Source, list[str]]:
    """The source of a run, split as the run wrote it down, and what a reader must know of it.

    Args:
        run: run folder.
        bundle: its model, or that of a branch.
        moved: where its manifest lies now, if the user says so.
    """
    path = run / "splits.json"
    if not path.is_file():
        raise CheckpointError(
            f"{run}: no splits.json, so nobody can tell its test part; evaluate the run folder that this model is of, "
            "or give people it has not seen with --manifest"
        )
    mend_links(run)
    stored = json.loads(path.read_text("utf-8"))[bundle.facts["stage"]]
    manifest = _manifest_of(run, bundle, moved)
    split = Split.from_json(json.dumps(stored))
    if split.hash != bundle.facts["split"]:
        raise CheckpointError(
            f"{path}: holds the split {split.hash}, the model was trained on {bundle.facts['split']}; splits.json is "
            "of another run"
        )
    clips = read_manifest(manifest)
    missing = {i for ids in split.parts.values() for i in ids} - {c.id for c in clips}
    if missing:
        raise ManifestError(
            f"{manifest}: {len(missing)} clips of the run's split are gone (first: {min(missing)!r}); the figures "
            "would not be those of this run"
        )
    check_disjoint(split, clips, empty=("val", "test"))  # as its config asked when it was made
    check_unseen(bundle.seen, clips, split, f"the model {run}")
    notes = list(split.notes)
    if _digest(bundle) not in (None, file_digest(manifest)):
        notes.append(f"{manifest} is not, byte for byte, the manifest that this run was trained on")
    label_from = bundle.facts.get("label_from", bundle.config.data.label_from)
    return Source(manifest, clips, split, label_from), notes


def _manifest_of(run: Path, bundle: Bundle, moved: Path | None) -> Path:
    """Where the manifest of a run is now; of several that could be meant, the one whose content is the same."""
    known = manifests_of(run, bundle.facts["stage"])
    if not known and isinstance(bundle.facts["manifest"], str):  # of an earlier version
        known = [Path(bundle.facts["manifest"])]
    there = [path for path in ([moved] if moved is not None else known) if path.is_file()]
    if not there:
        named = moved or (known[-1] if known else bundle.facts["manifest"]["name"])
        raise ManifestError(
            f"{named}: the run's manifest is not there; say where it is now with --manifest PATH --split test (without "
            "--split all of its rows would be measured, those trained on too)"
        )
    same = [path for path in there if file_digest(path) == _digest(bundle)] if len(there) > 1 else []
    return (same or there)[0]


def _digest(bundle: Bundle) -> str | None:
    """SHA-256 of the manifest that was trained on; earlier versions did not keep it."""
    known = bundle.facts["manifest"]
    return None if isinstance(known, str) else known["sha256"]
