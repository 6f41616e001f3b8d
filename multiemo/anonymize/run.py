"""``multiemo anonymize``: one file, several files, or all media and texts of a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from multiemo.anonymize.files.anonymizer import Anonymizer
from multiemo.anonymize.files.kinds import FileKind, check_ending, ending_of, kind_of
from multiemo.anonymize.folder import RESERVED, OutputFolder
from multiemo.anonymize.records import AnonymizedFile, AnonymizeReport
from multiemo.anonymize.settings import Settings
from multiemo.data.manifest.reading import media_path, read_manifest, write_manifest
from multiemo.data.manifest.rows import MEDIA_KEYS
from multiemo.errors import ConfigError, MediaError
from multiemo.progress import Progress
from multiemo.transcripts import side_transcripts
from multiemo.types import Clip

#: Endings of manifests.
MANIFESTS = (".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to write.

    Args:
        source: the original.
        name: of the original, for the report.
        out: name of the copy, relative to the output folder.
        kind: what the original is.
        cropped: its pictures are face crops.
    """

    source: Path
    name: str
    out: str
    kind: FileKind
    cropped: bool = False


def anonymize(
    inputs: Sequence[Path], out: Path, settings: Settings | None = None, progress: Progress | None = None
) -> AnonymizeReport:
    """Write protected copies of files, or of all media and texts of a manifest.

    Args:
        inputs: media files and transcripts, or one manifest.
        out: for one file, the file to write, or a new folder if it has no ending; else a new folder. The folder of an
            interrupted run with the same input and settings is continued.
        settings: how faces, voices and words are protected; by default a mosaic, McAdams 0.8, and masks.
        progress: receives the number of files and frames.

    Returns:
        What was written, also in ``anonymized.json`` in the folder.

    Raises:
        ConfigError: ``out`` exists, or an option is invalid.
        ManifestError: the manifest is invalid.
        MediaError: a file cannot be read or written; the message names it. Files that were written before stay.
    """
    settings, progress = settings or Settings(), progress or Progress()
    if not inputs:
        raise ConfigError("anonymize: name a file or a manifest")
    if os.path.lexists(out) and not out.is_dir():
        raise ConfigError(f"--out: {out} already exists; choose another name, or delete it")
    work = Anonymizer(settings, progress)
    if settings.faces != "keep":
        work.detector  # noqa: B018 - an unknown detector is an error before anything is written
    manifests = [path for path in inputs if path.suffix.lower() in MANIFESTS]
    if manifests:
        if len(inputs) > 1:
            raise ConfigError(f"anonymize: {manifests[0]} is a manifest; name it alone, or join manifests first")
        return _manifest(manifests[0], out, work)
    if len(inputs) == 1 and out.suffix and not out.is_dir():
        return _single(inputs[0], out, work)
    jobs, notes = _named_jobs(inputs)
    folder = OutputFolder(out, settings, {job.out: job.source for job in jobs})
    report = _report(settings, _write(jobs, folder, work), notes=notes)
    folder.finish(f"{report}\n")
    return report


def _single(source: Path, out: Path, work: Anonymizer) -> AnonymizeReport:
    kind = kind_of(source)
    check_ending(source, out, kind)
    entry = work.write(source, out, kind, names=(str(source), str(out)), cropped=False)
    beside = [] if kind not in ("film", "sound") else [t.source for t in side_transcripts(source, [])]
    notes = [f"{name} beside it was not written; name a folder as --out to include it" for name in beside]
    return _report(work.settings, [entry], notes=notes)


def _manifest(manifest: Path, out: Path, work: Anonymizer) -> AnonymizeReport:
    clips = read_manifest(manifest)
    kept = [clip for clip in clips if clip.text is not None or any(_media(clip))]
    left_out = [clip.id for clip in clips if not (clip.text is not None or any(_media(clip)))]
    if not kept:
        raise MediaError(f"{manifest}: its rows have nothing but precomputed features, which cannot be anonymised")
    jobs = _manifest_jobs(kept, manifest)
    folder = OutputFolder(
        out, work.settings, {manifest.name: manifest} | {job.out: job.source for job in jobs.values()}
    )
    entries = _write(list(jobs.values()), folder, work)
    before = Counter(work.masker.counts)
    rows = [_row(clip, jobs, work) for clip in kept]
    write_manifest(rows, out / manifest.name)
    features = sum(bool(clip.features) for clip in clips)
    notes: list[str] = []
    if features:
        notes.append(
            f"{features} rows had precomputed features, which were left out since they describe the original people; "
            "compute them again from the protected media"
        )
    if work.settings.words == "keep" and any(clip.text for clip in kept):
        notes.append("texts were kept as they are")
    report = _report(
        work.settings,
        entries,
        notes=notes,
        rows=len(rows),
        masked=dict(work.masker.counts - before),
        left_out=left_out or None,
    )
    folder.finish(f"{report}\n")
    return report


def _row(clip: Clip, jobs: dict[str, _Job], work: Anonymizer) -> Clip:
    """The row of a protected clip: same id, speaker, group, labels and span."""
    text = None if clip.text is None else work.masker.mask(clip.text)
    audio, video, image = (None if path is None else jobs[path].out for path in _paths(clip))
    return replace(clip, text=text, audio=audio, video=video, image=image, features={})


def _paths(clip: Clip) -> list[str | None]:
    return [getattr(clip, key) for key in MEDIA_KEYS]


def _media(clip: Clip) -> list[str]:
    return [path for path in _paths(clip) if path is not None]


def _manifest_jobs(clips: Iterable[Clip], manifest: Path) -> dict[str, _Job]:
    """{path in the manifest: job}, one for each file that rows name."""
    cropped: dict[str, bool] = {}
    where: dict[str, str] = {}
    for clip in clips:
        for path in _media(clip):
            where.setdefault(path, clip.id)
            cropped[path] = cropped.get(path, False) or (bool(clip.cropped) and path != clip.audio)
    names = _Names((manifest.name,))
    jobs: dict[str, _Job] = {}
    for path, whole in cropped.items():
        source = media_path(path, manifest.parent)
        try:
            kind = kind_of(source)
        except MediaError as error:
            raise MediaError(f"{manifest}, clip {where[path]!r}: {error}") from None
        place = os.path.normpath(path.replace("\\", "/"))
        jobs[path] = _Job(source, path, names.take(place, ending_of(source, kind)), kind, whole)
    return jobs


def _named_jobs(inputs: Sequence[Path]) -> tuple[list[_Job], list[str]]:
    """The jobs of named files and of the transcripts beside them, and notes."""
    names, notes = _Names(()), list[str]()
    jobs: dict[Path, _Job] = {}
    for source in inputs:
        kind = kind_of(source)
        jobs.setdefault(source, _Job(source, str(source), names.take(source.name, ending_of(source, kind)), kind))
    for job in list(jobs.values()):
        if job.kind not in ("film", "sound"):
            continue
        for transcript in side_transcripts(job.source, notes):
            beside = job.source.with_name(transcript.source)
            if beside not in jobs:
                place = PurePosixPath(job.out).with_suffix(beside.suffix).as_posix()
                out = names.take(place, ending_of(beside, "transcript"))
                jobs[beside] = _Job(beside, str(beside), out, "transcript")
    return list(jobs.values()), notes


class _Names:
    """Names of the files in the output folder; no two are equal on any file system.

    Args:
        taken: names that are in use.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.lower() for name in (*taken, *RESERVED)}

    def take(self, place: str, ending: str) -> str:
        """The name of the copy of a file: with another ending, which is added to the old one if the name is taken."""
        path = PurePosixPath(place)
        for name in (path.with_suffix(ending), path.with_name(path.name + ending)):
            if name.as_posix().lower() not in self._taken:
                self._taken.add(name.as_posix().lower())
                return name.as_posix()
        raise ConfigError(f"anonymize: two files would be written as {path.with_suffix(ending)}; rename one of them")


def _write(jobs: Sequence[_Job], folder: OutputFolder, work: Anonymizer) -> list[AnonymizedFile]:
    for number, job in enumerate(jobs):
        if job.out not in folder.finished:
            target = folder.path / job.out
            folder.add(work.write(job.source, target, job.kind, names=(job.name, job.out), cropped=job.cropped))
        if len(jobs) > 1:
            work.progress.stage("anonymize")
            work.progress.update(number + 1, len(jobs))
    return [folder.finished[job.out] for job in jobs]


def _report(
    settings: Settings,
    files: list[AnonymizedFile],
    *,
    notes: list[str],
    rows: int | None = None,
    masked: dict[str, int] | None = None,
    left_out: list[str] | None = None,
) -> AnonymizeReport:
    return AnonymizeReport(
        faces=settings.faces,
        detector=settings.detector,
        voice=settings.voice,
        mcadams=settings.mcadams if settings.voice == "mcadams" else None,
        semitones=settings.semitones if settings.voice == "shift" else None,
        words=settings.words,
        files=files,
        rows=rows,
        masked=masked,
        left_out=left_out,
        notes=notes,
    )
