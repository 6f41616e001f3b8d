"""EmotionTalk: Chinese dialogues of two people, labelled from each modality alone and from all together.

BAAI 2025, arXiv:2505.23018. Layout as released: one JSON file per utterance and kind of annotation,
``Text/json/G00009/G00009_42/G00009_42_14/G00009_42_14_024.json``, and the same below ``Audio``, ``Video`` and
``Multimodal``, with ``emotion_result``, ``data`` (per annotator: ``{"emotion": ..., ...}``), ``speaker_id`` and
``content``; media are in ``Audio/wav/`` and ``Multimodal/mp4/``. The numbers in a name are group, dialogue, speaker and
utterance; a speaker has the same number in every group.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from multiemo.data.corpora.source import Skip, not_the_corpus, read_table, read_text, relative, walk
from multiemo.data.manifest.rows import PARTS
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["emotiontalk7"]
#: Folder of the release -> what its annotators judged: one modality or the whole clip.
_JUDGED = {"Text": "text", "Audio": "speech", "Video": "face", "Multimodal": "clip"}
#: Groups of the published val and test parts (the authors' label files); all others are in train.
_GROUPS = {"G00001": "val", "G00012": "val", "G00003": "test", "G00015": "test"}
_NAME = re.compile(r"((G\d{5})_\d+)_(\d+)_(\d+)")
#: ``[over/]`` and ``[laughing]`` are not words; unmatched brackets are removed too.
_TAG = re.compile(r"\[[^\[\]]*\]|[\[\]]")
_COLUMNS = (
    "name", "text", "dialogue", "speaker", "official_split", "mm_label", "text_label", "audio_label", "video_label",
)  # fmt: skip
_LABEL_COLUMNS = {"text": "text_label", "speech": "audio_label", "face": "video_label"}


@dataclass(frozen=True, slots=True)
class _Utterance:
    """The data of one utterance; ``place`` is its number in the dialogue."""

    name: str
    dialogue: str
    place: int
    speaker: str | None
    part: str
    text: str | None = None
    label: str | None = None
    votes: Mapping[str, float] | None = None
    modality_labels: Mapping[str, str] = field(default_factory=dict)


@corpora.register("emotiontalk")
def emotiontalk(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per utterance, dialogue by dialogue, in spoken order.

    ``label`` is the label given from all modalities together, with the votes of its annotators in ``votes``. Labels
    given from one modality alone are in ``modality_labels``. Without ``Multimodal/json`` clips have only the latter.

    Folder:
        ``Text/json/``, ``Audio/json/``, ``Video/json/``, ``Multimodal/json/`` as released, or ``emotiontalk.csv``;
        media where present; ``votes`` (from the JSON files) and ``modality_labels``

    Labels:
        ``emotiontalk7``

    Split:
        official, speaker-disjoint

    Args:
        root: the folder with the unpacked ``Text/``, ``Audio/``, ``Video/`` and ``Multimodal/``, as far as downloaded;
            or with a table ``emotiontalk.csv``, which takes priority over the JSON files and has no votes. Media are
            found by name at any depth (videos with audio are preferred).
        skip: called for every row and file that is left out.

    Yields:
        Clips with id ``G00009_42_14_024``, speaker ``14``, group ``G00009_42``, the official part and label set
        ``emotiontalk7``.

    Raises:
        ManifestError: there are neither JSON files nor the table, or the table lacks a column.
    """
    table = root / "emotiontalk.csv"
    found = _from_table(table, skip) if table.is_file() else _from_json(root, skip)
    audio = {path.stem: relative(path, root) for path in walk(root, (".wav", ".flac"))}
    video: dict[str, str] = {}
    for path in walk(root, (".mp4",)):
        name = relative(path, root)
        if path.stem not in video or "multimodal" in name.lower():
            video[path.stem] = name
    for utterance in sorted(found, key=lambda utterance: (utterance.dialogue, utterance.place)):
        if utterance.text is None and utterance.name not in audio and utterance.name not in video:
            skip(utterance.name, "has neither text nor media")
            continue
        yield Clip(
            id=utterance.name,
            corpus="emotiontalk",
            speaker=utterance.speaker,
            group=utterance.dialogue,
            language="zh",
            text=utterance.text,
            audio=audio.get(utterance.name),
            video=video.get(utterance.name),
            label_set="emotiontalk7",
            label=utterance.label,
            votes=utterance.votes,
            modality_labels=utterance.modality_labels,
            split=utterance.part,
        )


def _from_table(table: Path, skip: Skip) -> Iterator[_Utterance]:
    for number, row in read_table(table, columns=_COLUMNS, corpus="emotiontalk"):
        where = f"{table.name} row {number}"
        place = row["name"].rsplit("_", 1)[-1]
        strange = [c for c in ("mm_label", *_LABEL_COLUMNS.values()) if canonical(row[c]) not in _LABELS]
        if strange:
            skip(where, f"{strange[0]} {row[strange[0]]!r} is not one of {', '.join(_LABELS)}")
        elif not place.isdecimal() or row["official_split"] not in PARTS:
            skip(where, f"name {row['name']!r} does not end in a number, or the part is {row['official_split']!r}")
        elif not row["text"].strip():
            skip(where, "has no text")
        else:
            yield _Utterance(
                name=PurePosixPath(row["name"]).name,
                dialogue=row["dialogue"],
                place=int(place),
                speaker=row["speaker"].strip() or None,
                part=row["official_split"],
                text=row["text"].strip(),
                label=canonical(row["mm_label"]),
                modality_labels={m: canonical(row[column]) for m, column in _LABEL_COLUMNS.items()},
            )


def _from_json(root: Path, skip: Skip) -> list[_Utterance]:
    """Read the utterances of the release, combining the JSON files of each.

    Raises:
        NotTheCorpus: there are none.
    """
    found: dict[str, _Utterance] = {}
    judged: set[str] = set()
    for path in walk(root, (".json",)):
        folders = pairwise(path.relative_to(root).parts)
        by = next((_JUDGED[outer] for outer, inner in folders if inner == "json" and outer in _JUDGED), None)
        match = _NAME.fullmatch(path.stem)
        if by is None or match is None:
            skip(relative(path, root), "does not have the path of an annotation of EmotionTalk")
            continue
        dialogue, group, speaker, place = match.groups()
        utterance = found.get(path.stem) or _Utterance(
            path.stem, dialogue, int(place), speaker, _GROUPS.get(group, "train")
        )
        updated = _judged(utterance, by, path)
        if isinstance(updated, str):
            skip(relative(path, root), updated)
        else:
            found[path.stem] = updated
            judged.add(by)
    if not judged:
        raise not_the_corpus("emotiontalk", root, "Multimodal/json/, Text/json/ and so on, or emotiontalk.csv")
    if "clip" not in judged:
        skip(str(root), "has no Multimodal/json, so clips have only modality_labels and no label")
    return list(found.values())


def _judged(utterance: _Utterance, by: str, path: Path) -> _Utterance | str:
    """Return the utterance with the data of one JSON file added, or why that file is left out."""
    try:
        note: Any = json.loads(read_text(path))
    except ValueError as error:
        return f"is not JSON ({error})"
    label = note.get("emotion_result") if isinstance(note, dict) else None
    if not isinstance(label, str) or canonical(label) not in _LABELS:
        return f"emotion_result {label!r} is not one of {', '.join(_LABELS)}"
    words = note.get("content")
    text = _TAG.sub("", words).strip() if isinstance(words, str) else ""
    utterance = replace(utterance, text=utterance.text or text or None)
    if by != "clip":
        return replace(utterance, modality_labels={**utterance.modality_labels, by: canonical(label)})
    return replace(utterance, label=canonical(label), votes=_votes(note.get("data")) or None)


def _votes(given: object) -> dict[str, float]:
    """Return {label: number of votes} from ``{annotator: {"emotion": ...}}`` or a list of such objects."""
    opinions = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    chosen = (opinion.get("emotion") for opinion in opinions if isinstance(opinion, dict))
    votes = Counter(canonical(vote) for vote in chosen if isinstance(vote, str))
    return {label: count for label, count in votes.items() if label in _LABELS}
