"""The lanes of the media: faces, sound with its pitch, and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multiemo.predict.timeline.canvas import Box, Canvas
from multiemo.predict.timeline.colours import Role
from multiemo.predict.timeline.contents import PlacedSpan
from multiemo.predict.timeline.lanes import ROW
from multiemo.predict.timeline.text_fitting import Typeface
from multiemo.predict.timeline.time_scale import TimeScale
from multiemo.predict.traces import Traces

#: Pitch at the bottom and top of the sound lane, and at the ticks of its axis, Hz.
PITCH_RANGE, _PITCH_TICKS = (60.0, 600.0), (100, 200, 400)
#: Largest number of points in a curve.
_MAX_POINTS = 8000
#: Height of the word lane, and the narrowest span in which words are broken into lines, pixels.
_WORD_HEIGHT, _MIN_WORD_WIDTH = 66.0, 36.0


@dataclass(frozen=True, slots=True)
class FaceLane:
    """The faces that were read, each in the middle of its segment, as many as fit.

    Args:
        segments: the segments of the timeline.
        faces: {index of the segment: face, uint8 ``[64, 64, 3]`` RGB}.
        name: name of the lane.
        height: pixels.
    """

    segments: Sequence[PlacedSpan]
    faces: Mapping[int, NDArray[np.uint8]]
    name: str = "face seen"
    height: float = ROW

    def ticks(self) -> Sequence[tuple[float, str]]:
        """No ticks."""
        return ()

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw the faces as square images."""
        side, free = self.height, 0.0
        for segment in self.segments:
            if segment.index is not None and segment.index in self.faces:
                middle, _ = scale.box(segment, 0, side).middle
                left = max(min(middle, scale.width - side / 2), side / 2) - side / 2
                if left >= free - 1e-9:
                    canvas.image(Box(left, 0, left + side, side), self.faces[segment.index])
                    free = left + side


@dataclass(frozen=True, slots=True)
class SoundLane:
    """The envelope, mirrored about the middle, and the pitch over it on a logarithmic scale."""

    traces: Traces
    name: str = "sound"
    height: float = ROW

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Ticks of the pitch, if there is any voiced sound."""
        if np.isnan(self.traces.pitch).all():
            return ()
        return [(float(self._y(np.array(hz))), f"{hz} Hz" if hz == _PITCH_TICKS[0] else str(hz)) for hz in _PITCH_TICKS]

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw the envelope and the pitch, with at most two points for each pixel."""
        most = int(min(_MAX_POINTS, 2 * scale.width))
        times, loud = self.traces.loudness(most)
        x, middle = times * (scale.width / scale.duration), self.height / 2
        if len(x):
            upper, lower = (np.column_stack([x, middle + sign * loud * (middle - 1)]) for sign in (-1, 1))
            canvas.area(np.concatenate([upper, lower[::-1]]), Role.WAVE)
        times, pitch = self.traces.melody(most)
        points = np.column_stack([times * (scale.width / scale.duration), self._y(pitch)])
        canvas.lines(list(_runs(points)), Role.INK, width=1.3)

    def _y(self, pitch: NDArray[np.floating]) -> NDArray[np.floating]:
        low, high = np.log2(PITCH_RANGE)
        up: NDArray[np.floating] = (np.log2(pitch.clip(*PITCH_RANGE)) - low) / (high - low)
        return self.height * (1 - up)


def _runs(points: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """Split ``[P, 2]`` at NaN into pieces; a piece of a single point becomes a line of half a pixel."""
    known = np.flatnonzero(~np.isnan(points).any(axis=1))
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(run):
            piece = points[run]
            yield piece if len(run) > 1 else np.concatenate([piece, piece + np.array([0.5, 0.0])])


@dataclass(frozen=True, slots=True)
class WordLane:
    """The words of each span in lines that fit into it; an ellipsis where none fits."""

    spans: Sequence[PlacedSpan]
    name: str = "words"
    height: float = _WORD_HEIGHT

    def ticks(self) -> Sequence[tuple[float, str]]:
        """No ticks."""
        return ()

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw a paragraph for each span."""
        for span in self.spans:
            text = canvas.typeface.printable(span.content.get("text") or "")
            box = scale.box(span, 0, self.height)
            if text:
                narrow = not _has_room(box, text, canvas.typeface)
                canvas.paragraph(box, "…" if narrow else text, Role.INK)

    def problem(self, typeface: Typeface, scale: TimeScale) -> str:
        """Why the words cannot be shown; empty if they can."""
        texts = [(scale.box(s, 0, self.height), typeface.printable(s.content["text"]))
                 for s in self.spans if s.content.get("text")]  # fmt: skip
        if any(typeface.lacks(str(s.content.get("text") or "")) for s in self.spans):
            return "no installed font has the characters of the words"
        if texts and not any(_has_room(box, text, typeface) for box, text in texts):
            return "the words do not fit into this picture"
        return ""


def _has_room(box: Box, text: str, typeface: Typeface) -> bool:
    """Whether at least some of the words are legible in a box."""
    return box.width >= _MIN_WORD_WIDTH or typeface.width(text) <= box.width - 2
