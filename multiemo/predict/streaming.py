"""Predicts a stream of sound, pictures and words as it arrives, with bounded delay and memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from multiemo.arrays import Floats
from multiemo.errors import MediaError
from multiemo.media.playback import MAX_JUMP
from multiemo.media.samples import bits_of
from multiemo.predict.answers import skipped_segment
from multiemo.predict.prediction import SegmentPrediction, TimelineSegment
from multiemo.predict.reader import Options, Reader
from multiemo.predict.segmentation.conversation import Conversation
from multiemo.predict.segmentation.stream import Segment, SegmentStream
from multiemo.predict.smoothing import Smoothing
from multiemo.preprocess.faces.frames import ArrayFrame, Frame
from multiemo.runs.model_folder import Bundle
from multiemo.transcripts import MIN_PACE, Cue

#: Largest peak of sound whose full scale is 1; beyond it the samples are in another scale.
_MAX_PEAK = 2.0
#: This many pictures in a row, each at least this many seconds after the one before, have times in another unit.
_MAX_JUMPS, _JUMP_SECONDS = 3, 5.0
#: A cue longer than this (seconds) is checked for a plausible number of letters.
_LONG_CUE = 60.0
#: Turns of several channels that go through the model together.
_BATCH = 16


class SegmentClassifier(Protocol):
    """The interface of a model that a stream uses; implemented by :class:`~multiemo.predict.Predictor`."""

    bundle: Bundle
    options: Options
    reader: Reader

    def smoothing(self) -> Smoothing:
        """A new smoother for one file or stream."""

    def classify(self, segments: Sequence[Segment]) -> Sequence[tuple[SegmentPrediction, object]]:
        """Predict segments, each of which has inputs; returns the prediction and the embeddings of each."""


class Stream:
    """A stream of one conversation; ``multiemo.stream(run)`` or ``predictor.stream()`` opens one.

    Files are read in the same way. A file that is pushed in pieces of any size therefore gives the same segments as
    ``predict`` with the same ``segments``, ``window`` and ``hop``.

    A segment is complete at most ``Segmenter.look_ahead`` seconds after its end. It is returned, with its smoothed
    prediction, once ``Smoother.lag`` further segments are complete. Memory holds the current segment, and the last
    turns if the text encoder reads context.

    Args:
        predictor: the model.
        segments: ``speech``: turns of speech and the pauses between them; ``windows``: windows of fixed length;
            ``whole``: a single segment, at the end. Without sound ``speech`` means ``windows``.
        window, hop: seconds, as in :func:`multiemo.load`; by default those of the predictor.
        audio, video: whether sound and pictures will be pushed. A segment waits up to ten seconds for whichever of
            the two is behind, so push both if both are announced.
        rate: sample rate of the sound, Hz.

    Example::

        stream = multiemo.load("runs/demo").stream(rate=16000, video=False)
        for samples in microphone:                      # float32, mono
            for segment in stream.push(audio=samples):
                print(segment.start, segment.get("label", "nothing to go by"))
        print(stream.close())
    """

    def __init__(
        self,
        predictor: SegmentClassifier,
        *,
        segments: Literal["speech", "windows", "whole"] = "speech",
        window: float | None = None,
        hop: float | None = None,
        audio: bool = True,
        video: bool = True,
        rate: int = 16000,
    ) -> None:
        options = predictor.options
        self._predictor = predictor
        own = predictor.reader.rate
        self._resample = None if rate == own else soxr.ResampleStream(rate, own, 1, dtype="float32")
        self._audio, self._video = audio, video
        self._stream = SegmentStream(
            predictor.bundle.inputs,
            mode="windows" if segments == "speech" and not audio else segments,
            window=options.window if window is None else window,
            hop=options.hop if hop is None else hop,
            rate=own,
            audio=audio,
            video=video,
            transcribe=predictor.reader.transcribe,
        )
        self._conversation = Conversation(predictor.bundle.inputs, self._stream.overlap)
        self._smoothing = predictor.smoothing()
        self._last_frame = 0.0  # time of the last picture, seconds
        self._early_words: list[float] = []  # start times of words beyond the end of the sound and pictures so far
        self._jumps = 0  # pictures in a row that are far from the one before
        self._closed = False

    def push(
        self,
        *,
        audio: NDArray[np.float32] | None = None,
        frame: NDArray[np.uint8] | Frame | None = None,
        time: float | None = None,
        words: Sequence[Cue] = (),
    ) -> list[TimelineSegment]:
        """Push sound, a picture, words, or any combination of them.

        Args:
            audio: ``[N]`` float mono within -1..1 at ``rate``, which continues the sound before without a gap.
            frame: ``[H, W, 3]`` uint8 RGB.
            time: of the frame, seconds from the start of the stream.
            words: cues with times in seconds; push them before the segment that they belong to is complete.

        Returns:
            The segments that are settled now, in order. Each is a
            :class:`~multiemo.predict.prediction.SegmentPrediction`, or a
            :class:`~multiemo.predict.prediction.SkippedSegment` if no modality was present.

        Raises:
            MediaError: sound or pictures were not announced, have a wrong shape, are not finite or exceed full scale; a
                frame has no time, or times are in another unit; or the stream is closed.
        """
        if self._closed:
            raise MediaError("the stream is closed; open another")
        if words:
            _check_words(words)
            self._stream.push_cues(words)
            self._early_words += [cue.start for cue in words]
        done: list[Segment] = []
        if audio is not None:
            done += self._stream.push_audio(self._checked(audio))
        if frame is not None:
            if not self._video:
                raise MediaError("the stream was opened with video=False, so it takes no frames")
            if time is None or not np.isfinite(time) or time < 0:
                raise MediaError(f"a frame needs its time in seconds from the beginning, 0 or more; got {time}")
            self._check_clock(float(time))
            done += self._stream.push_frame(_as_frame(frame), float(time))
        self._early_words = [start for start in self._early_words if start >= self._stream.end]
        return self._predict(done)

    def close(self, duration: float | None = None) -> list[TimelineSegment]:
        """End the stream.

        Args:
            duration: of the whole stream, seconds; by default up to the last sound or picture.

        Returns:
            The remaining segments, as in :meth:`push`. The last one has a note if words were pushed whose times lie
            after the end of the stream.
        """
        if self._closed:
            return []
        self._closed = True
        done: list[Segment] = []
        if self._resample is not None and self._audio:
            rest = self._resample.resample_chunk(np.zeros(0, np.float32), last=True)
            done += self._stream.push_audio(np.asarray(rest, np.float32))
        with self._stream:
            done += self._stream.close(duration)
        last = [*self._predict(done), *self._smoothing.close()]
        if self._early_words and last:
            note = (
                f"{len(self._early_words)} of the words begin after the end of the stream, at "
                f"{min(self._early_words):.1f} s or later; times are seconds from its beginning"
            )
            last[-1] = replace(last[-1], notes=[*(last[-1].notes or ()), note])
        return last

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._stream.__exit__()

    # ------------------------------------------------------------------------------------------------------------
    def _checked(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._audio:
            raise MediaError("the stream was opened with audio=False, so it takes no sound")
        samples = np.asarray(audio)
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise MediaError(f"sound must be [N] floats within -1..1, got {samples.dtype} of shape {samples.shape}")
        samples = np.asarray(samples, np.float32)
        if not np.isfinite(samples).all():
            raise MediaError("the sound holds samples that are not finite")
        peak = float(np.abs(samples).max(initial=0.0))
        if peak > _MAX_PEAK:
            bits = bits_of(peak)
            what = "scale it" if bits is None else f"divide values of {bits} bits by {2 ** (bits - 1)}"
            raise MediaError(f"the sound peaks at {peak:.4g}, but full scale is 1; {what}")
        return samples if self._resample is None else np.asarray(self._resample.resample_chunk(samples), np.float32)

    def _check_clock(self, time: float) -> None:
        """Refuse times that are not seconds.

        Raises:
            MediaError: the time is too far after that of the picture before.
        """
        step = time - self._last_frame
        self._jumps = self._jumps + 1 if step >= _JUMP_SECONDS else 0
        if step > MAX_JUMP or self._jumps >= _MAX_JUMPS:
            raise MediaError(
                f"a frame at {time:.0f} s follows one at {self._last_frame:.0f} s; times are seconds from the start of "
                "the stream, so divide milliseconds by 1000, and subtract the clock's time at the start"
            )
        self._last_frame = max(self._last_frame, time)

    def _predict(self, segments: Sequence[Segment]) -> list[TimelineSegment]:
        predicted = _predicted(self._predictor, [self._conversation.read(s) for s in segments])
        return [settled for segment in predicted for settled in self._smoothing.push(segment)]


def read_channels(
    predictor: SegmentClassifier,
    sounds: Sequence[Iterable[Floats]],
    words: Sequence[Sequence[Cue]],
    *,
    speakers: Sequence[str] = (),
    duration: float,
) -> list[list[TimelineSegment]]:
    """Predict a conversation with one channel for each speaker; every channel is cut into turns of speech and pauses.

    The context of a turn is the turns of all channels that began before it.

    Args:
        predictor: the model.
        sounds: the sound of each channel, float32 mono at ``predictor.reader.rate``, in pieces.
        words: the cues of each channel. A channel without cues is transcribed if the predictor has a recogniser.
        speakers: name of the speaker on each channel; by default those that the cues name.
        duration: of the conversation, seconds.

    Returns:
        For each channel its segments, smoothed; see :meth:`Stream.push`.
    """

    def cut(number: int) -> Iterator[tuple[int, Segment]]:
        stream = SegmentStream(
            predictor.bundle.inputs,
            mode="speech",
            window=predictor.options.window,
            rate=predictor.reader.rate,
            audio=True,
            video=False,
            transcribe=predictor.reader.transcribe,
        )
        with stream:
            if words[number]:
                stream.push_cues(words[number])
            for samples in sounds[number]:
                yield from ((number, segment) for segment in stream.push_audio(samples))
            yield from ((number, segment) for segment in stream.close(duration))

    conversation = Conversation(predictor.bundle.inputs)
    smoothings = [predictor.smoothing() for _ in sounds]
    settled: list[list[TimelineSegment]] = [[] for _ in sounds]
    turns = heapq.merge(*map(cut, range(len(sounds))), key=lambda turn: turn[1].start)
    while batch := list(islice(turns, _BATCH)):
        for number, segment in batch:
            segment.speaker = speakers[number] if speakers else segment.speaker
            conversation.read(segment)
        for (number, _), prediction in zip(batch, _predicted(predictor, [s for _, s in batch]), strict=True):
            settled[number] += smoothings[number].push(prediction)
    return [[*segments, *smoothing.close()] for segments, smoothing in zip(settled, smoothings, strict=True)]


def _predicted(predictor: SegmentClassifier, segments: Sequence[Segment]) -> list[TimelineSegment]:
    """The prediction of each segment; a segment without inputs is skipped."""
    to_predict = [s for s in segments if s.inputs]
    predictions = iter(predictor.classify(to_predict) if to_predict else [])
    return [next(predictions)[0] if s.inputs else skipped_segment(s) for s in segments]


def _check_words(words: Sequence[Cue]) -> None:
    """Refuse cues whose times are not plausible as seconds.

    Raises:
        MediaError: a cue has no times, or it lasts over a minute with fewer letters than people would say.
    """
    for cue in words:
        length = cue.end - cue.start
        if not np.isfinite(length):
            raise MediaError(f"the words {cue.text[:40]!r} have no times; give both in seconds")
        if length > _LONG_CUE and len(cue.text) < MIN_PACE * length:
            raise MediaError(
                f"the words {cue.text[:40]!r} last from {cue.start:g} to {cue.end:g} s; give times in seconds, not "
                "milliseconds"
            )


def _as_frame(frame: NDArray[np.uint8] | Frame) -> Frame:
    """The frame; an array is checked first."""
    if not isinstance(frame, np.ndarray):
        return frame
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise MediaError(f"a frame must be [H, W, 3] uint8 RGB, got {frame.dtype} of shape {frame.shape}")
    return ArrayFrame(frame)
