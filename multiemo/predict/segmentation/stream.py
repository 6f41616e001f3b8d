"""Turns sound, pictures and words into segments with the inputs of the model, for files and live streams alike."""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import soxr
import torch

from multiemo.arrays import Floats
from multiemo.inputs.base import Input
from multiemo.inputs.material import Audio, ClipMaterial, FacePositions, PreparedInput, Utterance
from multiemo.predict.segmentation.face_thread import FaceThread
from multiemo.predict.segmentation.recent_sound import RecentSound, sound_level
from multiemo.predict.segmentation.segmenter import Segmenter, Span
from multiemo.predict.segmentation.turns import Kind
from multiemo.predict.segmentation.voice_presence import at_voice_rate, no_voice
from multiemo.preprocess.faces.frames import Frame
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.transcripts import CAPTION_TAIL, Cue, Transcript
from multiemo.types import Absent, Modality
from multiemo.voice_activity import RATE as VOICE_RATE

Mode: TypeAlias = Literal["whole", "speech", "windows"]

#: Rate at which faces are tracked, pictures a second: every other picture of a film at 25, which takes two thirds of
#: the decoding time. At lower rates the motion of mouths shows less often who speaks
#: (``preprocess/faces/active_speaker.py``).
TRACK_FPS = 12.5
#: Longest delay (seconds) between sound and pictures of one moment; beyond it the later of the two has ended.
STREAM_LAG = 10.0
#: Seconds of sound that decoders hold back until the end of the file.
_DECODER_DELAY = 0.1
#: Largest number of segments that wait for their faces.
_MAX_WAITING = 16


@dataclass(slots=True)
class Segment:
    """A span of the media with the inputs that the model reads.

    Args:
        start, end: seconds.
        kind: how the span was cut: a whole file or row, a turn of speech, a pause, or a window of fixed length.
        text: its words.
        speaker: who says them, if the source of the words states it.
        inputs: {modality: tensor for its encoder}.
        absent: {modality: reason}.
        notes: remarks for the user.
        faces: the faces found in a film.
        sound, rate: ``[N]`` samples of the span and their rate (Hz), for pictures of the timeline.
        raw: {modality: what its tensor was made from, or where its faces were found}, for explanations; ``None``
            unless it is kept.
    """

    start: float
    end: float
    kind: Kind = "whole"
    text: str | None = None
    speaker: str | None = None
    inputs: dict[Modality, torch.Tensor] = field(default_factory=dict)
    absent: dict[Modality, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faces: SpanFaces | None = None
    sound: Floats | None = None
    rate: int = 0
    raw: dict[Modality, object] | None = None

    def read(self, modality: Modality, entry: Input, material: ClipMaterial) -> None:
        """Read the input of one modality from the material of this segment, and store it.

        Args:
            modality: the modality.
            entry: its input.
            material: everything known about the segment.
        """
        raw = entry.take(material)
        got = raw if isinstance(raw, Absent) else entry.prepare(raw)
        self.put(modality, got)
        self.keep(modality, raw, got)

    def keep(self, modality: Modality, raw: object, got: PreparedInput | Absent) -> None:
        """Keep what an input was made from, if raw forms are kept; of pictures only the positions of faces.

        Args:
            modality: the modality.
            raw: its raw form.
            got: what was made of it.
        """
        if self.raw is not None and isinstance(got, PreparedInput):
            self.raw[modality] = raw if got.positions is None else got.positions

    def put(self, modality: Modality, got: PreparedInput | Absent) -> None:
        """Store the input of one modality, or the reason why it is absent."""
        if isinstance(got, Absent):
            self.absent[modality] = got.reason + got.advice
        else:
            self.inputs[modality] = got.tensor
            self.notes += got.notes


class SegmentStream:
    """Cuts a stream into segments and prepares the inputs of each as in training.

    The words are the exception: :class:`~multiemo.predict.segmentation.conversation.Conversation` prepares them, since
    it knows the turns before a segment.

    Sound must be pushed without gaps from time 0, pictures and words with their times. A segment is returned once it
    is complete: its end is decided (at most ``Segmenter.look_ahead`` seconds later), and both sound and pictures have
    passed it. The segments do not depend on the size of the pieces that are pushed.

    Args:
        inputs: {modality: input} of the model.
        mode: ``whole``: one segment; ``speech``: turns of speech and the pauses between them; ``windows``: windows of
            fixed length.
        window: length of a window, of the longest pause, and two thirds of the longest turn, seconds.
        hop: seconds from the start of one window to the next; ``window`` by default.
        rate: sample rate of the sound, Hz.
        audio, video: whether sound and pictures will be pushed.
        no_audio, no_video, no_words: the reasons for the modalities that are absent if they will not.
        transcript: words with times; more can be added with :meth:`push_cues`.
        transcribe: (samples at 16 kHz, their start in seconds) -> transcript, used if there is no transcript.
        keep_sound: keep the sound of each segment, for plots.
        keep_raw: keep the raw form of each input, for explanations.
    """

    def __init__(
        self,
        inputs: Mapping[Modality, Input],
        *,
        mode: Mode,
        window: float,
        hop: float | None = None,
        rate: int,
        audio: bool,
        video: bool,
        no_audio: str = "there is no sound",
        no_video: str = "there are no pictures",
        no_words: str = "no transcript was given",
        transcript: Transcript | None = None,
        transcribe: Callable[[Floats, float], Transcript] | None = None,
        keep_sound: bool = False,
        keep_raw: bool = False,
    ) -> None:
        self.inputs = inputs
        self._mode, self._hop = mode, hop
        self._segmenter = Segmenter(mode, window=window, hop=hop)
        self.overlap = self._segmenter.overlap
        self._audio, self._video = audio, video
        self._no_audio, self._no_video, self._no_words = no_audio, no_video, no_words
        self._sound = RecentSound(rate)
        self._for_voice = None if rate == VOICE_RATE else soxr.ResampleStream(rate, VOICE_RATE, 1, dtype="float32")
        self._real = 0.0  # end of the sound that was pushed, seconds; silence was filled in after it
        self._late = 0.0  # seconds of sound that came too late
        self._seen = 0.0
        self._cues = list(transcript.cues) if transcript is not None else []  # in order of their start
        self._has_words = transcript is not None or transcribe is not None
        self._transcribe, self._keep_sound, self._keep_raw = transcribe, keep_sound, keep_raw
        self._faces: FaceThread | None = None
        self._followed: Modality | None = None
        for m, entry in inputs.items() if video else ():
            tracker = entry.tracker()
            if tracker is not None:
                self._faces, self._followed = FaceThread(tracker), m
        self._spans: deque[Span] = deque()
        self._pending: deque[tuple[Segment, Future[SpanFaces | Absent] | None]] = deque()
        self._closed: float | None = None
        self.problems: list[str] = []
        #: {language: number of turns of speech in which the recogniser detected it}.
        self.languages: Counter[str | None] = Counter()

    def __enter__(self) -> SegmentStream:
        return self

    def __exit__(self, *_: object) -> None:
        if self._faces is not None:
            self._faces.end()

    def push_audio(self, samples: Floats) -> list[Segment]:
        """Push the next sound, ``[N]`` float32 mono; returns the segments that are complete now."""
        late = round((self._sound.end - self._real) * self._sound.rate)
        if late > 0:  # silence has already been filled in for these samples
            self._real += min(late, len(samples)) / self._sound.rate
            self._late += min(late, len(samples)) / self._sound.rate if samples[:late].any() else 0.0
            samples = samples[late:]
            note = f"the sound came more than {STREAM_LAG:.0f} s after its pictures; a part of it was left out"
            if self._late > _DECODER_DELAY and note not in self.problems:
                self.problems.append(note)
        if len(samples):
            self._add_sound(samples)
            self._real = self._sound.end
        return self._ready()

    def push_frame(self, frame: Frame, time: float) -> list[Segment]:
        """Push a picture, shown at ``time`` seconds; returns the segments that are complete now."""
        self._seen = max(self._seen, time)
        if self._faces is not None:
            self._faces.add(frame, time)
        if not self._audio:
            self._spans += self._segmenter.advance(time)
        elif time - self._sound.end > STREAM_LAG:
            self._add_sound(np.zeros(round((time - STREAM_LAG - self._sound.end) * self._sound.rate), np.float32))
        return self._ready()

    def push_cues(self, cues: Sequence[Cue]) -> None:
        """Push words with times; they count if they come before the segment that they belong to is complete."""
        _insert(self._cues, cues)
        self._has_words = True

    @property
    def end(self) -> float:
        """Seconds of sound or pictures so far; once closed, where the last segment ends."""
        return max(self._sound.end, self._seen) if self._closed is None else self._closed

    def close(self, duration: float | None = None) -> list[Segment]:
        """End the stream; returns the remaining segments.

        Args:
            duration: of the whole stream, seconds; by default up to the last sound or picture.
        """
        if self._for_voice is not None and self._audio:
            rest = self._for_voice.resample_chunk(np.zeros(0, np.float32), last=True)
            self._spans += self._segmenter.audio(np.asarray(rest, np.float32))
        end = self.end if duration is None else duration
        self._spans += self._segmenter.close(end)
        while self._spans:
            span = self._spans.popleft()
            if not self._spans:
                self._cues = [cue for cue in self._cues if cue.start < span.end]
            self._prepare(span, words_to=span.end if self._spans else span.end + CAPTION_TAIL)
            self._closed = span.end
        return self._take_complete(wait=True)

    # ------------------------------------------------------------------------------------------------------------
    def _add_sound(self, samples: Floats) -> None:
        """Keep sound for the segments, and cut it into spans."""
        self._sound.add(samples)
        if self._for_voice is not None:
            samples = np.asarray(self._for_voice.resample_chunk(samples), np.float32)
        self._spans += self._segmenter.audio(samples)

    def _ready(self) -> list[Segment]:
        """Prepare the spans that sound and pictures have passed; returns the complete segments."""
        while self._spans and self._passed(self._spans[0].end):
            self._prepare(self._spans.popleft())
        return self._take_complete()

    def _passed(self, time: float) -> bool:
        """Whether both sound and pictures have passed a time, or one of them so far that the other has ended."""
        sound = self._sound.end if self._audio else self._seen
        pictures = self._seen if self._video else sound
        return min(sound, pictures) >= time or max(sound, pictures) >= time + STREAM_LAG

    def _prepare(self, span: Span, words_to: float | None = None) -> None:
        """Prepare the inputs of a span; its faces follow from their thread.

        Args:
            span: the next span.
            words_to: its words are those up to this time, seconds; by default up to its end.
        """
        segment = Segment(round(span.start, 3), round(span.end, 3), span.kind, raw={} if self._keep_raw else None)
        sound = self._sound.cut(span.start, min(span.end, self._real)) if self._audio else np.zeros(0, np.float32)
        if self._keep_sound:
            segment.sound, segment.rate = sound, self._sound.rate
        segment.text, segment.speaker = self._words(span, sound, span.end if words_to is None else words_to)
        material = self._material(span, sound, segment.text)
        for m, entry in self.inputs.items():
            if m == self._followed or (entry.raw is Utterance and segment.text is not None):
                continue  # the tracker or the conversation prepares it
            with _one_thread():
                segment.read(m, entry, material)
        faces = None
        if self._faces is not None:
            faces = self._faces.between(span.start, span.end, sound_level(sound, self._sound.rate, span.start))
        self._pending.append((segment, faces))
        keep = span.end if self._mode != "windows" or self._hop is None else span.start + self._hop
        self._sound.forget(keep)
        self._cues = [cue for cue in self._cues if cue.end >= keep]
        if self._faces is not None:
            self._faces.forget(keep)

    def _material(self, span: Span, sound: Floats, text: str | None) -> ClipMaterial:
        """The raw material of a span, and the reasons for what is missing."""
        audio: Audio | None = None
        missing = {
            "text": "no words in this segment" if self._has_words else self._no_words,
            "video": "the pictures of a film are tracked, not kept" if self._video else self._no_video,
        }
        if not self._audio:
            missing["audio"] = self._no_audio
        elif not len(sound):
            missing["audio"] = f"the audio track has nothing from {span.start:.2f} to {span.end:.2f} s"
        elif any(entry.raw is Audio for entry in self.inputs.values()):
            silent = None
            if span.kind != "speech":
                silent = no_voice(sound, self._sound.rate, pause=span.kind == "pause")
            if silent is None:
                audio = Audio(sound, self._sound.rate)
            else:
                missing["audio"] = silent.reason
        return ClipMaterial(text, audio=audio, missing=missing)

    def _put_faces(self, segment: Segment, found: SpanFaces | Absent) -> None:
        assert self._followed is not None
        if isinstance(found, Absent):
            segment.put(self._followed, found)
        else:
            got = PreparedInput(found.crops, found.notes, FacePositions(found.times, found.boxes))
            segment.put(self._followed, got)
            segment.keep(self._followed, None, got)
            segment.faces = found

    def _words(self, span: Span, sound: Floats, end: float) -> tuple[str | None, str | None]:
        """The words of a span up to ``end`` (seconds), and their speaker.

        Spans that overlap are recognised one by one, so each has the words that were recognised in it alone.
        """
        cues = list(self._cues)
        if self._transcribe is not None and span.kind != "pause" and len(sound):
            recognised = self._transcribe(at_voice_rate(sound, self._sound.rate), span.start)
            _insert(cues, recognised.cues)
            self.languages[recognised.language] += bool(recognised.cues)
            self.problems += [note for note in recognised.notes if note not in self.problems]
        words = Transcript(tuple(cues), "", None, True)
        return words.between(span.start, end), words.speaker(span.start, end)

    def _take_complete(self, wait: bool = False) -> list[Segment]:
        """The next segments whose faces are known; with ``wait`` all of them."""
        complete = []
        while self._pending:
            segment, faces = self._pending[0]
            if faces is not None:
                if not (wait or faces.done() or len(self._pending) > _MAX_WAITING):
                    break
                self._put_faces(segment, faces.result())
            complete.append(self._pending.popleft()[0])
        return complete


def _insert(cues: list[Cue], more: Sequence[Cue]) -> None:
    """Insert cues into a list in order of their start."""
    for cue in more:
        insort(cues, cue, key=lambda c: c.start)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread, which is fastest for a few seconds of sound while other threads are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
