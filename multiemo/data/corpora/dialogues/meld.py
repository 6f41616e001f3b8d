"""MELD: utterances of dialogues from the series Friends, seven emotions (Poria et al. 2019, arXiv:1810.02508).

Layout: ``train_sent_emo.csv`` ..., clips ``train_splits/dia0_utt0.mp4`` ...; the test part has some clips twice, the
corrected version as ``output_repeated_splits_test/final_videos_testdia0_utt0.mp4``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, mend, nearest, not_the_corpus, read_table, relative
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

#: Official part -> (part, folder of its clips).
_PARTS = {
    "train": ("train", "train_splits"),
    "dev": ("val", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}
#: Prefix of the file name of a corrected clip.
_RECUT_PREFIX = "final_videos_test"
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


@corpora.register("meld")
def meld(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per utterance, in the order of the dialogues; with its video if downloaded.

    The episode times in the table are not used, because the video files are already cut to the utterances. A corrected
    clip (``final_videos_test*``) takes priority over the first version, whose audio may be that of another utterance.

    Folder:
        ``train/dev/test_sent_emo.csv``, and clips if downloaded; a corrected clip
        (``final_videos_testdia0_utt0.mp4``) takes priority over the first version

    Labels:
        ``meld7``

    Split:
        official (dialogues)

    Args:
        root: the folder with ``train_sent_emo.csv``, ``dev_sent_emo.csv``, ``test_sent_emo.csv`` (those that exist, at
            any depth) and, if they exist, ``train_splits/``, ``dev_splits_complete/`` and
            ``output_repeated_splits_test/``.
        skip: called for every row that is left out, and with the number of replaced first versions.

    Yields:
        Clips with id ``train_dia0_utt0``, group ``train_dia0``, the official part, label set ``meld7``.

    Raises:
        ManifestError: none of the tables exists, or one lacks a column.
    """
    found = {part: table for part in _PARTS if (table := nearest(root, f"{part}_sent_emo.csv")) is not None}
    if not found:
        raise not_the_corpus("meld", root, "train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv")
    videos = {part: nearest(root, _PARTS[part][1]) for part in found}
    for part, table in found.items():
        yield from _rows(part, table, videos[part], any(videos.values()), root, skip)


def _rows(part: str, table: Path, videos: Path | None, with_videos: bool, root: Path, skip: Skip) -> Iterator[Clip]:
    """Yield the clips of one part; ``with_videos`` says whether the videos of any part exist."""
    split = _PARTS[part][0]
    rows: list[tuple[int, int, dict[str, str]]] = []
    for number, row in read_table(table, columns=_COLUMNS, corpus="meld"):
        where = f"{table.name} row {number}"
        if not (row["Dialogue_ID"].isdecimal() and row["Utterance_ID"].isdecimal()):
            skip(where, f"Dialogue_ID {row['Dialogue_ID']!r}, Utterance_ID {row['Utterance_ID']!r}: not numbers")
        elif canonical(row["Emotion"]) not in LABEL_SETS["meld7"]:
            skip(where, f"Emotion {row['Emotion']!r} is not one of the seven of MELD")
        else:
            rows.append((int(row["Dialogue_ID"]), int(row["Utterance_ID"]), row))
    replaced = bare = 0
    for dialogue, utterance, row in sorted(rows, key=lambda entry: entry[:2]):
        cuts = [] if videos is None else _cuts(videos, f"dia{dialogue}_utt{utterance}.mp4")
        text = mend(row["Utterance"]).strip()
        if not text and not cuts:
            skip(f"{table.name} dia{dialogue}_utt{utterance}", "has neither text nor a video")
            continue
        replaced += len(cuts) > 1
        bare += not cuts
        video = relative(cuts[0], root) if cuts else None
        yield Clip(
            id=f"{part}_dia{dialogue}_utt{utterance}",
            corpus="meld",
            speaker=mend(row["Speaker"]).strip() or None,
            group=f"{part}_dia{dialogue}",
            language="en",
            text=text or None,
            audio=video,
            video=video,
            label_set="meld7",
            label=canonical(row["Emotion"]),
            split=split,
        )
    if bare and with_videos:
        skip(table.name, f"{bare} utterances without video file in {_PARTS[part][1]}/ are kept for their words")
    if replaced and videos is not None:
        skip(relative(videos, root), f"{replaced} clips were replaced by corrected versions ({_RECUT_PREFIX}*.mp4)")


def _cuts(videos: Path, name: str) -> list[Path]:
    """Return the existing files of an utterance, the corrected one first."""
    return [path for path in (videos / f"{_RECUT_PREFIX}{name}", videos / name) if path.is_file()]
