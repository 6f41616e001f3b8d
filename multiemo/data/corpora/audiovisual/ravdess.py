"""RAVDESS: 24 actors, two sentences, eight emotions (Livingstone & Russo 2018, doi:10.1371/journal.pone.0196391).

File names hold seven two-digit fields: modality (01 video with sound, 02 video only, 03 audio only), vocal channel
(01 speech, 02 song), emotion, intensity, statement, repetition, actor. Only the names are read, so every published
layout works: ``Actor_NN/``, ``Audio_Speech_Actors_01-24/Actor_NN/``, ``Video_Speech_Actor_NN/Actor_NN/``, ...
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
_INTENSITIES = {"01": "normal", "02": "strong"}
_KINDS = {(".wav", "03"): "audio", (".flac", "03"): "audio", (".mp4", "01"): "both", (".mp4", "02"): "silent"}


@dataclass
class _Take:
    """The files of one take: audio only, video with audio, video only, face features."""

    media: dict[str, str] = field(default_factory=dict)
    face: FeatureRef | None = None


@corpora.register("ravdess")
def ravdess(root: Path, skip: Skip, *, song: bool = False) -> Iterator[Clip]:
    """One clip per take; its audio-only, audio-video and video-only files are merged.

    Face features are read from every CSV below ``root``: a CSV named after a take contains its frames (OpenFace or
    py-feat); any other is a table whose first column names takes.

    Folder:
        ``Actor_NN/`` (wav, flac or mp4, also the published zip layouts); OpenFace or py-feat CSVs become
        ``features.face``

    Labels:
        ``ravdess8``

    Split:
        by actor

    Args:
        root: the corpus folder.
        skip: called for every file that is left out.
        song: whether to include the song channel.

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
        skip(str(root), f"{songs} takes of the song channel are left out; the option song=true includes them")
    for name in sorted(takes):
        if song or name[3:5] == "01":
            yield _clip(name, takes[name])


def _find_features(root: Path, takes: dict[str, _Take], skip: Skip) -> None:
    """Add face features from the CSVs below ``root``; a take's own file takes priority over a table."""
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
            skip(name, f"{repeated} rows are for takes that already have face features")


def _clip(name: str, take: _Take) -> Clip:
    match = _NAME.fullmatch(name)
    if match is None:  # impossible: the names were matched before
        raise ValueError(name)
    emotion, intensity, statement, actor = match[3], match[4], match[5], match[7]
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
        attributes={"sex": "male" if int(actor) % 2 else "female", "intensity": _INTENSITIES[intensity]},
    )
