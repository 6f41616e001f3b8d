"""MSP-Podcast: turns of podcasts, eight emotions and three dimensions (Lotfian & Busso 2019,
doi:10.1109/TAFFC.2017.2736999).

Layout: ``Labels/labels_consensus.csv`` (``labels_concensus.csv`` up to release 1.8, and both also as ``.json``) with
FileName, EmoClass, EmoAct, EmoVal, EmoDom, SpkrID, Gender, Split_Set; ``Labels/labels_detailed.csv`` with a row per
annotator, ``FileName, EmoClass_Major ...`` or, in releases 1.7 to 1.11, ``FileName, EmoDetail`` with cells like
``WORKER001; Neutral; Neutral,Concerned; A:4.0; V:4.0; D:4.0;`` (or ``labels_detailed.json``,
``{file: {annotator: {EmoClass_Major ...}}}``); ``Audios/MSP-PODCAST_0001_0008.wav``;
``Transcripts/MSP-PODCAST_0001_0008.txt``; ``Partitions.txt`` with lines ``Train; MSP-PODCAST_0023_0048.wav`` if the
labels have no Split_Set.

All dimensions range from 1 (little) to 7 (much).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from multiemo.data.corpora.source import (
    Skip,
    nearest,
    not_the_corpus,
    part_of,
    read_table,
    read_text,
    relative,
    unit,
    walk,
)
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, find_label
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["msppodcast8"]
_EMOTIONS = dict(zip("ASHUFDCN", _LABELS, strict=True))
#: Codes for another emotion and for no agreement.
_UNDECIDED = ("O", "X")
_TABLES = tuple(f"labels_{word}.{ending}" for ending in ("csv", "json") for word in ("consensus", "concensus"))
_COLUMNS = ("FileName", "EmoClass")
_DETAILED = ("labels_detailed.csv", "labels_detailed.json")


@corpora.register("msppodcast")
def msppodcast(
    root: Path,
    skip: Skip,
    *,
    test: Literal["Test1", "Test2"] = "Test1",
    unknown_speakers: Literal["unnamed", "podcast"] = "unnamed",
) -> Iterator[Clip]:
    """One clip per turn, labelled with the emotion that most annotators perceived; ``votes`` has their votes if known.

    A turn without agreement, or of another emotion, is kept for its dimensions, without label and votes.

    Folder:
        ``Labels/labels_consensus.csv`` (or ``labels_concensus.csv``, or ``.json``; with ``Partitions.txt`` if it has
        no parts), ``Audios/``, ``Transcripts/``; valence, arousal, dominance; votes from ``labels_detailed.csv`` or
        ``.json``; ``test=Test2``; ``unknown_speakers=podcast`` names unknown speakers by their podcast

    Labels:
        ``msppodcast8``

    Split:
        official; by speaker, or by podcast (``group``) if speakers are unknown

    Args:
        root: the folder with ``Labels/`` and, if downloaded, ``Audios/`` and ``Transcripts/``.
        skip: called for every turn that is left out, and with the number of clips of unknown speakers.
        test: the published test set to use as the part ``test``; the other is left out. Test3 has no labels.
        unknown_speakers: ``unnamed``, or named by their ``podcast``, so that the published parts can be checked by
            speaker.

    Yields:
        Clips with id ``MSP-PODCAST_0001_0008``, speaker (SpkrID), group = podcast (``0001``), the official part and
        label set ``msppodcast8``; valence, arousal and dominance are rescaled from 1..7 to -1..1.

    Raises:
        NotTheCorpus: there are no labels.
        ManifestError: the labels have another format, or neither they nor Partitions.txt define the parts.
    """
    table = nearest(root, *_TABLES) if root.is_dir() else None
    if table is None:
        raise not_the_corpus("msppodcast", root, "Labels/labels_consensus.csv beside Audios/")
    audio = {path.stem: relative(path, root) for path in walk(root, (".wav", ".flac")) if _podcast(path.stem)}
    words = {path.stem: path for path in walk(root, (".txt",)) if _podcast(path.stem)}
    votes = _votes(nearest(root, *_DETAILED), skip)
    parts = _partitions(nearest(root, "Partitions.txt", "partitions.txt"))
    left: Counter[str] = Counter()
    unknown = 0
    for row in _rows(table):
        name = row["FileName"].rsplit(".", 1)[0]
        if "Split_Set" not in row and not parts:
            raise ManifestError(
                f"msppodcast: {table} has no column Split_Set; add Partitions.txt, which defines the parts"
            )
        part = row.get("Split_Set", "").strip() or parts.get(name, "no part")
        split = "test" if part == test else None if part.startswith("Test") and part != "Test" else part_of(part)
        valence, arousal, dominance = (_rating(row.get(column, "")) for column in ("EmoVal", "EmoAct", "EmoDom"))
        text = read_text(words[name]).strip() if name in words else ""
        code = row["EmoClass"].strip()
        if split is None:
            left[f"are of {part}, which is neither train, validation nor {test}"] += 1
        elif code not in (*_EMOTIONS, *_UNDECIDED):
            skip(f"{table.name} {name}", f"EmoClass {code!r} is not one of {', '.join((*_EMOTIONS, *_UNDECIDED))}")
        elif name not in audio and not text:
            left["have neither audio nor a transcript"] += 1
        else:
            speaker = row.get("SpkrID", "").strip()
            known = bool(speaker) and speaker.lower() != "unknown"
            unknown += not known
            label = _EMOTIONS.get(code)
            sex = row.get("Gender", "").strip().lower()
            yield Clip(
                id=name,
                corpus="msppodcast",
                speaker=speaker if known else f"unknown-{_podcast(name)}" if unknown_speakers == "podcast" else None,
                group=_podcast(name),
                language="en",
                text=text or None,
                audio=audio.get(name),
                label_set="msppodcast8",
                label=label,
                votes=votes.get(name) if label is not None else None,
                split=split,
                valence=valence,
                arousal=arousal,
                dominance=dominance,
                attributes={"sex": sex} if sex in ("female", "male") else {},
            )
    for reason, count in left.most_common():
        skip(table.name, f"{count} turns {reason}")
    if unknown:
        named = "named by their podcast" if unknown_speakers == "podcast" else "kept without speaker"
        skip(table.name, f"{unknown} clips of unknown speakers are {named}")


def _podcast(name: str) -> str | None:
    """Return the podcast of a turn: ``0001`` for ``MSP-PODCAST_0001_0008``."""
    fields = name.split("_")
    return fields[1] if len(fields) >= 3 and fields[0].upper() == "MSP-PODCAST" else None


def _rows(table: Path) -> Iterator[Mapping[str, str]]:
    """Yield the rows of the CSV, or of the equivalent JSON ``{file: {EmoClass: ...}}``."""
    if table.suffix == ".csv":
        for _, row in read_table(table, columns=_COLUMNS, corpus="msppodcast"):
            yield row
        return
    try:
        for name, row in json.loads(read_text(table)).items():
            found = {"FileName": name, **{key: str(value) for key, value in row.items()}}
            yield {**found, **{column: found[column] for column in _COLUMNS}}
    except (ValueError, AttributeError, KeyError) as error:
        raise ManifestError(f"msppodcast: {table} is not {{file: {{EmoClass, Split_Set, ...}}}} ({error})") from None


def _partitions(listing: Path | None) -> dict[str, str]:
    """Return {turn: name of its part}."""
    lines = [] if listing is None else read_text(listing).splitlines()
    pairs = (line.partition(";") for line in lines if ";" in line)
    return {name.strip().rsplit(".", 1)[0]: part.strip() for part, _, name in pairs}


def _votes(table: Path | None, skip: Skip) -> dict[str, dict[str, float]]:
    """Return {turn: {label: number of votes}}; votes for other emotions are ignored. Another format has no votes."""
    if table is None:
        return {}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        for name, word in _single_votes(table):
            label = find_label(word, _LABELS)
            if label is not None:
                found[name.rsplit(".", 1)[0]][label] += 1
    except (ManifestError, ValueError, AttributeError, KeyError, TypeError) as error:
        skip(table.name, f"is not read, so clips have no votes ({error})")
        return {}
    return {name: dict(votes) for name, votes in found.items()}


def _single_votes(table: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, the emotion chosen by one annotator)."""
    if table.suffix == ".json":
        for name, annotators in json.loads(read_text(table)).items():
            yield from ((name, str(vote["EmoClass_Major"])) for vote in annotators.values())
        return
    for _, row in read_table(table, columns=("FileName",), corpus="msppodcast"):
        if "EmoClass_Major" in row:
            yield row["FileName"], row["EmoClass_Major"]
        elif "EmoDetail" in row:
            yield row["FileName"], [*row["EmoDetail"].split(";"), ""][1].strip()
        else:
            raise ManifestError(f"it has neither EmoClass_Major nor EmoDetail but {', '.join(row)}")


def _rating(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return unit(value, 1, 7) if 1 <= value <= 7 else None
