"""Sound, pictures and words in, segments with the model's inputs out: one path for files and for live streams."""

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
from multiemo.inputs.material import Audio, ClipMaterial, PreparedInput, Utterance
from multiemo.predict.segmentation.face_thread import FaceThread
from multiemo.predict.segmentation.recent_sound import RecentSound, level_of
from multiemo.predict.segmentation.segmenter import Segmenter, Span
from multiemo.predict.segmentation.turns import Kind
from multiemo.predict.segmentation.voice_presence import at_voice_rate, no_voice
from multiemo.preprocess.faces.frames import Frame
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.transcripts import CAPTION_TAIL, Cue, Transcript
from multiemo.types import Absent, Modality
from multiemo.voice_activity import RATE as VOICE_RATE

Mode: TypeAlias = Literal["whole", "speech", "windows"]

#: Pictures a second in which faces are followed: every other of a film of 25, which codecs give for two thirds of the
#: price. The fewer, the more seldom a mouth's motion tells who speaks (``preprocess/faces/active_speaker.py``).
TRACK_FPS = 12.5
#: Sound and pictures of one moment may come this far apart (seconds); then the one that lags has ended.
STREAM_LAG = 10.0
#: Seconds of sound that decoders keep to themselves until the file ends.
_DELAY = 0.1
#: Segments that wait for their faces.
_WAITING = 16


@dataclass(slots=True)
class Segment:
    """A span with what was found in it.

    Args:
        start, end: seconds.
        kind: how the span was found: the whole of a short file or row, a turn of speech, a pause, or a fixed window.
        text: its words.
        speaker: who says them, where the source of the words tells.
        inputs: {modality: what the model reads}.
        absent: {modality: reason}.
        notes: what the user may want to know.
        faces: what is known of the faces of a film.
        sound, rate: ``[N]`` of the span and its sample rate, for pictures of the timeline.
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

    def put(self, modality: Modality, got: PreparedInput | Absent) -> None:
        """Take in what was made of one modality, or why nothing was."""
        if isinstance(got, Absent):
            self.absent[modality] = got.reason + got.advice
        else:
            self.inputs[modality] = got.tensor
            self.notes += got.notes


class SegmentStream:
    """Cuts what comes in into segments and prepares each as training does, but for its words: they are read in their
    conversation (``predict/segmentation/conversation.py``).

    Sound must come without gaps from time 0; pictures and words with their times. A segment comes out once everything
    that belongs to it is known: its end has been decided (``Segmenter.look_ahead`` seconds) and both the sound and the
    pictures have passed it. Pieces of any size give the same segments.

    Args:
        inputs: {modality: input} of the model.
        mode: ``whole``: one segment; ``speech``: turns of speech and the pauses between them; ``windows``: every
            ``hop`` seconds a window.
        window: seconds; the longest pause, two thirds of the longest turn, or the window.
        hop: seconds between windows; ``window`` by default.
        rate: of the sound, Hz.
        audio, video: whether there will be sound, and pictures.
        no_audio, no_video, no_words: the reasons where there will be none.
        transcript: words with times; more can be given with :meth:`push_cues`.
        transcribe: (samples at 16 kHz, their start in seconds) -> words, for what has no transcript.
        keep_sound: keep the sound of each segment, for plots.
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
    ) -> None:
        self.inputs = inputs
        self._mode, self._hop = mode, hop
        self._segmenter = Segmenter(mode, window=window, hop=hop)
        self.overlap = self._segmenter.overlap
        self._audio, self._video = audio, video
        self._no_audio, self._no_video, self._no_words = no_audio, no_video, no_words
        self._sound = RecentSound(rate)
        self._for_voice = None if rate == VOICE_RATE else soxr.ResampleStream(rate, VOICE_RATE, 1, dtype="float32")
        self._real = 0.0  # seconds of sound that came; what follows was filled up with silence
        self._lost = 0.0  # seconds of sound that came too late
        self._seen = 0.0
        self._cues = list(transcript.cues) if transcript is not None else []  # by their start
        self._has_words = transcript is not None or transcribe is not None
        self._transcribe, self._keep_sound = transcribe, keep_sound
        self._faces: FaceThread | None = None
        self._followed: Modality | None = None
        for m, entry in inputs.items() if video else ():
            tracker = entry.tracker()
            if tracker is not None:
                self._faces, self._followed = FaceThread(tracker), m
        self._spans: deque[Span] = deque()
        self._making: deque[tuple[Segment, Future[SpanFaces | Absent] | None]] = deque()
        self._closed: float | None = None
        self.problems: list[str] = []
        #: {language: turns of speech} as the recogniser heard them.
        self.languages: Counter[str | None] = Counter()

    def __enter__(self) -> SegmentStream:
        return self

    def __exit__(self, *_: object) -> None:
        if self._faces is not None:
            self._faces.end()

    def push_audio(self, samples: Floats) -> list[Segment]:
        """``[N]`` float32 mono that follow what was heard before."""
        late = round((self._sound.end - self._real) * self._sound.rate)
        if late > 0:  # silence stood in for this
            self._real += min(late, len(samples)) / self._sound.rate
            self._lost += min(late, len(samples)) / self._sound.rate if samples[:late].any() else 0.0
            samples = samples[late:]
            note = f"the sound came more than {STREAM_LAG:.0f} s after its pictures; a part of it was left out"
            if self._lost > _DELAY and note not in self.problems:
                self.problems.append(note)
        if len(samples):
            self._listen(samples)
            self._real = self._sound.end
        return self._ready()

    def push_frame(self, frame: Frame, time: float) -> list[Segment]:
        """A picture, shown at ``time`` seconds."""
        self._seen = max(self._seen, time)
        if self._faces is not None:
            self._faces.add(frame, time)
        if not self._audio:
            self._spans += self._segmenter.advance(time)
        elif time - self._sound.end > STREAM_LAG:
            self._listen(np.zeros(round((time - STREAM_LAG - self._sound.end) * self._sound.rate), np.float32))
        return self._ready()

    def push_cues(self, cues: Sequence[Cue]) -> None:
        """Words with times; those of a segment count if they come before it is done."""
        self._put(cues)
        self._has_words = True

    @property
    def end(self) -> float:
        """Seconds of sound or pictures so far; once closed, where the last segment ends."""
        return max(self._sound.end, self._seen) if self._closed is None else self._closed

    def close(self, duration: float | None = None) -> list[Segment]:
        """The rest: nothing more will come.

        Args:
            duration: seconds of the whole; by default up to the last sound or picture.
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
            self._make(span, words_to=span.end if self._spans else span.end + CAPTION_TAIL)
            self._closed = span.end
        return self._done(wait=True)

    # ------------------------------------------------------------------------------------------------------------
    def _listen(self, samples: Floats) -> None:
        self._sound.add(samples)
        if self._for_voice is not None:
            samples = np.asarray(self._for_voice.resample_chunk(samples), np.float32)
        self._spans += self._segmenter.audio(samples)

    def _ready(self) -> list[Segment]:
        while self._spans and self._passed(self._spans[0].end):
            self._make(self._spans.popleft())
        return self._done()

    def _passed(self, time: float) -> bool:
        """Whether sound and pictures are beyond a time."""
        heard = self._sound.end if self._audio else self._seen
        seen = self._seen if self._video else heard
        return min(heard, seen) >= time or max(heard, seen) >= time + STREAM_LAG

    def _make(self, span: Span, words_to: float | None = None) -> None:
        segment = Segment(round(span.start, 3), round(span.end, 3), span.kind)
        sound = self._sound.cut(span.start, min(span.end, self._real)) if self._audio else np.zeros(0, np.float32)
        if self._keep_sound:
            segment.sound, segment.rate = sound, self._sound.rate
        segment.text, segment.speaker = self._words(span, sound, span.end if words_to is None else words_to)
        material = self._material(span, sound, segment.text)
        for m, entry in self.inputs.items():
            if m == self._followed or (entry.raw is Utterance and segment.text is not None):
                continue  # comes from the tracker, or is read in its conversation
            with _one_thread():
                segment.put(m, entry.read(material))
        faces = None
        if self._faces is not None:
            faces = self._faces.between(span.start, span.end, level_of(sound, self._sound.rate, span.start))
        self._making.append((segment, faces))
        keep = span.end if self._mode != "windows" or self._hop is None else span.start + self._hop
        self._sound.forget(keep)
        self._cues = [cue for cue in self._cues if cue.end >= keep]
        if self._faces is not None:
            self._faces.forget(keep)

    def _material(self, span: Span, sound: Floats, text: str | None) -> ClipMaterial:
        """What there is of a span, and why the rest is missing."""
        audio: Audio | None = None
        missing = {
            "text": "no words in this segment" if self._has_words else self._no_words,
            "video": "pictures of a film are followed, not kept" if self._video else self._no_video,
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
            segment.put(self._followed, PreparedInput(found.crops, found.notes))
            segment.faces = found

    def _words(self, span: Span, sound: Floats, end: float) -> tuple[str | None, str | None]:
        """What is said up to ``end`` (seconds), and who says it."""
        if self._transcribe is not None and span.kind != "pause" and len(sound):
            heard = self._transcribe(at_voice_rate(sound, self._sound.rate), span.start)
            self._put(heard.cues)
            self.languages[heard.language] += 1
            self.problems += [note for note in heard.notes if note not in self.problems]
        said = Transcript(tuple(self._cues), "", None, True)
        return said.between(span.start, end), said.speaker(span.start, end)

    def _put(self, cues: Sequence[Cue]) -> None:
        for cue in cues:
            insort(self._cues, cue, key=lambda c: c.start)

    def _done(self, wait: bool = False) -> list[Segment]:
        done = []
        while self._making:
            segment, faces = self._making[0]
            if faces is not None:
                if not (wait or faces.done() or len(self._making) > _WAITING):
                    break
                self._put_faces(segment, faces.result())
            done.append(self._making.popleft()[0])
        return done


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch with one thread: for sound of a few seconds, more of them wait longer for a busy core than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
