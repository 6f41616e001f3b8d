"""EmotionTalk: Chinese dialogues of two people, labelled from each modality alone and from all together.

BAAI 2025, arXiv:2505.23018. A speaker's number stays the same in every group he or she sits in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from multiemo.data.corpora.source import Skip, not_the_corpus, read_table, relative, walk
from multiemo.data.rows import PARTS
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_COLUMNS = (
    "name", "text", "dialogue", "speaker", "official_split", "mm_label", "text_label", "audio_label", "video_label",
)  # fmt: skip
_LABELS = LABEL_SETS["emotiontalk7"]
_LABEL_COLUMNS = {"text": "text_label", "speech": "audio_label", "face": "video_label"}


@corpora.register("emotiontalk", kind="real", languages=("zh",))
def emotiontalk(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip an utterance, dialogue by dialogue and within it in the order spoken.

    ``label`` is the one given from all modalities together; those from one alone are in ``modality_labels``.

    Args:
        root: the folder with ``emotiontalk.csv`` and, where they were fetched, the unpacked audio and video folders
            at any depth (files are found by their names; the video with sound is preferred).
        skip: told of every row that is left out.

    Yields:
        Clips with id ``G00009_42_14_024``, the official part, label set ``emotiontalk7``.

    Raises:
        ManifestError: the table is missing or lacks a column.
    """
    table = root / "emotiontalk.csv"
    if not table.is_file():
        raise not_the_corpus("emotiontalk", root, "emotiontalk.csv")
    audio = {path.stem: relative(path, root) for path in walk(root, (".wav", ".flac"))}
    video: dict[str, str] = {}
    for path in walk(root, (".mp4",)):
        name = relative(path, root)
        if path.stem not in video or "multimodal" in name.lower():
            video[path.stem] = name
    rows: list[tuple[str, int, dict[str, str]]] = []
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
            rows.append((row["dialogue"], int(place), row))
    for dialogue, _, row in sorted(rows, key=lambda entry: entry[:2]):
        name = PurePosixPath(row["name"]).name
        yield Clip(
            id=name,
            corpus="emotiontalk",
            speaker=row["speaker"].strip() or None,
            group=dialogue,
            language="zh",
            text=row["text"].strip(),
            audio=audio.get(name),
            video=video.get(name),
            label_set="emotiontalk7",
            label=canonical(row["mm_label"]),
            modality_labels={m: canonical(row[column]) for m, column in _LABEL_COLUMNS.items()},
            split=row["official_split"],
        )
