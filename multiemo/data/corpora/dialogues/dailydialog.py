"""DailyDialog: everyday English conversations of two people, Ekman's emotions or none (Li et al. 2017,
arXiv:1710.03957).

Layout: ``dialogues_text.txt`` and ``dialogues_emotion.txt`` with one dialogue per line: utterances terminated by
``__eou__``, and one emotion code per utterance. The published parts are ``train/dialogues_train.txt``,
``train/dialogues_emotion_train.txt``, and so on. Speakers are not published.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, mend, nearest, not_the_corpus, read_text
from multiemo.errors import ManifestError
from multiemo.registry import corpora
from multiemo.types import Clip

_PARTS = {"train": "train", "validation": "val", "test": "test"}
#: Indexed by the published code; 0 is "no emotion".
_EMOTIONS = ("neutral", "angry", "disgusted", "fearful", "happy", "sad", "surprised")
_END = "__eou__"


@corpora.register("dailydialog")
def dailydialog(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per utterance, dialogue by dialogue. There are no speakers.

    Folder:
        ``train/dialogues_train.txt``, ``train/dialogues_emotion_train.txt`` ..., or the files of all dialogues

    Labels:
        ``ekman7``

    Split:
        official; no speakers

    Args:
        root: the corpus folder with its inner archives unpacked; without the parts, the two files of all dialogues are
            used.
        skip: called for every dialogue and utterance that is left out.

    Yields:
        Clips with id ``train_0_1`` (dialogue and utterance, counted from 0), group ``train_0``, the published part,
        label set ``ekman7``.

    Raises:
        ManifestError: the two files of a part have different numbers of dialogues.
        NotTheCorpus: the files are missing.
    """
    pairs = {
        part: (nearest(root, f"dialogues_{part}.txt"), nearest(root, f"dialogues_emotion_{part}.txt"))
        for part in _PARTS
    }
    if not any(text and emotion for text, emotion in pairs.values()):
        pairs = {"all": (nearest(root, "dialogues_text.txt"), nearest(root, "dialogues_emotion.txt"))}
    found = {part: (text, emotion) for part, (text, emotion) in pairs.items() if text and emotion}
    if not found:
        raise not_the_corpus(
            "dailydialog", root, "dialogues_text.txt and dialogues_emotion.txt, or train/dialogues_train.txt and so on"
        )
    for part, (text, emotion) in found.items():
        yield from _part(part, text, emotion, skip)


def _part(part: str, text: Path, emotion: Path, skip: Skip) -> Iterator[Clip]:
    dialogues = [line for line in read_text(text).split("\n") if line.strip()]
    codes = [line.split() for line in read_text(emotion).split("\n") if line.strip()]
    if len(dialogues) != len(codes):
        raise ManifestError(
            f"dailydialog: {text} has {len(dialogues)} dialogues and {emotion} has {len(codes)}; unpack them again"
        )
    for number, (line, codes_of_dialogue) in enumerate(zip(dialogues, codes, strict=True)):
        where = f"{text.name} dialogue {number}"
        utterances = [mend(utterance).strip() for utterance in line.strip().removesuffix(_END).split(_END)]
        if len(utterances) != len(codes_of_dialogue):
            skip(where, f"has {len(utterances)} utterances and {len(codes_of_dialogue)} emotions")
            continue
        for index, (utterance, code) in enumerate(zip(utterances, codes_of_dialogue, strict=True)):
            label = _EMOTIONS[int(code)] if code.isdecimal() and int(code) < len(_EMOTIONS) else None
            if label is None or not utterance:
                skip(f"{where} utterance {index}", f"emotion {code!r} is not 0-6" if label is None else "has no text")
                continue
            yield Clip(
                id=f"{part}_{number}_{index}",
                corpus="dailydialog",
                group=f"{part}_{number}",
                language="en",
                text=utterance,
                label_set="ekman7",
                label=label,
                split=_PARTS.get(part),
            )
