"""Decode one audio track: packets in, pieces of mono audio out, each at the position of its timestamp."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

from multiemo.arrays import Floats
from multiemo.media.container import FAILURES, GAP_TOLERANCE, SAMPLE_RATES, time_of
from multiemo.media.samples import PLAIN_MIX, Mix, channels_of


@dataclass(slots=True)
class SoundPiece:
    """A piece of mono audio.

    Args:
        position: position of its first sample, in samples at the output rate, relative to the span's start.
        samples: ``[N]`` float32.
    """

    position: int
    samples: Floats


class AudioTrack:
    """Decodes one audio stream to mono at a given rate, each sample at the position of its timestamp.

    Runs of contiguous frames go through one resampler, so positions cannot drift. After a gap, an overlap or a change
    of format a new run starts at the position of its timestamp.

    Args:
        stream: PyAV audio stream.
        rate: sample rate of the output, Hz.
        origin: value of the file's clock at its beginning, seconds.
        start: start of the span, seconds from the file's beginning.
        channel: the channel to keep, from 0; ``None`` mixes all channels. Frames that lack the channel are silent.
        mix: how the channels are mixed to one.
    """

    def __init__(
        self,
        stream: Any,
        rate: int,
        origin: float,
        start: float,
        channel: int | None = None,
        mix: Mix = PLAIN_MIX,
    ) -> None:
        self.stream, self.rate, self.origin, self.start = stream, rate, origin, start
        self.channel, self.mix = channel, mix
        self.time = -math.inf
        self.errors = 0
        self._tick = float(stream.time_base or 0)
        self._resampler: Any = None
        self._input_rate = 0  # Hz
        self._position = 0
        self._expected: float | None = None

    def decode(self, packet: Any) -> Iterator[SoundPiece]:
        """Decode a packet to pieces of audio. ``None`` flushes the decoder at the end of the file."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except FAILURES:
            self.errors += 1
            frames = []
        for frame in frames:
            yield from self._place(frame)
        if packet is None:
            yield from self._finish()

    def _place(self, frame: Any) -> Iterator[SoundPiece]:
        if frame.samples == 0:
            return
        if not SAMPLE_RATES[0] <= frame.sample_rate <= SAMPLE_RATES[1]:
            self.errors += 1
            return
        expected = self._expected
        stamp = time_of(frame, self._tick, self.origin)
        time = (expected or 0.0) if stamp is None else stamp
        self.time = time + frame.samples / frame.sample_rate
        if expected is None or frame.sample_rate != self._input_rate or abs(time - expected) > GAP_TOLERANCE:
            yield from self._finish()
            expected, self._input_rate = time, frame.sample_rate
            self._position = round((time - self.start) * self.rate)
            self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=self.rate)
        self._expected = expected + frame.samples / frame.sample_rate
        yield from self._emit(frame)

    def _emit(self, frame: Any) -> Iterator[SoundPiece]:
        try:
            pieces = self._resampler.resample(None if frame is None else self._mono(frame))
        except FAILURES:
            self.errors += 1
            self._resampler = self._expected = None
            return
        for piece in pieces:
            samples = piece.to_ndarray()[0]
            yield SoundPiece(self._position, samples)
            self._position += len(samples)

    def _mono(self, frame: Any) -> Any:
        """Mix a frame to one channel. This is done before resampling, so that its cost does not grow with channels."""
        samples = self.mix.to_mono(channels_of(frame), self.channel)
        mono = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        mono.sample_rate = frame.sample_rate
        return mono

    def _finish(self) -> Iterator[SoundPiece]:
        if self._resampler is not None:
            yield from self._emit(None)
        self._resampler = None
