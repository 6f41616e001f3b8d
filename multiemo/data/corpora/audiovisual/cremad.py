"""CREMA-D: 91 actors, 12 sentences, six emotions, and crowdsourced ratings of each clip (Cao et al. 2014,
doi:10.1109/TAFFC.2014.2336244).

File names: actor, sentence, intended emotion, intensity (LO, MD, HI, XX unspecified): ``1001_IEO_ANG_HI``. Each clip
was rated by about ten people from the voice alone, ten from the face alone, and ten from both. The media of
``1040_ITH_SAD_XX`` are named ``1040_ITH_SAD_X``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, nearest, not_the_corpus, read_table, relative, walk
from multiemo.registry import corpora
from multiemo.types import Clip

_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)")
_SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
_EMOTIONS = {
    "ANG": "angry", "DIS": "disgusted", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
}  # fmt: skip
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high"}
_VOTES = {code[0]: label for code, label in _EMOTIONS.items()}
#: Suffix -> (medium, priority among files of that medium).
_MEDIA = {".wav": ("audio", 0), ".mp3": ("audio", 1), ".mp4": ("video", 0), ".flv": ("video", 1)}
_POINTER = b"version https://git-lfs"


@corpora.register("cremad")
def cremad(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per recording, labelled with the emotion that the actor was to express.

    ``votes`` are those of raters who heard and saw the clip. ``modality_labels`` are the majorities of the raters who
    only heard it (speech) or only saw it (face); ties are left out.

    Folder:
        ``AudioWAV/``, ``VideoFlash/`` and ``processedResults/`` as cloned, or only the tables (clips then have only
        their sentence); the intended emotion as ``label``, the ``votes`` of the raters, and the emotions perceived from
        voice or face alone as ``modality_labels``

    Labels:
        ``cremad6``

    Split:
        by actor

    Args:
        root: the corpus folder as cloned: ``AudioWAV/``, ``AudioMP3/``, ``VideoFlash/`` (or videos converted to mp4)
            and ``processedResults/`` with ``tabulatedVotes.csv`` and ``summaryTable.csv``, each if it exists. Without
            media, clips have only their sentence as text.
        skip: called for every file and row that is left out.

    Yields:
        Clips with id ``1001_IEO_ANG_HI``, speaker ``1001``, the sentence as text and label set ``cremad6``.

    Raises:
        ManifestError: no file or row under ``root`` is named like a clip of CREMA-D, or a table lacks a column.
    """
    media = _find_media(root, skip)
    votes = _read_votes(root, skip)
    unimodal = _read_unimodal_votes(root, skip)
    people = _read_people(root)
    names = sorted({*media, *votes, *unimodal, *_read_names(root, skip)})
    if not names:
        raise not_the_corpus("cremad", root, "files like AudioWAV/1001_IEO_ANG_HI.wav, or tabulatedVotes.csv")
    if media and len(media) < len(names):
        skip(str(root), f"{len(names) - len(media)} clips without media file are kept with their sentence alone")
    for name in names:
        actor, sentence, emotion, intensity = name.split("_")
        yield Clip(
            id=name,
            corpus="cremad",
            speaker=actor,
            language="en",
            text=_SENTENCES[sentence],
            audio=media.get(name, {}).get("audio"),
            video=media.get(name, {}).get("video"),
            label_set="cremad6",
            label=_EMOTIONS[emotion],
            votes=votes.get(name),
            modality_labels=unimodal.get(name, {}),
            attributes={**people.get(actor, {}), **({"intensity": level} if (level := _LEVELS.get(intensity)) else {})},
        )


def _is_clip(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and match[2] in _SENTENCES and match[3] in _EMOTIONS


def _id(name: str) -> str:
    return f"{name}X" if name.endswith("_X") else name


def _find_media(root: Path, skip: Skip) -> dict[str, dict[str, str]]:
    """Return {clip: {"audio" | "video": path}}; wav takes priority over mp3, and mp4 over flv."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(walk(root, _MEDIA), key=lambda path: _MEDIA[path.suffix.lower()][1]):
        name, (kind, _) = relative(path, root), _MEDIA[path.suffix.lower()]
        files = found.setdefault(_id(path.stem), {}) if _is_clip(path.stem) else None
        if files is None:
            skip(name, "is not named like a clip of CREMA-D (actor_sentence_emotion_intensity)")
        elif _is_pointer(path):
            skip(name, "is a git-lfs pointer, not the media; fetch it with `git lfs pull`")
        elif kind not in files:
            files[kind] = name
        elif files[kind].lower().endswith(path.suffix.lower()):
            skip(name, f"is a second copy of {files[kind]}")
    return found


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:  # reported by the validation of media
        return False


def _rows(root: Path, table: str, column: str, others: tuple[str, ...], skip: Skip) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, found at any depth, whose ``column`` names a clip."""
    path = nearest(root, table)
    if path is None:
        return
    for number, row in read_table(path, columns=(column, *others), corpus="cremad"):
        if _is_clip(row[column]):
            yield {**row, column: _id(row[column])}
        else:
            skip(f"{table} row {number}", f"{column} {row[column]!r} is not a clip of CREMA-D")


def _read_names(root: Path, skip: Skip) -> list[str]:
    return [row["Filename"] for row in _rows(root, "SentenceFilenames.csv", "Filename", (), skip)]


def _read_votes(root: Path, skip: Skip) -> dict[str, dict[str, float]]:
    """Return the votes on audio and video together: rows whose number (first column) begins with 3."""
    found: dict[str, dict[str, float]] = {}
    for row in _rows(root, "tabulatedVotes.csv", "fileName", tuple(_VOTES), skip):
        if not next(iter(row.values())).startswith("3"):
            continue
        counts = {label: float(row[code]) for code, label in _VOTES.items() if row[code].isdecimal()}
        if sum(counts.values()) > 0:
            found[row["fileName"]] = {label: count for label, count in counts.items() if count}
        else:
            skip(f"tabulatedVotes.csv {row['fileName']}", "has no votes")
    return found


def _read_unimodal_votes(root: Path, skip: Skip) -> dict[str, dict[str, str]]:
    """Return the majority votes on one modality alone; ``A:D`` is a tie."""
    found: dict[str, dict[str, str]] = {}
    for row in _rows(root, "summaryTable.csv", "FileName", ("VoiceVote", "FaceVote"), skip):
        majority = {"speech": row["VoiceVote"], "face": row["FaceVote"]}
        found[row["FileName"]] = {m: _VOTES[code] for m, code in majority.items() if code in _VOTES}
    return found


def _read_people(root: Path) -> dict[str, dict[str, str]]:
    """Return {actor: sex and age}, from the table of demographics if there is one."""
    path = nearest(root, "VideoDemographics.csv")
    if path is None:
        return {}
    facts = {"sex": "Sex", "age": "Age"}
    return {
        row["ActorID"]: {name: value.lower() for name, column in facts.items() if (value := row.get(column, ""))}
        for _, row in read_table(path, columns=("ActorID",), corpus="cremad")
    }
