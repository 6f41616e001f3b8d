"""One track of sound, decoded: packets in, pieces of mono audio out, each where its timestamp puts it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from multiemo.data.container import FAILURES, GAP, RATES, Floats, time_of


@dataclass(slots=True)
class Sound:
    """A piece of mono audio.

    Args:
        position: of its first sample, in samples at the wanted rate, from the span's start (negative before it).
        samples: ``[N]`` float32.
    """

    position: int
    samples: Floats


class AudioTrack:
    """Decodes one audio stream to mono at a wanted rate, each sample where its timestamp puts it.

    Runs of contiguous frames go through one resampler, so positions cannot drift; after a gap, an overlap or a change
    of format a new run starts at the position its timestamp says.

    Args:
        stream: of PyAV.
        rate: wanted, Hz.
        origin: the file's clock at its beginning, seconds.
        start: of the span, seconds from the file's beginning.
        channel: the one that is kept, from 0; ``None`` mixes them. A stretch with fewer channels is silent.
    """

    def __init__(self, stream: Any, rate: int, origin: float, start: float, channel: int | None = None) -> None:
        self.stream, self.rate, self.origin, self.start, self.channel = stream, rate, origin, start, channel
        self.time = -math.inf
        self.errors = 0
        self._tick = float(stream.time_base or 0)
        self._resampler: Any = None
        self._format: tuple[Any, ...] | None = None
        self._position = 0
        self._expected: float | None = None

    def decode(self, packet: Any) -> Iterator[Sound]:
        """What a packet gives; ``None`` flushes at the end of the file."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except FAILURES:
            self.errors += 1
            frames = []
        for frame in frames:
            yield from self._place(frame)
        if packet is None:
            yield from self._finish()

    def _place(self, frame: Any) -> Iterator[Sound]:
        if frame.samples == 0:
            return
        if not RATES[0] <= frame.sample_rate <= RATES[1]:
            self.errors += 1
            return
        expected = self._expected
        stamp = time_of(frame, self._tick, self.origin)
        time = (expected or 0.0) if stamp is None else stamp
        self.time = time + frame.samples / frame.sample_rate
        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if expected is None or layout != self._format or abs(time - expected) > GAP:
            yield from self._finish()
            expected, self._format = time, layout
            self._position = round((time - self.start) * self.rate)
            kept = "mono" if self.channel is None else frame.layout
            self._resampler = av.AudioResampler(format="fltp", layout=kept, rate=self.rate)
        self._expected = expected + frame.samples / frame.sample_rate
        yield from self._emit(frame)

    def _emit(self, frame: Any) -> Iterator[Sound]:
        try:
            pieces = self._resampler.resample(frame)
        except FAILURES:
            self.errors += 1
            self._resampler = self._expected = None
            return
        for piece in pieces:
            samples = self._kept(piece.to_ndarray())
            if not np.isfinite(samples).all():
                np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
            yield Sound(self._position, samples)
            self._position += len(samples)

    def _kept(self, channels: Floats) -> Floats:
        """``[C, N]`` to a copy of ``[N]``: the wanted channel, or the mix, which is the only one."""
        wanted = self.channel or 0
        return np.array(channels[wanted] if wanted < len(channels) else np.zeros(channels.shape[1]), dtype=np.float32)

    def _finish(self) -> Iterator[Sound]:
        if self._resampler is not None:
            yield from self._emit(None)
        self._resampler = None
