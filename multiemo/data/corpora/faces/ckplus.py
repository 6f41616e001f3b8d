"""CK+: posed expressions of students, from neutral to the apex (Lucey et al. 2010, CVPR workshops).

doi:10.1109/CVPRW.2010.5543262: 593 sequences of 123 people, of which 327 fit one of seven emotions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, not_the_corpus, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

#: Subject, sequence, frame: ``S005_001_00000011``.
_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_EMOTION = re.compile(r"(S\d{3})_(\d{3})_\d{8}_emotion")
_LABELS = LABEL_SETS["ckplus8"]
#: Number of apex frames taken from the end of a sequence, as is common (and as in CK+48).
_APEX_FRAMES = 3


@corpora.register("ckplus")
def ckplus(root: Path, skip: Skip, *, neutral: bool = True) -> Iterator[Clip]:
    """One clip per frame: the last three frames of every labelled sequence, and the first as neutral.

    - the release: ``cohn-kanade-images/S005/001/S005_001_00000011.png`` with
      ``Emotion/S005/001/S005_001_00000011_emotion.txt``, found by name at any depth;
    - CK+48: ``anger/S010_004_00000017.png``, face crops of the apex frames, without neutral ones.

    The frames of a sequence are nearly identical, so a split has to be by subject. The table ``ckextended.csv`` does
    not name the subjects and cannot be used.

    Folder:
        ``cohn-kanade-images/S005/001/`` and ``Emotion/``: the last three frames of every labelled sequence, and the
        first as neutral (not with ``neutral=false``); or CK+48

    Labels:
        ``ckplus8``, ``ckplus7``

    Split:
        by subject

    Args:
        root: the corpus folder.
        skip: called for every sequence that is left out.
        neutral: whether to include the first frames as neutral.

    Yields:
        Clips with id ``S005_001_00000011``, speaker ``S005``, group = sequence, and label set ``ckplus8``, or
        ``ckplus7`` without neutral frames.

    Raises:
        ManifestError: there are no frames of CK+, or only the table without subjects.
    """
    frames = _named(root, _PICTURES, _FRAME, skip)
    labels = _named(root, (".txt",), _EMOTION, skip)
    if not frames:
        if (root / "ckextended.csv").is_file():
            raise ManifestError(
                f"ckplus: {root / 'ckextended.csv'} names no subjects, so nearly identical frames of one person could "
                "be in two parts; use the release or CK+48, whose file names identify the subjects"
            )
        raise not_the_corpus("ckplus", root, "cohn-kanade-images/S005/001/*.png and Emotion/, or anger/S010_*.png")
    if labels:
        yield from _sequences(frames, labels, root, skip, neutral)
    else:
        yield from _classes(frames, root, skip)


def _named(root: Path, suffixes: tuple[str, ...], name: re.Pattern[str], skip: Skip) -> dict[str, list[Path]]:
    """Return {sequence: its files whose stem matches, in order}; of equal names only the first is used."""
    found: dict[str, Path] = {}
    for path in walk(root, suffixes):
        if name.fullmatch(path.stem) is None:
            if suffixes is _PICTURES:  # text files also hold landmarks and action units
                skip(relative(path, root), "is not named like a frame of CK+ (S005_001_00000011)")
        elif path.stem in found:
            skip(relative(path, root), f"is a second copy of {relative(found[path.stem], root)}")
        else:
            found[path.stem] = path
    sequences: dict[str, list[Path]] = defaultdict(list)
    for stem in sorted(found):
        sequences["_".join(stem.split("_")[:2])].append(found[stem])
    return sequences


def _sequences(
    frames: dict[str, list[Path]], labels: dict[str, list[Path]], root: Path, skip: Skip, neutral: bool
) -> Iterator[Clip]:
    label_set = "ckplus8" if neutral else "ckplus7"
    for sequence, (path, *_) in labels.items():
        code = read_text(path).strip()
        label = _coded(code)
        if label is None or label not in LABEL_SETS[label_set]:
            skip(relative(path, root), f"has the code {code!r}, which is not one of {', '.join(LABEL_SETS[label_set])}")
            continue
        if sequence not in frames:
            skip(relative(path, root), f"there are no frames {sequence}_*.png")
            continue
        first, apex = frames[sequence][0], frames[sequence][-_APEX_FRAMES:]
        if neutral and first not in apex:
            yield _clip(first, root, label_set, "neutral")
        for frame in apex:
            yield _clip(frame, root, label_set, label)
    unlabelled = len(frames.keys() - labels.keys())
    if unlabelled:
        skip(str(root), f"{unlabelled} sequences have no emotion label (in the release 266 of 593 have none)")


def _coded(code: str) -> str | None:
    """Return the label of a code 0-7, which is written as a float: ``3.0000000e+00``."""
    try:
        return _LABELS[int(float(code))] if 0 <= float(code) < len(_LABELS) else None
    except ValueError:
        return None


def _classes(frames: dict[str, list[Path]], root: Path, skip: Skip) -> Iterator[Clip]:
    """Yield the clips of CK+48: the folder is the label, and the pictures are face crops."""
    for path in (path for sequence in frames.values() for path in sequence):
        label = canonical(path.parent.name)
        if label in LABEL_SETS["ckplus7"]:
            yield _clip(path, root, "ckplus7", label, cropped=True)
        else:
            skip(relative(path, root), f"is not in a folder of one of the classes {', '.join(LABEL_SETS['ckplus7'])}")


def _clip(frame: Path, root: Path, label_set: str, label: str, *, cropped: bool = False) -> Clip:
    subject, sequence, _ = frame.stem.split("_")
    return Clip(
        id=frame.stem,
        corpus="ckplus",
        speaker=subject,
        group=f"{subject}_{sequence}",
        image=relative(frame, root),
        cropped=cropped,
        label_set=label_set,
        label=label,
    )
