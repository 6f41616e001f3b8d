"""Measures the privacy of a run or of a manifest, before and after each protection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from multiemo import network
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.seen import name_of
from multiemo.errors import ConfigError
from multiemo.evaluation import corpus_kind
from multiemo.extras import require
from multiemo.metrics import FEW_SPEAKERS, MAIN_FIGURE
from multiemo.metrics.membership import FALSE_POSITIVES, FEWEST_OTHERS
from multiemo.predict.asr import Transcriber
from multiemo.privacy.embeddings import Embeddings, FaceEncoder, SpeakerEncoder, branch_embeddings, feature_embeddings
from multiemo.privacy.membership import LEAST_SHADOWS, check_shadows, membership
from multiemo.privacy.models import Branch, branches_of, in_part
from multiemo.privacy.protections import Protection
from multiemo.privacy.reidentification import attacks
from multiemo.privacy.words import words_kept
from multiemo.progress import Progress
from multiemo.runs.evaluation import evaluate_bundle
from multiemo.runs.folder.evaluation_log import count_read
from multiemo.runs.folder.privacy_report import Attack, EmotionKept, PrivacyReport, ProtectionFigures, WordsKept
from multiemo.runs.folder.source import part_of
from multiemo.runs.model_folder import Bundle
from multiemo.types import Clip, Modality

People: TypeAlias = Literal["held-out", "all"]
MANIFESTS = (".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """What is measured.

    Args:
        protections: names of protections, see :class:`multiemo.privacy.protections.Protection`; ``none`` is always
            measured. Empty for the default ones of the modalities.
        modalities: branches of the run that are measured; empty for all of them.
        split: part of the run whose people are held out, ``test`` or ``val``.
        people: who is attacked: the people of ``split``, or all people of the manifest.
        clips: largest number of clips of a person in the attacks, evenly spread.
        retrain: also train branches on protected clips.
        shadows: number of shadow models for membership inference; 0 for none.
        face_attacker: model of pictures that attacks faces, see :class:`multiemo.privacy.embeddings.FaceEncoder`;
            ``None`` for none.
        asr: Whisper model, by name or folder, that measures what words keep; ``None`` for none.
        asr_clips: number of clips that it transcribes, evenly spread over the attacked people.

    Raises:
        ConfigError: a value is not valid.
    """

    protections: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    split: str = "test"
    people: People = "held-out"
    clips: int = 20
    retrain: bool = False
    shadows: int = LEAST_SHADOWS
    face_attacker: str | None = None
    asr: str | None = None
    asr_clips: int = 40

    def __post_init__(self) -> None:
        if self.split not in ("test", "val"):
            raise ConfigError(f"--split: {self.split!r} is not valid; choices: test, val")
        if self.people not in ("held-out", "all"):
            raise ConfigError(f"--people: {self.people!r} is not valid; choices: held-out, all")
        if self.clips < 2:
            raise ConfigError(f"--clips: {self.clips} is too few; an attacker needs one to know and one to recognise")
        if self.retrain and self.split == "val":
            raise ConfigError("--retrain: the new branches are selected on val, so they need --split test")
        if self.shadows:
            check_shadows(self.shadows)
        for name in self.protections:
            Protection.parse(name)


def measure_privacy(
    place: Path,
    settings: PrivacySettings | None = None,
    *,
    manifest: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> PrivacyReport:
    """Measure a run, or the recordings of a manifest.

    Args:
        place: run folder, folder of a branch, or manifest.
        settings: what is measured.
        manifest: new path of the manifest of the run.
        device: device, as in :func:`multiemo.runs.device.compute_of`.
        progress: receives stages and notes.

    Raises:
        MultiemoError: the run is incomplete, a protection does not fit the manifest, or media cannot be read.
    """
    settings, progress = settings or PrivacySettings(), progress or Progress()
    if place.suffix.lower() in MANIFESTS:
        return _Measurement(settings, progress, device, [_recordings(place, settings)]).report(None, place.name)
    main, branches = branches_of(place, device, progress, manifest)
    if settings.modalities:
        branches = [branch for branch in branches if branch.modality in settings.modalities]
        if len(branches) < len(settings.modalities):
            raise ConfigError(f"--modality: {', '.join(settings.modalities)}: not all are branches of {place}")
    subjects = [_subject(branch, settings) for branch in branches]
    measured = _Measurement(settings, progress, device, subjects)
    report_notes = count_read(
        main, subjects[0].held_out, by="privacy-report", split=settings.split, compute=branches[0].compute
    )
    measured.notes += report_notes
    return measured.report(main, branches[0].source.manifest.name)


@dataclass(slots=True)
class _Subject:
    """What is attacked in one modality.

    Args:
        modality: the modality.
        clips: all rows of the manifest.
        folder: folder of the manifest.
        person: {clip: person} of the clips in the attacks.
        attacked: people that are attacked.
        held_out: labelled clips on which emotions are recognised.
        branch: branch of a run; ``None`` for a manifest.
        original: {attacker: embeddings of clips without protection}.
    """

    modality: Modality
    clips: list[Clip]
    folder: Path
    person: dict[str, str]
    attacked: list[str]
    held_out: list[Clip] = field(default_factory=list)
    branch: Branch | None = None
    original: dict[str, Embeddings] = field(default_factory=dict)


def _subject(branch: Branch, settings: PrivacySettings) -> _Subject:
    source = branch.source
    held_out = part_of(source, settings.split)
    some = held_out if settings.people == "held-out" else source.clips
    attacked = list(dict.fromkeys(name for c in some if (name := name_of(c, "speaker"))))
    person = spread_clips(source.clips, settings.clips)
    return _Subject(branch.modality, source.clips, source.folder, person, attacked, branch.labelled(held_out), branch)


def _recordings(manifest: Path, settings: PrivacySettings) -> _Subject:
    """The voices of a manifest without a run."""
    require("resemblyzer", "a privacy report of a manifest without a run")
    clips = read_manifest(manifest)
    voices = [c for c in clips if c.audio or c.video]
    person = spread_clips(voices, settings.clips)
    if len(set(person.values())) < 2:
        raise ConfigError(f"{manifest}: clips of at least two speakers with sound are needed to attack them")
    return _Subject("speech", voices, manifest.parent, person, list(dict.fromkeys(person.values())))


def spread_clips(clips: Sequence[Clip], most: int) -> dict[str, str]:
    """{clip: person} of at most ``most`` evenly spread clips of each person, in the order of the manifest.

    Args:
        clips: rows; those without a speaker are left out.
        most: largest number of clips of a person.
    """
    known: dict[str, list[str]] = {}
    for clip in clips:
        if (name := name_of(clip, "speaker")) is not None:
            known.setdefault(name, []).append(clip.id)
    chosen = {
        clip: name
        for name, ids in known.items()
        for clip in (ids if len(ids) <= most else [ids[int((i + 0.5) * len(ids) / most)] for i in range(most)])
    }
    return {clip.id: chosen[clip.id] for clip in clips if clip.id in chosen}


class _Measurement:
    """One report in the making."""

    def __init__(
        self, settings: PrivacySettings, progress: Progress, device: str, subjects: Sequence[_Subject]
    ) -> None:
        self.settings, self.progress, self.subjects = settings, progress, subjects
        self.notes: list[str] = []
        self.encoder = SpeakerEncoder() if SpeakerEncoder.installed() else None
        if self.encoder is None and any(s.modality == "speech" for s in subjects):
            self.notes.append("voices were attacked without a speaker encoder, since resemblyzer is not installed")
        named = settings.face_attacker
        if named is not None and not any(s.modality == "face" for s in subjects):
            raise ConfigError(f"--face-attacker: {named}: no face branch is measured, so there is no face to attack")
        self.face_encoder = None if named is None else FaceEncoder(named, device)
        self.asr = None if settings.asr is None else Transcriber(settings.asr, offline=network.offline(), device=device)

    def report(self, main: Bundle | None, manifest: str) -> PrivacyReport:
        """Measure everything."""
        found = [self._protection(p) for p in self._protections()]
        inferred = []
        for subject in self.subjects if self.settings.shadows else ():
            if subject.branch is not None:
                inferred += membership(subject.branch, self.settings.split, self.settings.shadows, self.progress)
        if any(math.isnan(f.tpr.value) for f in inferred):
            self.notes.append(
                f"true positives at {FALSE_POSITIVES:.0%} false positives are not given with fewer than "
                f"{FEWEST_OTHERS} clips or people that were not trained on, because so small a share of them is none"
            )
        people = {name for s in self.subjects for name in s.person.values()}
        attacked = {name for s in self.subjects for name in s.attacked}
        if len(attacked) < FEW_SPEAKERS:
            self.notes.append(f"{len(attacked)} people were attacked; intervals over so few are wide")
        if main is not None and attacked - {n for c in self.subjects[0].held_out if (n := name_of(c, "speaker"))}:
            self.notes.append("the attacked people include those that the run was trained on")
        return PrivacyReport(
            name=None if main is None else main.config.name,
            manifest=manifest,
            corpus_kind=corpus_kind(c.corpus for s in self.subjects for c in s.clips),
            split=None if main is None else self.settings.split,
            people=len(people),
            protections=found,
            membership=inferred,
            notes=self.notes,
        )

    def _protections(self) -> list[Protection]:
        names = self.settings.protections or tuple(_defaults(self.subjects))
        return [Protection.parse(name) for name in dict.fromkeys(("none", *names))]

    def _protection(self, protection: Protection) -> ProtectionFigures:
        """All figures under one protection."""
        found: list[Attack] = []
        emotion: list[EmotionKept] = []
        words: WordsKept | None = None
        for subject in self.subjects:
            if not protection.protects(subject.modality):
                continue
            with TemporaryDirectory(prefix="multiemo-") as place:
                rows, folder = self._protected(protection, subject, Path(place))
                cache = str(Path(place) / "cache")
                if protection.method == "none":
                    cache = None if subject.branch is None else subject.branch.cache  # type: ignore[assignment]
                found += self._attacks(protection, subject, rows, folder, cache)
                if subject.branch is not None:
                    emotion += self._emotion(protection, subject, subject.branch, rows, folder, cache)
                if subject.modality == "speech" and self.asr is not None:
                    words = self._words(subject, self.asr, rows, folder)
        return ProtectionFigures(
            name=protection.name, modality=protection.modality, attacks=found, emotion=emotion, words=words
        )

    def _protected(self, protection: Protection, subject: _Subject, place: Path) -> tuple[dict[str, Clip], Path]:
        """{clip: protected row} of all clips that are needed, and the folder that the rows are relative to."""
        needed = {*subject.person, *(c.id for c in subject.held_out)}
        if self.settings.retrain and protection.method != "none" and subject.branch is not None:
            source = subject.branch.source
            needed |= {c.id for part in ("train", "val") for c in subject.branch.labelled(source.part(part))}
        if protection.method in ("centre", "noise"):  # both depend on all clips, and cost nothing
            needed = {c.id for c in subject.clips}
        clips = [c for c in subject.clips if c.id in needed]
        if protection.method == "none":
            return {c.id: c for c in clips}, subject.folder
        self.progress.stage(f"protect ({protection.name})")
        return {c.id: c for c in protection.apply(clips, subject.folder, place, self.progress)}, place

    def _attacks(
        self, protection: Protection, subject: _Subject, rows: dict[str, Clip], folder: Path, cache: str | None
    ) -> list[Attack]:
        clips = [rows[name] for name in subject.person]
        seen: dict[str, Embeddings] = {}
        encoder = {"speech": self.encoder, "face": self.face_encoder}.get(subject.modality)
        if encoder is not None:
            self.progress.stage(f"attack by {encoder.name} ({protection.name})")
            seen[encoder.name] = encoder.embed(clips, folder, self.progress)
        if protection.method in ("none", "centre", "noise"):
            shared = feature_embeddings(clips, folder, subject.modality)
            seen |= {"features": shared} if shared else {}
        if subject.branch is not None:
            self.progress.stage(f"attack by the {subject.modality} branch ({protection.name})")
            part = subject.branch.prepared(clips, folder, cache)
            seen["run"] = branch_embeddings(subject.branch.bundle, part, subject.modality, subject.branch.compute)
        if protection.method == "none":
            subject.original = seen
        made = []
        for name, embeddings in seen.items():
            before = subject.original[name]
            made += attacks(name, subject.modality, before, embeddings, subject.person, subject.attacked)
        return made

    def _emotion(
        self,
        protection: Protection,
        subject: _Subject,
        branch: Branch,
        rows: dict[str, Clip],
        folder: Path,
        cache: str | None,
    ) -> list[EmotionKept]:
        clips = [rows[c.id] for c in subject.held_out]
        if not clips:
            return []
        self.progress.stage(f"recognise emotions ({subject.modality}, {protection.name})")
        models: dict[Literal["run", "retrained"], Bundle] = {"run": branch.bundle}
        if self.settings.retrain and protection.method != "none":
            parts = {"train": branch.source.part("train"), "val": branch.source.part("val")}
            train = [in_part(rows[c.id], part) for part, some in parts.items() for c in branch.labelled(some)]
            train += [in_part(c, "test") for c in clips]
            models["retrained"] = branch.trained(train, folder, folder / "run", cache, seed=branch.bundle.config.seed)
        return [self._kept(branch, bundle, model, clips, folder, cache) for model, bundle in models.items()]

    def _kept(
        self,
        branch: Branch,
        bundle: Bundle,
        model: Literal["run", "retrained"],
        clips: Sequence[Clip],
        folder: Path,
        cache: str | None,
    ) -> EmotionKept:
        part = branch.prepared(clips, folder, cache, bundle=bundle)
        report = evaluate_bundle(bundle, part, split=self.settings.split, compute=branch.compute)
        bundle.model.cpu()
        main, values = MAIN_FIGURE[report.task], report.subsets[report.full]
        return EmotionKept(
            model=model,
            subset=report.full,
            figure=main,
            value=getattr(values, main),
            interval=getattr(values, f"{main}_ci"),
            clips=report.n,
            people=report.speakers,
        )

    def _words(self, subject: _Subject, asr: Transcriber, rows: dict[str, Clip], folder: Path) -> WordsKept | None:
        self.progress.stage(f"words by {asr.name}")
        attacked = set(subject.attacked)
        names = [clip for clip, person in subject.person.items() if person in attacked]
        count = min(self.settings.asr_clips, len(names))
        chosen = [names[int((i + 0.5) * len(names) / count)] for i in range(count)]
        texts = {c.id: c.text for c in subject.clips if c.text is not None}
        return words_kept(asr, [rows[name] for name in chosen], texts, folder, self.progress)


def _defaults(subjects: Sequence[_Subject]) -> list[str]:
    """The protections that are measured by default; films are covered only on request, since that is slow."""
    names = []
    for subject in subjects:
        m = subject.modality
        if m == "speech" and any(c.audio or c.video for c in subject.clips):
            names.append("mcadams 0.8")
        elif m == "text":
            names.append("mask")
        elif any(m in c.features for c in subject.clips):
            names.append(f"centre {m}")
        elif any(c.image for c in subject.clips):
            names.append("pixelate")
    return names
