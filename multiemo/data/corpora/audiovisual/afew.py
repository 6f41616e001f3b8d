"""AFEW: clips of films, seven emotions; the data of the EmotiW challenges (Dhall et al. 2012,
doi:10.1109/MMUL.2012.26).

Layout: ``Train_AFEW/Angry/000046280.avi``, ``Val_AFEW/Happy/...``; the test part is published without labels. The
actors are not published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, not_the_corpus, relative, walk
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["ekman7"]
_PART = re.compile(r"(train|val)(?:idation)?(?:_afew)?", re.IGNORECASE)


@corpora.register("afew")
def afew(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per video. There are no speakers.

    Folder:
        ``Train_AFEW/Angry/*.avi``, ``Val_AFEW/``

    Labels:
        ``ekman7``

    Split:
        official; no speakers

    Args:
        root: the folder with ``Train_AFEW`` and ``Val_AFEW`` (or ``Train`` and ``Val``), which have a folder per
            emotion.
        skip: called for every video that is left out, such as those of the unlabelled test part.

    Yields:
        Clips with id ``train/000046280``, the published part, label set ``ekman7``.

    Raises:
        ManifestError: no video below ``root`` is in the folder of an emotion in one of these parts.
    """
    found: dict[str, str] = {}
    for path in walk(root, (".avi", ".mp4")):
        name = relative(path, root)
        folders = path.relative_to(root).parts[:-1]
        parts = [match[1].lower() for folder in folders if (match := _PART.fullmatch(folder))]
        label = canonical(path.parent.name)
        if not parts or label not in _LABELS:
            skip(name, "is not in the folder of an emotion in Train_AFEW or Val_AFEW")
            continue
        take = f"{parts[-1]}/{path.stem}"
        if take in found:
            skip(name, f"is a second video of {take}, beside {found[take]}")
            continue
        found[take] = name
        yield Clip(
            id=take,
            corpus="afew",
            language="en",
            audio=name,
            video=name,
            label_set="ekman7",
            label=label,
            split=parts[-1],
        )
    if not found:
        raise not_the_corpus("afew", root, "files like Train_AFEW/Angry/000046280.avi")
