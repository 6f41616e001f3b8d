"""Sound, pictures and words in as they come, an emotion timeline out with bounded delay and memory."""

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
from multiemo.predict.answers import skipped
from multiemo.predict.prediction import SegmentPrediction, TimelineSegment
from multiemo.predict.reader import Options, Reader
from multiemo.predict.segmentation.conversation import Conversation
from multiemo.predict.segmentation.stream import Segment, SegmentStream
from multiemo.predict.smoothing import Smoothing
from multiemo.preprocess.faces.frames import ArrayFrame, Frame
from multiemo.runs.model_folder import Bundle
from multiemo.transcripts import MIN_PACE, Cue

#: Floats may go beyond full scale by this much; more is another scale.
_OVER = 2.0
#: So many pictures in a row, each so many seconds after the one before, are of another unit of time.
_FEW, _FAR = 3, 5.0
#: Seconds that words must last before they are asked whether they can be so few.
_LONG_CUE = 60.0
#: Turns of several channels that go through the model together.
_BATCH = 16


class SegmentClassifier(Protocol):
    """What a stream needs of a model; :class:`~multiemo.predict.Predictor` has it."""

    bundle: Bundle
    options: Options
    reader: Reader

    def smoothing(self) -> Smoothing:
        """For one file or stream."""

    def classify(self, segments: Sequence[Segment]) -> Sequence[tuple[SegmentPrediction, object]]:
        """What the model says of each segment that has inputs, and the embedding of each of its modalities."""


class Stream:
    """A stream of one conversation; ``multiemo.stream(run)`` or ``predictor.stream()`` opens one.

    It goes the way that a file goes, so a file that is pushed in pieces of any size gives the segments that
    ``predict`` gives with the same ``segments``, ``window`` and ``hop``.

    A segment comes out when it is over, which is known ``Segmenter.look_ahead`` seconds after its end, and smoothed
    when ``Smoother.lag`` more segments are over. Memory holds the open segment, and the
    last turns where the text encoder reads some.

    Args:
        predictor: the model.
        segments: ``speech``: turns of speech and the pauses between them; ``windows``; ``whole``: one, at the end.
            Without sound ``speech`` means ``windows``.
        window, hop: seconds, as in :func:`multiemo.load`; those of the predictor by default.
        audio, video: whether there will be sound, and pictures. What is announced must come, and what belongs together
            within ten seconds: so long a segment waits for both.
        rate: of the sound, Hz.

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
        self._shown = 0.0
        self._ahead: list[float] = []  # when words begin for which nothing came yet
        self._far = 0  # pictures in a row that lie far from the one before
        self._closed = False

    def push(
        self,
        *,
        audio: NDArray[np.float32] | None = None,
        frame: NDArray[np.uint8] | Frame | None = None,
        time: float | None = None,
        words: Sequence[Cue] = (),
    ) -> list[TimelineSegment]:
        """What came, in any combination.

        Args:
            audio: ``[N]`` mono within -1..1, at ``rate``, that follows what came before without a gap.
            frame: ``[H, W, 3]`` uint8 RGB.
            time: of the frame, seconds from the beginning of the sound.
            words: with their times in seconds; those of a segment count if they come before it is over.

        Returns:
            The segments that are settled now, in order: a
            :class:`~multiemo.predict.prediction.SegmentPrediction` each, or a
            :class:`~multiemo.predict.prediction.SkippedSegment` where nothing was present.

        Raises:
            MediaError: what came cannot be used: not announced, of a wrong shape, not finite, beyond full scale, a
                frame without a time or with one in another unit, or after :meth:`close`.
        """
        if self._closed:
            raise MediaError("the stream is closed; open another")
        if words:
            _check_words(words)
            self._stream.push_cues(words)
            self._ahead += [cue.start for cue in words]
        done: list[Segment] = []
        if audio is not None:
            done += self._stream.push_audio(self._checked(audio))
        if frame is not None:
            if not self._video:
                raise MediaError("the stream was opened with video=False, so it takes no frames")
            if time is None or not np.isfinite(time) or time < 0:
                raise MediaError(f"a frame needs its time in seconds from the beginning, 0 or more; got {time}")
            self._check_clock(float(time))
            done += self._stream.push_frame(_framed(frame), float(time))
        self._ahead = [start for start in self._ahead if start >= self._stream.end]
        return self._predict(done)

    def close(self, duration: float | None = None) -> list[TimelineSegment]:
        """End the stream.

        Args:
            duration: of the whole, seconds; up to the last sound or picture by default.

        Returns:
            The segments that were left, as of :meth:`push`; the last has a note where words came for which there was no
            sound or picture.
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
        if self._ahead and last:
            note = (
                f"{len(self._ahead)} of the words begin after the end of the stream, at {min(self._ahead):.1f} s or "
                "later; times are seconds from its beginning"
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
        if peak > _OVER:
            bits = bits_of(peak)
            what = "scale it" if bits is None else f"divide values of {bits} bits by {2 ** (bits - 1)}"
            raise MediaError(f"the sound reaches {peak:.4g}, and full scale is 1; {what}")
        return samples if self._resample is None else np.asarray(self._resample.resample_chunk(samples), np.float32)

    def _check_clock(self, time: float) -> None:
        """Notice times that are no seconds."""
        step = time - self._shown
        self._far = self._far + 1 if step >= _FAR else 0
        if step > MAX_JUMP or self._far >= _FEW:
            raise MediaError(
                f"a frame of {time:.0f} s follows one of {self._shown:.0f} s; times are seconds from the beginning of "
                "the stream, so divide milliseconds by 1000, and take off what the clock showed at the beginning"
            )
        self._shown = max(self._shown, time)

    def _predict(self, segments: Sequence[Segment]) -> list[TimelineSegment]:
        said = _classified(self._predictor, [self._conversation.read(s) for s in segments])
        return [done for segment in said for done in self._smoothing.push(segment)]


def read_channels(
    predictor: SegmentClassifier,
    sounds: Sequence[Iterable[Floats]],
    words: Sequence[Sequence[Cue]],
    *,
    speakers: Sequence[str] = (),
    duration: float,
) -> list[list[TimelineSegment]]:
    """A conversation of which each channel holds a part: turns of speech and pauses of every channel.

    The turns before a turn are those of all channels that began before it.

    Args:
        predictor: the model.
        sounds: of each channel what it holds at ``predictor.reader.rate``, piece by piece, float32 mono.
        words: of each channel its cues; what has none is written down by the predictor's recogniser, if there is one.
        speakers: who speaks on each channel; by default whom the cues name.
        duration: of the whole, seconds.

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
    said: list[list[TimelineSegment]] = [[] for _ in sounds]
    turns = heapq.merge(*map(cut, range(len(sounds))), key=lambda turn: turn[1].start)
    while some := list(islice(turns, _BATCH)):
        for number, segment in some:
            segment.speaker = speakers[number] if speakers else segment.speaker
            conversation.read(segment)
        for (number, _), one in zip(some, _classified(predictor, [s for _, s in some]), strict=True):
            said[number] += smoothings[number].push(one)
    return [[*settled, *smoothing.close()] for settled, smoothing in zip(said, smoothings, strict=True)]


def _classified(predictor: SegmentClassifier, segments: Sequence[Segment]) -> list[TimelineSegment]:
    """What the model says of each segment."""
    heard = [s for s in segments if s.inputs]
    said = iter(predictor.classify(heard) if heard else [])
    return [next(said)[0] if s.inputs else skipped(s) for s in segments]


def _check_words(words: Sequence[Cue]) -> None:
    """Refuse times that cannot be seconds.

    Raises:
        MediaError: a cue says less than a letter in ten seconds, for more than a minute, or has no times.
    """
    for cue in words:
        lasts = cue.end - cue.start
        if not np.isfinite(lasts):
            raise MediaError(f"the words {cue.text[:40]!r} have no times; give both in seconds")
        if lasts > _LONG_CUE and len(cue.text) < MIN_PACE * lasts:
            raise MediaError(
                f"the words {cue.text[:40]!r} last from {cue.start:g} to {cue.end:g} s; if that is milliseconds, give "
                "seconds"
            )


def _framed(frame: NDArray[np.uint8] | Frame) -> Frame:
    if not isinstance(frame, np.ndarray):
        return frame
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise MediaError(f"a frame must be [H, W, 3] uint8 RGB, got {frame.dtype} of shape {frame.shape}")
    return ArrayFrame(frame)
