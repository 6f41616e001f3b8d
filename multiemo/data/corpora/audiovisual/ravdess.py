"""RAVDESS: 24 actors, two sentences, eight emotions (Livingstone & Russo 2018, doi:10.1371/journal.pone.0196391).

File names hold seven two-digit fields: modality (01 video with sound, 02 video only, 03 audio only), vocal channel
(01 speech, 02 song), emotion, intensity, statement, repetition, actor. Every published layout is taken, since only the
names are read: ``Actor_NN/``, ``Audio_Speech_Actors_01-24/Actor_NN/``, ``Video_Speech_Actor_NN/Actor_NN/``, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from multiemo.data.corpora.source import Skip, keep_first, not_the_corpus, read_table, relative, walk
from multiemo.labels import LABEL_SETS
from multiemo.registry import corpora
from multiemo.types import Clip, FeatureRef

_NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")
_SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_KINDS = {(".wav", "03"): "audio", (".flac", "03"): "audio", (".mp4", "01"): "both", (".mp4", "02"): "silent"}


@dataclass
class _Take:
    """What lies on disk of one take: audio alone, video with sound, video alone, face features."""

    media: dict[str, str] = field(default_factory=dict)
    face: FeatureRef | None = None


@corpora.register("ravdess")
def ravdess(root: Path, skip: Skip, *, song: bool = False) -> Iterator[Clip]:
    """One clip a take; its audio-only, audio-video and video-only files are merged.

    Face features are taken from every CSV under ``root``: one named after a take holds its frames (OpenFace or
    py-feat), any other one is a table whose first column names takes.

    Folder:
        ``Actor_NN/`` (wav, flac or mp4, also the published zip layouts); OpenFace or py-feat CSVs become
        ``features.face``

    Labels:
        ``ravdess8``

    Split:
        by actor

    Args:
        root: the corpus folder.
        skip: told of every file that is left out.
        song: take the song channel too.

    Yields:
        Clips with id ``01-CC-EE-II-SS-RR-AA``, speaker ``AA``, the sentence as text, label set ``ravdess8``.

    Raises:
        ManifestError: no file under ``root`` is named like a RAVDESS take.
    """
    takes: dict[str, _Take] = {}
    for path in walk(root, (".wav", ".flac", ".mp4")):
        name = relative(path, root)
        match = _NAME.fullmatch(path.stem)
        kind = _KINDS.get((path.suffix.lower(), match[1])) if match else None
        if match is None or kind is None:
            skip(name, "is not named like a RAVDESS take (MM-CC-EE-II-SS-RR-AA, audio 03, video 01 or 02)")
            continue
        take = takes.setdefault("01" + path.stem[2:], _Take())
        keep_first(take.media, kind, name, skip)
    _find_features(root, takes, skip)
    if not takes:
        raise not_the_corpus("ravdess", root, "files like Actor_01/03-01-05-01-02-01-01.wav (or .flac, .mp4)")
    songs = sum(name[3:5] == "02" for name in takes)
    if songs and not song:
        skip(str(root), f"{songs} takes of the song channel; the option song=true takes them in")
    for name in sorted(takes):
        if song or name[3:5] == "01":
            yield _clip(name, takes[name])


def _find_features(root: Path, takes: dict[str, _Take], skip: Skip) -> None:
    """Add face features from the CSVs under ``root``; a take's own file goes before a table."""
    tables: list[Path] = []
    for path in walk(root, (".csv",)):
        if not _NAME.fullmatch(path.stem):
            tables.append(path)
            continue
        take = takes.setdefault("01" + path.stem[2:], _Take())
        if take.face is None:
            take.face = FeatureRef(relative(path, root))
        else:
            skip(relative(path, root), f"is a second face feature file beside {take.face.path}")
    for path in tables:
        name = relative(path, root)
        repeated = strange = 0
        for _, row in read_table(path, columns=(), corpus="ravdess"):
            key = next(iter(row.values()), "")
            if not _NAME.fullmatch(Path(key).stem):
                strange += 1
                continue
            take = takes.setdefault("01" + Path(key).stem[2:], _Take())
            if take.face is None:
                take.face = FeatureRef(name, key)
            elif take.face != FeatureRef(name, key):
                repeated += 1
        if strange:
            skip(name, f"{strange} rows do not begin with the name of a take")
        if repeated:
            skip(name, f"{repeated} rows are of takes that have face features already")


def _clip(name: str, take: _Take) -> Clip:
    match = _NAME.fullmatch(name)
    if match is None:  # names were matched when they were collected
        raise ValueError(name)
    emotion, statement, actor = match[3], match[5], match[7]
    both = take.media.get("both")
    return Clip(
        id=name,
        corpus="ravdess",
        speaker=actor,
        language="en",
        text=_SENTENCES[statement],
        audio=take.media.get("audio", both),
        video=both or take.media.get("silent"),
        features={} if take.face is None else {"face": take.face},
        label_set="ravdess8",
        label=LABEL_SETS["ravdess8"][int(emotion) - 1],
    )
