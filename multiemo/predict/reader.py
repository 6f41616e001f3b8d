"""An item -> its segments, each with the tensors that the model's encoders want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from multiemo.data.dataset import Preprocessor
from multiemo.data.features import read_features
from multiemo.data.manifest import media_path
from multiemo.data.media import Media, Playback, PlayedSound, is_image, probe, read_media
from multiemo.data.subtitles import embedded_subtitles
from multiemo.data.transcripts import Transcript, fitted, left_over, side_transcripts, unplaced
from multiemo.errors import ConfigError, MediaError
from multiemo.predict.ahead import ahead
from multiemo.predict.conversation import Conversation, alone
from multiemo.predict.items import Item
from multiemo.predict.segmenter import Segmenter
from multiemo.predict.segments import TRACK_FPS, Mode, Segment, SegmentStream, no_features
from multiemo.predict.voice import cut_off, no_voice
from multiemo.preprocess.face import NO_FACE
from multiemo.types import Absent, Clip, Modality
from multiemo.voice_activity import RATE as VOICE_RATE

if TYPE_CHECKING:
    from multiemo.predict.asr import Transcriber

Segments: TypeAlias = Literal["auto", "whole", "speech", "windows"]

#: Seconds of a window of a long file.
WINDOW = 4.0
#: A file of up to this many windows is one segment, unless asked otherwise.
SHORT = 1.5
#: Said of a still in which no face is found.
_NOTHING_BUT = '; if it is nothing but a face, say so: --cropped, or "cropped": true in a manifest row'


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How files are cut into segments and where words come from; see :func:`multiemo.predict.load`.

    Raises:
        ConfigError: a value that cannot be.
    """

    segments: Segments = "auto"
    window: float = WINDOW
    hop: float | None = None
    transcriber: Transcriber | None = None
    traces: bool = False
    track: int | None = None

    def __post_init__(self) -> None:
        if self.segments not in ("auto", "whole", "speech", "windows"):
            raise ConfigError(f"segments: {self.segments!r} is not one of auto, whole, speech, windows")
        if not 0.5 <= self.window <= 60:
            raise ConfigError(f"window: {self.window} s; it must lie between 0.5 and 60 s")
        if self.hop is not None and not 0.1 <= self.hop <= self.window:
            raise ConfigError(f"hop: {self.hop} s; it must lie between 0.1 s and the window ({self.window} s)")
        if self.track is not None and self.track < 1:
            raise ConfigError(f"track: {self.track}; audio tracks are counted from 1")
        if self.hop is not None and self.segments != "windows":
            raise ConfigError("hop: only windows overlap; give segments=windows too")


@dataclass(slots=True)
class Reading:
    """An item that is being read.

    Args:
        segments: one after the other, as they are read; raises MediaError where the item cannot be read.
        words: where its words come from, as in the prediction JSON; complete when the last segment is read.
        notes: what the user may want to know of the file as a whole; complete then.
    """

    segments: Iterator[Segment]
    words: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Reader:
    """Reads media files and manifest rows.

    Args:
        preprocessors: {modality: preprocessor} of the model.
        options: how files are cut.
    """

    def __init__(self, preprocessors: Mapping[Modality, Preprocessor], options: Options) -> None:
        self.preprocessors = preprocessors
        self.options = options
        #: (samples at 16 kHz, their start in seconds) -> words, where there is a recogniser.
        self.transcribe = None if options.transcriber is None else options.transcriber.transcribe

    @property
    def rate(self) -> int:
        """Sample rate at which files are read, Hz; for a model that does not hear, what voice activity needs."""
        speech = self.preprocessors.get("speech")
        heard = speech is not None and speech.spec.kind in ("speech", "waveform")
        return int(speech.spec.sample_rate) if heard and speech is not None else VOICE_RATE

    def open(self, item: Item) -> Reading:
        """The segments of an item; a manifest row is one.

        Raises:
            MediaError: it cannot be read.
        """
        if item.refused is not None:
            raise MediaError(item.refused)
        if item.clip is not None and item.folder is not None:
            return Reading(iter([self._row(item.clip, item.folder, item.context)]))
        if item.path is None:
            said = self._segment(Media(), item.text, "no audio was given", "no picture was given")
            return Reading(iter([said]), notes=self._alone(item.text))
        self._check(item.path)
        if is_image(item.path):
            text = item.text if item.transcript is None else item.transcript.text
            media = read_media(item.path, **self._wanted())
            said = self._segment(media, text, "the input is a still image", "")
            return Reading(iter([said]), notes=self._alone(text))
        return self._play(item, item.path)

    def _play(self, item: Item, path: Path) -> Reading:
        """A file from its beginning to its end."""
        options = self.options
        notes: list[str] = []
        track = options.track
        playback = Playback(path, rate=self.rate, fps=TRACK_FPS if self._looks else None, track=track)
        length = playback.duration
        mode: Mode
        if options.segments != "auto":
            mode = options.segments
        elif length is not None and length <= SHORT * options.window:
            mode = "whole"
        else:
            mode = "speech"
        if mode == "speech" and not playback.has_audio:
            mode = "windows"
        try:
            transcript, outside = self._transcript(item, path, length, mode == "whole", notes)
            if transcript is not None and not transcript.timed and mode != "whole":
                transcript = transcript.spread(spoken(path, options.window, track) or [(0.0, length or options.window)])
        except BaseException:
            playback.close()
            raise
        stream = SegmentStream(
            self.preprocessors,
            mode=mode,
            window=options.window,
            hop=options.hop,
            rate=self.rate,
            audio=playback.has_audio,
            video=playback.has_video,
            no_audio=playback.absent.get("audio", ""),
            no_video=playback.absent.get("video", ""),
            no_words=outside or "no transcript was given",
            transcript=transcript,
            transcribe=self.transcribe if transcript is None else None,
            keep_sound=options.traces,
        )
        words: dict[str, Any] = {"absent": outside or "no transcript was given, beside the file or in it"}
        if transcript is not None:
            words = {"source": transcript.source, "language": transcript.language}
        elif options.transcriber is not None:
            words = {"source": options.transcriber.source, "language": None}
        notes += transcript.notes if transcript is not None else ()
        if mode == "whole" and "source" in words:
            notes += alone(self.preprocessors)
        conversation = Conversation(self.preprocessors, stream.overlap)
        segments = _played(playback, stream, transcript, words, notes)
        return Reading(map(conversation.read, segments), words, notes)

    def _alone(self, text: str | None) -> list[str]:
        return alone(self.preprocessors) if text else []

    def _transcript(
        self, item: Item, path: Path, length: float | None, whole: bool, notes: list[str]
    ) -> tuple[Transcript | None, str | None]:
        """What was given, else what lies beside the file, else what is in it (``notes`` gets why not); and what to say
        where the only words lie outside the file."""
        if item.text is not None:
            return Transcript.untimed(item.text, "given"), None
        if item.transcript is not None:
            return fitted(item.transcript, length, fps=_pictures(item.transcript, path), whole=whole), None
        outside = None
        for beside in side_transcripts(path, notes):
            said = fitted(beside, length, fps=_pictures(beside, path), whole=whole)
            outside = None if length is None else unplaced(said, length)
            if outside is None:
                return said, None
            notes.append(outside)
        return embedded_subtitles(path, notes), outside

    @property
    def _looks(self) -> bool:
        face = self.preprocessors.get("face")
        return face is not None and face.spec.kind == "face"

    def _check(self, path: Path) -> None:
        kinds = {p.spec.kind for p in self.preprocessors.values()}
        if kinds == {"features"}:
            names = ", ".join(self.preprocessors)
            raise MediaError(f"{path}: the model reads precomputed features ({names}) only; give it a manifest")

    def _wanted(self) -> dict[str, Any]:
        hears = "speech" in self.preprocessors
        wanted: dict[str, Any] = {"rate": self.rate, "track": self.options.track} if hears else {}
        if self._looks:
            face = self.preprocessors["face"].spec
            wanted |= {"fps": face.fps, "max_frames": face.frames}
        return wanted

    def _read(self, path: Path, start: float | None, end: float | None) -> Media:
        return read_media(path, start=start, end=end, **self._wanted())

    def _segment(
        self,
        media: Media,
        text: str | None,
        no_audio: str = "",
        no_video: str = "",
        context: Sequence[tuple[bool, str]] = (),
        cropped: bool = False,
    ) -> Segment:
        segment = Segment(round(media.offset, 3), round(media.offset + media.duration, 3), notes=list(media.problems))
        for m, preprocessor in self.preprocessors.items():
            kind = preprocessor.spec.kind
            got: Any
            if kind == "text":
                got = preprocessor(text, context) if text is not None else Absent("no transcript was given")
            elif kind == "features":
                got = no_features(m)
            elif kind in ("speech", "waveform"):
                got = Absent(media.absent.get("audio") or no_audio or "the file has no audio track")
                if media.audio is not None and media.rate is not None:
                    got = no_voice(media.audio, media.rate) or preprocessor(media.audio, media.rate)
                    segment.notes += cut_off(got, media.audio, media.rate, preprocessor.spec)
            else:
                blind = Absent(media.absent.get("video") or no_video or "the file has no video track")
                got = blind if media.frames is None else preprocessor(media.frames, media.times, cropped)
                if got == Absent(NO_FACE) and media.duration == 0:  # a still
                    got = Absent(NO_FACE + _NOTHING_BUT)
            segment.file(m, got)
        return segment

    def _row(self, clip: Clip, folder: Path, context: Sequence[tuple[bool, str]]) -> Segment:
        """A manifest row is one segment, fed as in training."""
        merged = Segment(clip.start or 0.0, clip.end or clip.start or 0.0)
        for m, preprocessor in self.preprocessors.items():
            kind = preprocessor.spec.kind
            reference = clip.features.get(m)
            if kind == "features" and reference is not None:
                values, _ = read_features(media_path(reference.path, folder), reference.key, clip.start, clip.end)
                merged.file(m, preprocessor(values))
        sources: dict[str, set[Modality]] = {}
        voice, picture = clip.audio or clip.video, clip.video or clip.image
        for m, source in (("speech", voice), ("face", picture)):
            if m in self.preprocessors and source and m not in merged.inputs:
                sources.setdefault(source, set()).add(m)  # type: ignore[arg-type]
        for source, wanted in sources.items():
            media = self._read(media_path(source, folder), clip.start, clip.end)
            part = self._segment(media, None, cropped=clip.cropped)
            merged.end = max(merged.end, part.end)
            merged.notes += part.notes
            merged.inputs.update({m: x for m, x in part.inputs.items() if m in wanted})
            merged.absent.update({m: r for m, r in part.absent.items() if m in wanted})
        rest = self._segment(Media(), clip.text, "the row has no audio", "the row has neither video nor image", context)
        merged.inputs = {**rest.inputs, **merged.inputs}
        merged.absent = {m: r for m, r in {**rest.absent, **merged.absent}.items() if m not in merged.inputs}
        return merged


def _pictures(transcript: Transcript, path: Path) -> float | None:
    """Pictures a second of a film, for a transcript whose times count them."""
    return None if transcript.fps is None else probe(path).fps


def spoken(path: Path, window: float, track: int | None = None) -> list[tuple[float, float]]:
    """The turns of speech of a file as (start, end) in seconds; its sound is read once for that."""
    segmenter = Segmenter("speech", window=window)
    playback = Playback(path, rate=VOICE_RATE, fps=None, track=track)
    if not playback.has_audio:
        playback.close()
        return []
    spans = [s for piece in playback.pieces() if isinstance(piece, PlayedSound) for s in segmenter.audio(piece.samples)]
    spans += segmenter.close(playback.duration or 0.0)
    return [(span.start, span.end) for span in spans if span.kind == "speech"]


def _played(
    playback: Playback, stream: SegmentStream, transcript: Transcript | None, words: dict[str, Any], notes: list[str]
) -> Iterator[Segment]:
    with stream:
        for piece in ahead(playback.pieces(), playback.pixels):
            yield from (
                stream.hear(piece.samples) if isinstance(piece, PlayedSound) else stream.see(piece.frame, piece.time)
            )
        last = stream.close(playback.duration)
    if stream.languages:
        words["language"] = stream.languages.most_common(1)[0][0]
    if transcript is not None and (outside := unplaced(transcript, stream.end)):
        words.clear()
        words["absent"] = outside
        notes.append(outside)
    elif transcript is not None:
        notes += left_over(transcript, stream.end)
    notes += [*playback.problems, *stream.problems]
    yield from last
