"""``multiemo cache purge``: removes a person everywhere, and states what cannot be removed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

from multiemo.data.manifest.formats import format_of
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.data.splits.seen import Seen
from multiemo.errors import ConfigError
from multiemo.files import append_line, parse_json, write_atomically
from multiemo.progress import Progress
from multiemo.runs.folder.evaluation_log import run_folder_of
from multiemo.runs.folder.lock import LOCK, lock_folder
from multiemo.runs.folder.privacy_report import stored_report
from multiemo.runs.folder.recorded_paths import FILE, recorded_files
from multiemo.runs.purge.cached import remove_cached
from multiemo.runs.purge.folders import Changes, clean_folder
from multiemo.runs.purge.person import PurgedPerson, find_person
from multiemo.runs.purge.records import PurgeReceipt
from multiemo.types import Clip

#: Formats that are searched for the person's name beside a manifest.
_TEXTS = (".csv", ".json", ".jsonl", ".md", ".tsv", ".txt", ".yaml")
#: Receipts in a run folder and in a cache, one line each.
RECEIPTS = "purges.jsonl"


def purge(
    speaker: str,
    *,
    cache: Path,
    manifests: Sequence[Path] = (),
    runs: Sequence[Path] = (),
    media: bool = False,
    dry: bool = True,
    progress: Progress | None = None,
) -> PurgeReceipt:
    """Remove a person from caches, runs and manifests, in this order: manifests name the clips, so they come last.

    After an interruption the same call finishes the work. The manifests and caches that the runs record are included.

    Args:
        speaker: ``NAME`` or ``CORPUS:NAME``.
        cache: folder of the cache.
        manifests: manifests with clips of the person.
        runs: run folders, benchmark folders, or folders of predictions.
        media: also delete media files that only clips of the person use.
        dry: change nothing; list what would be removed.
        progress: receives notes.

    Returns:
        The receipt. If something was removed, it is also in ``purges.jsonl`` of each run and of the cache.

    Raises:
        ConfigError: a run does not exist, or the name is not unique.
        CheckpointError: another process uses a run, or a cache is damaged.
        ManifestError: a manifest is invalid.
    """
    for run in runs:
        if not run.is_dir():
            raise ConfigError(f"--run: {run}: no such folder")
    with ExitStack() as locks:
        for folder in _lockable(runs):
            locks.enter_context(lock_folder(folder, progress or Progress()))
        recorded = [recorded_files(place.parent) for run in runs for place in sorted(run.rglob(FILE))]
        known = _distinct([*manifests, *(path for found, _ in recorded for path in found), *_composites(runs)])
        caches = _distinct([cache, *(path for _, found in recorded for path in found)])
        person = find_person(speaker, known, runs)
        return _Purge(speaker, person, known, runs, caches, media, dry).run()


class _Purge:
    """One purge of one person."""

    def __init__(
        self,
        speaker: str,
        person: PurgedPerson,
        manifests: Sequence[Path],
        runs: Sequence[Path],
        caches: Sequence[Path],
        media: bool,
        dry: bool,
    ) -> None:
        self.speaker, self.person, self.dry, self.media = speaker, person, dry, media
        self.manifests, self.runs, self.caches = manifests, runs, caches
        self.changes = Changes(person.names)

    def run(self) -> PurgeReceipt:
        weights = list(self._weights())
        for cache in self.caches:
            self._cache(cache)
        own = {path.resolve() for row in self.person.rows for _, path in row.media()}
        for run in self.runs:
            skip = own | {path.resolve() for path in self.manifests} | {(run / RECEIPTS).resolve()}
            clean_folder(run, self.changes, skip, dry=self.dry)
        self._files()
        for manifest in self.manifests:
            self._manifest(manifest)
        for folder in weights:
            self.changes.keep(
                folder,
                "the weights were trained or selected on the person; only deleting them, or training again, removes "
                "that. Digests of the person's name and clips stay in seen.safetensors, so that evaluations on them "
                f"are still refused{_remembered(folder)}",
            )
        removed, remains = self.changes.listed()
        receipt = PurgeReceipt(
            person=hashlib.sha256(self.speaker.encode()).hexdigest(),
            time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            done=not self.dry,
            clips=len(self.person.rows),
            removed=removed,
            remains=remains,
        )
        if removed and not self.dry:
            for folder in (*self.runs, *(cache for cache in self.caches if cache.is_dir())):
                append_line(folder / RECEIPTS, json.dumps(receipt, ensure_ascii=False))
        return receipt

    def _cache(self, cache: Path) -> None:
        if not cache.is_dir():
            return
        found, missing = remove_cached(self.person, cache, dry=self.dry)
        self.changes.remove(cache, "cache entries", sum(found.kinds.values()))
        self.changes.remove(cache, "cache entries of an earlier version, of unknown origin", found.unattributed)
        if missing:
            self.changes.keep(
                cache,
                f"{len(missing)} media files of the person are missing, so entries made from them cannot be found; "
                "remove all entries with `multiemo cache prune --all` if there are any",
            )
        if found.reason is not None:
            self.changes.keep(cache, f"deleted bytes may still be in the file: {found.reason}")

    def _files(self) -> None:
        """Feature files, which are derived, and media, which are removed on request only."""
        for path in dict.fromkeys(path for row in self.person.rows for path in row.features()):
            self._file(path, "feature files", remove=True)
        for path in dict.fromkeys(path for row in self.person.rows for _, path in row.media()):
            self._file(path, "media files", remove=self.media)

    def _file(self, path: Path, what: str, *, remove: bool) -> None:
        if not path.exists():
            return
        if path.resolve() in self.person.shared:
            self.changes.keep(path, f"clips of other people use it too; cut the person out of these {what} yourself")
        elif not remove:
            self.changes.keep(path.parent, "the person's media files are kept; --media deletes them")
        else:
            self.changes.remove(path.parent, what)
            if not self.dry:
                path.unlink()

    def _manifest(self, manifest: Path) -> None:
        ids = {row.clip.id for row in self.person.rows if row.manifest == manifest}
        if not ids:
            return
        self.changes.remove(manifest, "rows", len(ids))
        for path in manifest.parent.iterdir():
            if path.suffix.lower() in _TEXTS and path != manifest and self._is_named_in(path):
                self.changes.keep(
                    path,
                    "it names the person: if it is a manifest, give it with --manifest; else correct it yourself",
                )
        if self.dry:
            return
        if format_of(manifest) == ".parquet":
            kept = [clip for clip in read_manifest(manifest) if clip.id not in ids]
            write_manifest(kept, manifest) if kept else manifest.unlink()
            return
        lines = [line for line in manifest.read_bytes().splitlines(keepends=True) if _id(line) not in ids]
        write_atomically(manifest, b"".join(lines)) if lines else manifest.unlink()

    def _is_named_in(self, path: Path) -> bool:
        return path.is_file() and self.person.names.occur(path.read_bytes().decode("utf-8", "replace"))

    def _weights(self) -> Iterator[Path]:
        """Model folders that were trained or selected on the person."""
        from multiemo.training.checkpoint import load_tensors

        clips = [row.clip for row in self.person.rows]
        clips += [Clip(id="", corpus=c, speaker=s) for c, _, s in (n.partition(":") for n in self.person.full_names)]
        for file in (file for run in self.runs for file in sorted(run.rglob("seen.safetensors"))):
            stored = load_tensors(file)[0].items()
            seen = Seen({kind: digests.numpy() for kind, digests in stored if kind in ("speaker", "clip")})  # type: ignore[misc]
            if seen.among(clips, "speaker") or seen.among(clips, "clip"):
                yield file.parent


def _remembered(folder: Path) -> str:
    """What the privacy report of a run found that the weights in a model folder remember, as the end of a sentence.

    Args:
        folder: model folder.
    """
    home = run_folder_of(folder)
    report = stored_report(home)
    if report is None or not report.membership:
        return "; how much they remember has not been measured (multiemo privacy-report)"
    own = folder.parent.name if folder.parent.name == "branches" else None
    found = [
        f"{f.modality} branch: AUC {f.auc.value:.2f} [{f.auc.interval[0]:.2f}, {f.auc.interval[1]:.2f}]"
        for f in report.membership
        if f.target == "run" and f.level == "people" and (own is None or f.modality == folder.name)
    ]
    return f"; how well an attack tells people in the training part from others (0.5 is chance): {', '.join(found)}"


def _id(line: bytes) -> object:
    """The id of a line of a manifest."""
    try:
        values = parse_json(line.decode("utf-8-sig"))
    except ValueError:
        return None
    return values.get("id") if isinstance(values, dict) else None


def _lockable(runs: Sequence[Path]) -> list[Path]:
    """The folders that a command may have locked: those given, and those below them that have been locked before."""
    return _distinct([*runs, *(lock.parent for run in runs for lock in sorted(run.rglob(LOCK)))])


def _composites(runs: Sequence[Path]) -> list[Path]:
    """Composite manifests, which runs make themselves."""
    return [path for run in runs for path in sorted(run.rglob("composite.*.jsonl"))]


def _distinct(paths: Sequence[Path]) -> list[Path]:
    return list({path.resolve(): path for path in reversed(paths)}.values())[::-1]
