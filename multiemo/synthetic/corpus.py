"""Generate a folder of clips from the cue tables: speakers, shown emotions, missing modalities, and media files.

Every clip has a true label. Each modality either shows it with its own strength, stays flat (shows neutral), or
contradicts it (shows another emotion). The three are drawn independently, so no modality suffices and their errors
differ. ``modality_labels`` has the emotion that each one shows.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from multiemo.data.manifest.reading import write_manifest
from multiemo.errors import ManifestError, MediaError
from multiemo.progress import Progress
from multiemo.synthetic import cues, face, film, voice, words
from multiemo.synthetic.appearance import Look
from multiemo.types import MODALITIES, Clip, Modality

CORPUS = "synthetic-demo"
LABEL_SET = "demo5"

#: Probability that a modality shows neutral, and that it shows an emotion drawn from the others.
FLAT: dict[Modality, float] = {"text": 0.16, "speech": 0.20, "face": 0.18}
CONTRADICTING: dict[Modality, float] = {"text": 0.05, "speech": 0.05, "face": 0.05}
#: Probability that a clip lacks the modality. A clip lacks at most one.
MISSING: dict[Modality, float] = {"text": 0.08, "speech": 0.08, "face": 0.08}


@dataclass(frozen=True, slots=True)
class SyntheticPerson:
    """One synthetic speaker.

    Args:
        id: name of the speaker.
        language: ``en`` or ``zh``.
        head: the drawn head.
        voice: the constant features of the voice.
        expressiveness: {modality: factor of the strength of shown emotions}.
    """

    id: str
    language: str
    head: face.DrawnHead
    voice: voice.SyntheticSpeaker
    expressiveness: dict[Modality, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """The content of one clip, before anything is drawn or synthesised.

    Args:
        label: the true emotion.
        shown: {modality: the emotion it shows}.
        strength: {modality: strength of the shown emotion, 0..1}.
        missing: the modality that the clip lacks, if any.
        manner: how a missing face is shown: ``audio`` (no picture), ``away`` (the back of the head) or ``empty``
            (nobody in the picture).
    """

    label: str
    shown: dict[Modality, str]
    strength: dict[Modality, float]
    missing: Modality | None
    manner: str


def make_corpus(
    out: Path, *, speakers: int = 16, clips_per_speaker: int = 25, seed: int = 7,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write the synthetic corpus: ``media/*.mp4`` and ``*.wav``, and ``manifest.jsonl``.

    The same arguments give the same bytes on the same machine with the same library versions.

    Args:
        out: folder to write; created if missing. Files of an earlier corpus there are overwritten.
        speakers: number of speakers; half speak English, half Chinese.
        clips_per_speaker: number of clips per speaker, with balanced labels.
        seed: seed of all random choices.
        progress: receives the number of clips done, after each speaker.

    Returns:
        Path of the manifest.

    Raises:
        ManifestError: a count is below 1, or ``out`` is a file.
        MediaError: the folder cannot be written to.
    """
    if speakers < 1 or clips_per_speaker < 1:
        raise ManifestError(f"demo corpus: speakers={speakers}, clips_per_speaker={clips_per_speaker}; give at least 1")
    if out.exists() and not out.is_dir():
        raise ManifestError(f"demo corpus: {out} is a file; name a folder")
    try:
        (out / "media").mkdir(parents=True, exist_ok=True)
        clips = list(_make_clips(out, speakers, clips_per_speaker, seed, progress))
    except OSError as error:  # PyAV's file system errors are OSErrors, too
        raise MediaError(
            f"demo corpus: cannot write to {out}: {error.strerror or error}; choose another folder"
        ) from None
    manifest = out / "manifest.jsonl"
    write_manifest(clips, manifest)
    return manifest


def make_planned(out: Path, plans: Sequence[tuple[SyntheticPerson, Plan]], *, seed: int = 7) -> Path:
    """Write clips of given contents, for measurements that need to know what each modality shows.

    Args:
        out: folder to write; created if missing.
        plans: speaker and content of each clip. Speakers of :func:`make_person` with a number that the demo corpus does
            not have are people whom its model has not seen.
        seed: seed of all that the plans leave open: words, noise, camera.

    Returns:
        Path of the manifest, whose clips have the order of ``plans``.
    """
    (out / "media").mkdir(parents=True, exist_ok=True)
    count = min(os.cpu_count() or 1, len(plans))
    forks = sys.platform.startswith("linux") and count > 1
    with ProcessPoolExecutor(count, multiprocessing.get_context("fork")) if forks else nullcontext() as pool:
        make = partial(_make_planned, out, seed)
        clips = list((pool.map if pool else map)(make, range(len(plans)), plans))
    manifest = out / "manifest.jsonl"
    write_manifest(clips, manifest)
    return manifest


def _make_planned(out: Path, seed: int, number: int, planned: tuple[SyntheticPerson, Plan]) -> Clip:
    """Write one clip of a given content."""
    person, plan = planned
    return _make_clip(
        out, f"{person.id}-planned-{number + 1:04d}", person, plan, np.random.default_rng([seed, 3, number])
    )


def _make_clips(
    out: Path, speakers: int, clips_per_speaker: int, seed: int, progress: Progress | None
) -> Iterator[Clip]:
    """Write the file of every clip and yield its row. Speakers run in parallel where processes can be forked."""
    make_speaker = partial(_make_speaker, out, clips_per_speaker, seed)
    count = min(os.cpu_count() or 1, speakers)
    forks = sys.platform.startswith("linux") and count > 1
    with ProcessPoolExecutor(count, multiprocessing.get_context("fork")) if forks else nullcontext() as pool:
        made = pool.map(make_speaker, range(speakers)) if pool else map(make_speaker, range(speakers))
        for number, clips in enumerate(made):
            yield from clips
            if progress is not None:
                progress.update((number + 1) * clips_per_speaker, speakers * clips_per_speaker)


def _make_speaker(out: Path, clips_per_speaker: int, seed: int, number: int) -> list[Clip]:
    """Write the clips of one speaker, which do not depend on other speakers."""
    person = make_person(number, seed)
    clips = []
    for index, label in enumerate(_labels(number, clips_per_speaker, seed)):
        rng = np.random.default_rng([seed, 2, number, index])
        plan = make_plan(label, person, rng)
        clips.append(_make_clip(out, f"{person.id}-{index + 1:03d}", person, plan, rng))
    return clips


def make_person(number: int, seed: int) -> SyntheticPerson:
    """Create speaker ``number`` (from 0) of the corpus with a given seed."""
    rng = np.random.default_rng([seed, 0, number])
    return SyntheticPerson(
        id=f"spk{number + 1:02d}",
        language=("en", "zh")[number % 2],
        head=face.DrawnHead(Look.draw(rng)),
        voice=voice.SyntheticSpeaker.draw(rng),
        expressiveness={m: float(rng.uniform(0.85, 1.0)) for m in MODALITIES},
    )


def make_plan(label: str, person: SyntheticPerson, rng: np.random.Generator) -> Plan:
    """Draw the emotion that each modality of one clip shows, and the modality that it lacks.

    Args:
        label: the true emotion.
        person: the speaker, whose expressiveness scales every strength.
        rng: random number generator.
    """
    shown: dict[Modality, str] = {}
    strength: dict[Modality, float] = {}
    for modality in MODALITIES:
        chance = rng.random()
        others = [e for e in cues.EMOTIONS if e != label]
        if chance < FLAT[modality]:
            shown[modality] = "neutral"
        elif chance < FLAT[modality] + CONTRADICTING[modality]:
            shown[modality] = str(rng.choice(others))
        else:
            shown[modality] = label
        strength[modality] = person.expressiveness[modality] * float(rng.uniform(0.7, 1.0))
    chance, missing = rng.random(), None
    for modality in MODALITIES:
        if 0 <= chance < MISSING[modality]:
            missing = modality
        chance -= MISSING[modality]
    return Plan(label, shown, strength, missing, str(rng.choice(("audio", "audio", "away", "empty"))))


def _labels(number: int, count: int, seed: int) -> list[str]:
    """Return balanced labels in random order."""
    rng = np.random.default_rng([seed, 1, number])
    turns = [cues.EMOTIONS[(i + number) % len(cues.EMOTIONS)] for i in range(count)]
    return [turns[i] for i in rng.permutation(count)]


def _make_clip(out: Path, name: str, person: SyntheticPerson, plan: Plan, rng: np.random.Generator) -> Clip:
    """Synthesise, draw and write one clip, and return its manifest row."""
    utterance = words.make_utterance(plan.shown["text"], plan.strength["text"], person.language, rng)
    cue = voice.blend(plan.shown["speech"], plan.strength["speech"])
    sound = voice.speak(utterance.syllables, utterance.tones, person.voice, cue, rng)
    samples = None if plan.missing == "speech" else sound.samples
    picture = not (plan.missing == "face" and plan.manner == "audio")
    path = f"media/{name}.mp4" if picture else f"media/{name}.wav"
    if picture:
        view = plan.manner if plan.missing == "face" else "face"
        frames = film.render_frames(person.head, plan.shown["face"], plan.strength["face"], sound.opening, view, rng)
        film.write_mp4(out / path, frames, samples)
    else:
        film.write_wav(out / path, sound.samples)
    strength = float(np.mean([plan.strength[m] for m in MODALITIES]))
    valence, arousal, dominance = (
        round(float(np.clip(strength * value + rng.normal(0, 0.08), -1, 1)), 3) for value in cues.DIMENSIONS[plan.label]
    )
    return Clip(
        id=name,
        corpus=CORPUS,
        speaker=person.id,
        language=person.language,
        text=None if plan.missing == "text" else utterance.text,
        audio=None if samples is None else path,
        video=path if picture else None,
        label_set=LABEL_SET,
        label=plan.label,
        modality_labels={m: plan.shown[m] for m in MODALITIES if m != plan.missing},
        valence=valence,
        arousal=arousal,
        dominance=dominance,
    )
