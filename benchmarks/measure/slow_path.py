"""The labels of ``predict`` against the slow path's: faces looked for in every picture, one segment at a time.

The slow path is how training reads a manifest row. What of a film's labels hangs on the moment at which pictures are
taken, it shows itself: it is also asked one picture later.
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

#: Seconds between two pictures of most films.
_PICTURE = 0.04
_SUFFIXES = (".mp4", ".mov", ".jpg", ".png")


def agreement(run: Path, files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Labels of files, as they are cut into segments by default.

    Args:
        run: of the model.
        files: films, sound and stills; those that cannot be read are left out.

    Returns:
        For ``film``, ``voice`` and ``still``: ``segments``; ``same``, how many have the slow path's label; and
        ``probability``, the mean absolute difference of that label's probability. Of films also ``itself``, on how many
        the slow path has the same label one picture later, and ``same_of_these``.
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
    """A take for every actor and emotion of RAVDESS and the files of ``face_media`` beside it; those that are there."""
    files: list[Path] = []
    with suppress(ManifestError):
        files += [file for _, file in draw_files(corpus_folder())]
    media = corpus_folder().parent / "face_media"
    return files + sorted(path for path in media.glob("*") if path.suffix in _SUFFIXES)


def _segments(model: Predictor, file: Path) -> Iterator[tuple[str, dict[str, Any], Clip]]:
    """The labelled segments of a file, each with the manifest row of the same span."""
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
    """What the slow path says, of the modalities that the segment had."""
    (row,) = model.reader.open(multiemo.predict.Item(clip.id, clip=clip, folder=folder)).segments
    row.inputs = {m: x for m, x in row.inputs.items() if m in present}
    ((said, _),) = model.classify([row])
    return said


def _summary(kind: str, rows: list[tuple[bool, float, bool]]) -> dict[str, Any]:
    same, distance, itself = (np.array(column) for column in zip(*rows, strict=True))
    said = {"segments": len(rows), "same": int(same.sum()), "probability": round(float(distance.mean()), 4)}
    if kind == "film":
        said |= {"itself": int(itself.sum()), "same_of_these": int((same & itself).sum())}
    return said
