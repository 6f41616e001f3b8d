"""Collects the sound and faces that a timeline shows, while a file is read."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from multiemo.arrays import Floats
from multiemo.predict.segmentation.stream import Segment
from multiemo.predict.traces import THUMBNAIL, TRACE_RATE, Traces
from multiemo.preprocess.voice.pitch import analyse_frames, track_pitch


class Tracing:
    """Collects the traces of one file, segment by segment."""

    def __init__(self) -> None:
        self._envelope: list[Floats] = []
        self._pitch: list[Floats] = []
        self._thumbnails: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = {}
        self._index = self._count = 0  # predicted segments; values of the envelope

    def add(self, segment: Segment) -> None:
        """Add the sound and the face of the next segment."""
        if segment.sound is not None:
            self._add_sound(segment)
        if segment.faces is not None and len(segment.faces.crops):
            middle = segment.faces.crops[len(segment.faces.crops) // 2].permute(1, 2, 0).numpy()
            picture = cv2.resize(middle, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
            self._thumbnails[self._index] = np.asarray(picture, np.uint8)
        self._index += bool(segment.inputs)

    def done(self) -> Traces:
        """The traces of all segments so far."""
        if not self._envelope:
            return Traces(thumbnails=self._thumbnails)
        return Traces(np.concatenate(self._envelope), np.concatenate(self._pitch), self._thumbnails)

    def _add_sound(self, segment: Segment) -> None:
        """Extend the envelope and pitch to the end of the segment; overlaps with earlier windows are skipped."""
        sound, rate = segment.sound, segment.rate
        assert sound is not None
        hop = rate // TRACE_RATE
        end = round(segment.end * TRACE_RATE)
        new = max(end - self._count, 0)
        envelope, pitch = np.zeros(new, np.float32), np.full(new, np.nan, np.float32)
        known = sound[max(0, self._count - round(segment.start * TRACE_RATE)) * hop :]
        steps = min(len(known) // hop, new)
        if steps > 2:
            wave = torch.from_numpy(np.ascontiguousarray(known[: steps * hop]))
            envelope[:steps] = wave.view(steps, hop).abs().amax(1).numpy()
            frames = analyse_frames(wave.unsqueeze(0), rate, hop)
            f0 = track_pitch(frames, torch.ones(frames.peak.shape, dtype=torch.bool)).f0[0, :steps].numpy()
            pitch[:steps] = np.where(f0 > 0, f0, np.nan)
        self._envelope.append(envelope)
        self._pitch.append(pitch)
        self._count = max(end, self._count)
