"""eNTERFACE'05: six emotions, five English sentences each, acted by 42 people (Martin et al. 2006,
doi:10.1109/ICDEW.2006.145).

Layout: ``subject 1/anger/sentence 1/s1_an_1.avi``. Every emotion has its own sentences, so the text would reveal the
label; clips have no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, not_the_corpus, relative, walk
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["ekman6"]
_CODES = {
    "an": "angry", "di": "disgusted", "fe": "fearful", "ha": "happy", "sa": "sad", "su": "surprised",
}  # fmt: skip
_SUBJECT = re.compile(r"subject[ _-]?(\d+)", re.IGNORECASE)
_SENTENCE = re.compile(r"sentence[ _-]?(\d)", re.IGNORECASE)
#: One published file is called ``s16_su_3avi.avi``.
_NAME = re.compile(r"s_?(\d+)_(an|di|fe|ha|sa|su)_?(\d)(?:avi)?", re.IGNORECASE)


@corpora.register("enterface05")
def enterface05(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per video. Folders take priority over file names, since some files have the number of another subject.

    Folder:
        ``subject 1/anger/sentence 1/s1_an_1.avi``

    Labels:
        ``ekman6``

    Split:
        by subject

    Args:
        root: the corpus folder; if all videos are in one folder, their names are used.
        skip: called for every file that is left out.

    Yields:
        Clips with id ``s1_angry_1``, speaker ``1``, label set ``ekman6``.

    Raises:
        ManifestError: no file below ``root`` has the path or name of a video of eNTERFACE'05.
    """
    found: dict[str, str] = {}
    for path in walk(root, (".avi", ".mp4")):
        name = relative(path, root)
        place = _place(path, root)
        if place is None:
            skip(name, "does not have the path of a video of eNTERFACE'05 (subject N/emotion/sentence M/sN_em_M.avi)")
            continue
        subject, label, sentence = place
        take = f"s{subject}_{label}_{sentence}"
        if take in found:
            skip(name, f"is a second video of {take}, beside {found[take]}")
            continue
        found[take] = name
        yield Clip(
            id=take,
            corpus="enterface05",
            speaker=str(subject),
            language="en",
            audio=name,
            video=name,
            label_set="ekman6",
            label=label,
        )
    if not found:
        raise not_the_corpus("enterface05", root, "files like subject 1/anger/sentence 1/s1_an_1.avi")


def _place(path: Path, root: Path) -> tuple[int, str, int] | None:
    """Return (subject, label, sentence) of a video from its folders, completed from its name."""
    folders = path.relative_to(root).parts[:-1]
    name = _NAME.fullmatch(path.stem)
    subject = next((int(match[1]) for folder in folders if (match := _SUBJECT.fullmatch(folder))), None)
    label = next((canonical(folder) for folder in folders if canonical(folder) in _LABELS), None)
    sentence = next((int(match[1]) for folder in folders if (match := _SENTENCE.fullmatch(folder))), None)
    if name is not None:
        subject = int(name[1]) if subject is None else subject
        label = label or _CODES[name[2].lower()]
        sentence = int(name[3]) if sentence is None else sentence
    if sentence is None and path.stem[-1:].isdecimal():
        sentence = int(path.stem[-1])
    return None if subject is None or label is None or sentence is None else (subject, label, sentence)
