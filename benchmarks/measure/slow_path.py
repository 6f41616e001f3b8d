"""The labels of ``predict`` against those of the slow path, which detects faces in every picture, segment by segment.

The slow path reads a segment as training reads a manifest row. It is also run one picture later, which shows how much
the labels of a film depend on the moments at which pictures are taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import multiemo
from multiemo.errors import ManifestError, MediaError
from multiemo.media.reading import Playback, is_image
from multiemo.predict import Predictor
from multiemo.types import Clip

from .prosody import corpus_folder, draw_files

#: Time between two pictures in most films, seconds.
_PICTURE = 0.04
_SUFFIXES = (".mp4", ".mov", ".jpg", ".png")


def agreement(run: Path, files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Compare the labels of files, which are divided into segments by the default method.

    Args:
        run: run folder of the model.
        files: films, sound files and stills; unreadable files are left out.

    Returns:
        For each of ``film``, ``voice`` and ``still``: ``segments``; ``same``, the number of segments with the label of
        the slow path; and ``probability``, the mean absolute difference in the probability of the label. For films also
        ``itself``, the number of segments for which the slow path gives the same label one picture later, and
        ``same_of_these``, how many of those have its label.
    """
    model = multiemo.load(run)
    found: dict[str, list[tuple[bool, float, bool]]] = defaultdict(list)
    for file in files:
        for kind, segment, clip in _segments(model, file):
            fast = segment["best"]
            slow = _slow(model, clip, file.parent, segment["present"])
            later = slow
            if kind == "film":
                shifted = replace(clip, start=(clip.start or 0.0) + _PICTURE, end=(clip.end or 0.0) + _PICTURE)
                later = _slow(model, shifted, file.parent, segment["present"])
            distance = abs(slow["probs"][fast] - segment["probs"][fast])
            found[kind].append((slow["best"] == fast, distance, later["best"] == slow["best"]))
    return {kind: _summary(kind, rows) for kind, rows in found.items()}


def real_files() -> list[Path]:
    """One take for every actor and emotion of RAVDESS, and the files of ``face_media`` beside it, where they exist."""
    files: list[Path] = []
    with suppress(ManifestError):
        files += [file for _, file in draw_files(corpus_folder())]
    media = corpus_folder().parent / "face_media"
    return files + sorted(path for path in media.glob("*") if path.suffix in _SUFFIXES)


def _segments(model: Predictor, file: Path) -> Iterator[tuple[str, dict[str, Any], Clip]]:
    """Yield the kind of a file, and its labelled segments with a manifest row of the same span."""
    try:
        entry = model.predict(file)
    except MediaError:
        return
    clip = Clip(id=file.name, corpus="files")
    if is_image(file):
        kind, clip = "still", replace(clip, image=file.name)
    else:
        playback = Playback(file, rate=None, fps=1.0)
        kind = "film" if playback.has_video else "voice"
        playback.close()
        clip = replace(clip, video=file.name) if kind == "film" else replace(clip, audio=file.name)
    for segment in entry["segments"]:
        span = {} if kind == "still" else {"start": segment["start"], "end": segment["end"]}
        yield kind, segment, replace(clip, **span)


def _slow(model: Predictor, clip: Clip, folder: Path, present: Sequence[str]) -> dict[str, Any]:
    """Predict a row by the slow path from the modalities that the segment had."""
    (row,) = model.reader.open(multiemo.predict.Item(clip.id, clip=clip, folder=folder)).segments
    row.inputs = {m: x for m, x in row.inputs.items() if m in present}
    ((prediction, _),) = model.classify([row])
    return prediction


def _summary(kind: str, rows: list[tuple[bool, float, bool]]) -> dict[str, Any]:
    same, distance, itself = (np.array(column) for column in zip(*rows, strict=True))
    summary = {"segments": len(rows), "same": int(same.sum()), "probability": round(float(distance.mean()), 4)}
    if kind == "film":
        summary |= {"itself": int(itself.sum()), "same_of_these": int((same & itself).sum())}
    return summary
