"""MER 2023: clips of Chinese films and series, six emotions and valence (Lian et al. 2023,
doi:10.1145/3581783.3612836).

Layout as released: ``train-label.csv`` (name, discrete, valence) beside ``train/``, and the same for the three test
sets. Layout of the baseline: ``label-6way.npz``, ``video/``, ``audio/``, ``transcription.csv``. Valence ranges from -5
to 5. test1 is MER-MULTI, test2 MER-NOISE (corrupted media), test3 MER-SEMI (without valence). The actors are not
published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from multiemo.data.corpora.source import RECORDINGS, Skip, nearest, not_the_corpus, read_table, relative, unit, walk
from multiemo.data.features.pickles import read_npz
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_PARTS = ("train", "test1", "test2", "test3")
_LABELS = LABEL_SETS["mer6"]
#: The baseline's placeholder for unknown valence.
_NO_VALENCE = -10.0
#: {clip: (label as published, valence on -5..5)}.
_Labels: TypeAlias = Mapping[str, tuple[str, float | None]]


@corpora.register("mer2023")
def mer2023(root: Path, skip: Skip, *, test: Literal["test1", "test2", "test3"] = "test1") -> Iterator[Clip]:
    """One clip per labelled video. There are no speakers.

    Folder:
        ``train-label.csv``, ``test1-label.csv`` and videos, or the baseline's ``label-6way.npz``; ``test=test1``,
        ``test2`` or ``test3``; valence

    Labels:
        ``mer6``

    Split:
        official; no speakers

    Args:
        root: the folder with ``train-label.csv`` (and the other tables) or ``label-6way.npz``; videos, WAV files and
            transcriptions are found at any depth.
        skip: called for every clip that is left out.
        test: the published test set to use as the part ``test``; the others are left out.

    Yields:
        Clips with id ``train/sample_00000001``, the published part, label set ``mer6``; valence in -1..1.

    Raises:
        ManifestError: there are neither tables nor the npz, or they have another format.
    """
    labels = _labels(root)
    if not labels:
        raise not_the_corpus("mer2023", root, "train-label.csv or label-6way.npz")
    media, words = _find_media(root), _words(root)
    for part, clips in labels.items():
        if part not in ("train", test):
            skip(part, f"has {len(clips)} clips of another test set; the option test={part} uses it instead of {test}")
            continue
        if all(label == "neutral" and valence == _NO_VALENCE for label, valence in clips.values()):
            skip(part, f"has {len(clips)} clips with placeholders (neutral, -10) instead of labels")
            continue
        for name, (published, valence) in clips.items():
            label = canonical(published)
            files = {**media.get(("", name), {}), **media.get((part, name), {})}
            text = words.get(name)
            if label not in _LABELS:
                skip(f"{part} {name}", f"label {published!r} is not one of {', '.join(_LABELS)}")
            elif not files and text is None:
                skip(f"{part} {name}", "has neither media nor a transcription")
            else:
                yield Clip(
                    id=f"{part}/{name}",
                    corpus="mer2023",
                    language="zh",
                    text=text,
                    audio=files.get("audio", files.get("video")),
                    video=files.get("video"),
                    label_set="mer6",
                    label=label,
                    valence=None if valence is None or valence == _NO_VALENCE else unit(valence, -5, 5),
                    split="train" if part == "train" else "test",
                )


def _labels(root: Path) -> dict[str, _Labels]:
    """Return {part: its labels} from the tables, else from the npz."""
    found: dict[str, _Labels] = {}
    for part in _PARTS:
        table = nearest(root, f"{part}-label.csv")
        if table is not None:
            rows = read_table(table, columns=("name", "discrete"), corpus="mer2023")
            found[part] = {r["name"]: (r["discrete"], _number(r.get("valence", ""))) for _, r in rows}
    stored = None if found else nearest(root, "label-6way.npz")
    if stored is not None:
        arrays = read_npz(stored)
        for part in _PARTS:
            if f"{part}_corpus" in arrays:
                found[part] = _corpus(arrays[f"{part}_corpus"], stored)
    return found


def _corpus(clips: Any, path: Path) -> _Labels:
    """Read one part of the npz: ``{name: {"emo": label, "val": valence}}``."""
    try:
        return {str(name): (str(clip["emo"]), _number(clip["val"])) for name, clip in clips.items()}
    except (AttributeError, KeyError, TypeError):
        raise ManifestError(f"mer2023: {path} does not contain {{name: {{'emo', 'val'}}}}") from None


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _find_media(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return {(part from the folder or "", clip): {"audio" | "video": path}}."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for path in walk(root, RECORDINGS):
        folders = path.relative_to(root).parts[:-1]
        part = next((folder for folder in reversed(folders) if folder in _PARTS), "")
        found.setdefault((part, path.stem), {}).setdefault(RECORDINGS[path.suffix.lower()], relative(path, root))
    return found


def _words(root: Path) -> dict[str, str]:
    """Return {clip: text} from the transcriptions of the baseline."""
    table = nearest(root, "transcription-engchi-polish.csv", "transcription.csv")
    if table is None:
        return {}
    rows = read_table(table, columns=("name",), corpus="mer2023")
    texts = {row["name"]: (row.get("chinese") or row.get("sentence") or "").strip() for _, row in rows}
    return {name: text for name, text in texts.items() if text}
