"""Reads an item into segments, each with the tensors that the encoders of the model read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from multiemo.errors import ConfigError, MediaError
from multiemo.inputs.base import Input
from multiemo.inputs.material import ClipMaterial, ManifestRow, PreparedInput, Request, material_of
from multiemo.inputs.rows import read_row
from multiemo.media.prefetch import prefetched
from multiemo.media.reading import Playback, PlayedSound, is_image, probe, read_media
from multiemo.predict.segmentation.conversation import Conversation, missing_context_notes
from multiemo.predict.segmentation.segmenter import Segmenter
from multiemo.predict.segmentation.stream import TRACK_FPS, Mode, Segment, SegmentStream
from multiemo.predict.sources import Item
from multiemo.transcripts import Transcript, fit_to_media, side_transcripts, why_not_placed, words_after_end
from multiemo.transcripts.embedded import embedded_subtitles
from multiemo.types import Modality
from multiemo.voice_activity import RATE as VOICE_RATE

if TYPE_CHECKING:
    from multiemo.predict.asr import Transcriber

Segments: TypeAlias = Literal["auto", "whole", "speech", "windows"]

#: Default length of a window, seconds.
WINDOW = 4.0
#: With ``segments="auto"`` a file of up to this many windows is a single segment.
SHORT = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How files are cut into segments, and where their words come from.

    Args:
        segments, window, hop, traces, track: as in :func:`multiemo.predict.load`.
        transcriber: transcribes files that have no transcript; ``None``: they stay without words.

    Raises:
        ConfigError: a value is out of range.
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
            raise ConfigError(f"track: {self.track}; audio tracks are numbered from 1")
        if self.hop is not None and self.segments != "windows":
            raise ConfigError("hop: it applies to windows only; add segments=windows")


@dataclass(slots=True)
class OpenedItem:
    """An item that is being read.

    Args:
        segments: reads one segment after the other; raises MediaError where the item cannot be read.
        words: the source of its words, as in the prediction JSON; complete once the last segment has been read.
        notes: remarks about the whole file; complete once the last segment has been read.
    """

    segments: Iterator[Segment]
    words: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Reader:
    """Reads media files and manifest rows.

    Args:
        inputs: {modality: input} of the model.
        options: how files are cut, and where their words come from.
    """

    def __init__(self, inputs: Mapping[Modality, Input], options: Options) -> None:
        self.inputs = inputs
        self._request = Request()
        for entry in inputs.values():
            if entry.request is not None:
                self._request = self._request.joined(entry.request) or self._request
        self.options = options
        #: (samples at 16 kHz, their start in seconds) -> transcript; ``None`` without a recogniser.
        self.transcribe = None if options.transcriber is None else options.transcriber.transcribe

    @property
    def rate(self) -> int:
        """Sample rate at which files are read, Hz; for a model without speech, that of voice activity detection."""
        return self._request.sample_rate or VOICE_RATE

    def open(self, item: Item, *, keep_raw: bool = False) -> OpenedItem:
        """Open an item; its segments are read as they are iterated over. A manifest row is one segment.

        Args:
            item: the item.
            keep_raw: keep what the inputs were made from in ``Segment.raw``, for explanations.

        Raises:
            MediaError: it cannot be read.
        """
        if item.refused is not None:
            raise MediaError(item.refused)
        if item.clip is not None and item.folder is not None:
            row = ManifestRow(item.clip, item.folder, item.context)
            return OpenedItem(iter([self._read_row(row, keep_raw)]))
        if item.path is None:
            segment = Segment(0.0, 0.0, raw={} if keep_raw else None)
            missing = {"audio": "no audio was given", "video": "no picture was given"}
            self._read(segment, ClipMaterial(item.text, missing=missing))
            return OpenedItem(iter([segment]), notes=self._context_notes(item.text))
        self._check_reads_media(item.path)
        if is_image(item.path):
            text = item.text if item.transcript is None else item.transcript.text
            return OpenedItem(iter([self._read_still(item.path, text, keep_raw)]), notes=self._context_notes(text))
        return self._play(item, item.path, keep_raw)

    def _play(self, item: Item, path: Path, keep_raw: bool) -> OpenedItem:
        """Open a film or an audio file and choose how to cut it."""
        options = self.options
        notes: list[str] = []
        track = options.track
        playback = Playback(path, rate=self.rate, fps=None if self._request.fps is None else TRACK_FPS, track=track)
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
            transcript, outside = self._find_transcript(item, path, length, mode == "whole", notes)
            if transcript is not None and not transcript.timed and mode != "whole":
                turns = speech_turns(path, options.window, track) or [(0.0, length or options.window)]
                transcript = transcript.spread(turns)
        except BaseException:
            playback.close()
            raise
        stream = SegmentStream(
            self.inputs,
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
            keep_raw=keep_raw,
        )
        words: dict[str, Any] = {"absent": outside or "no transcript was given, beside the file or in it"}
        if transcript is not None:
            words = {"source": transcript.source, "language": transcript.language}
        elif options.transcriber is not None:
            words = {"source": options.transcriber.source, "language": None}
        notes += transcript.notes if transcript is not None else ()
        if mode == "whole" and "source" in words:
            notes += missing_context_notes(self.inputs)
        conversation = Conversation(self.inputs, stream.overlap)
        segments = _played_segments(playback, stream, transcript, words, notes)
        return OpenedItem(map(conversation.read, segments), words, notes)

    def _context_notes(self, text: str | None) -> list[str]:
        return missing_context_notes(self.inputs) if text else []

    def _find_transcript(
        self, item: Item, path: Path, length: float | None, whole: bool, notes: list[str]
    ) -> tuple[Transcript | None, str | None]:
        """The transcript of a file: the one given, else one beside the file, else subtitles in it.

        Args:
            item: may bring a text or a transcript.
            path: of the media file.
            length: of the file, seconds; ``None`` if unknown.
            whole: the file is one segment.
            notes: receives why a transcript was not used.

        Returns:
            The transcript, and the reason where it has no words, or the times of all words lie outside the file.
        """
        if item.text is not None:
            return Transcript.untimed(item.text, "given"), None
        if item.transcript is not None:
            return fit_to_media(item.transcript, length, fps=_frame_rate(item.transcript, path), whole=whole), None
        outside = None
        for beside in side_transcripts(path, notes):
            transcript = fit_to_media(beside, length, fps=_frame_rate(beside, path), whole=whole)
            outside = why_not_placed(transcript, math.inf if length is None else length)
            if outside is None:
                return transcript, None
            notes.append(outside)
        return embedded_subtitles(path, notes), outside

    def _check_reads_media(self, path: Path) -> None:
        """Refuse a media file if the model reads features alone.

        Raises:
            MediaError: no input of the model can be read from media.
        """
        if not any(entry.in_files for entry in self.inputs.values()):
            titles = " and ".join(dict.fromkeys(entry.title for entry in self.inputs.values()))
            raise MediaError(f"{path}: the model reads {titles} ({', '.join(self.inputs)}) only; give it a manifest")

    def _read_still(self, path: Path, text: str | None, keep_raw: bool) -> Segment:
        """A still image, with its words if there are any."""
        wanted = self._request
        media = read_media(path, rate=wanted.sample_rate, fps=wanted.fps, max_frames=wanted.max_frames)
        raw: dict[Modality, object] | None = {} if keep_raw else None
        start, end = round(media.offset, 3), round(media.offset + media.duration, 3)
        segment = Segment(start, end, notes=list(media.problems), raw=raw)
        self._read(segment, material_of(media, text=text, missing={"audio": "the input is a still image"}))
        return segment

    def _read(self, segment: Segment, material: ClipMaterial) -> None:
        for m, entry in self.inputs.items():
            segment.read(m, entry, material)

    def _read_row(self, row: ManifestRow, keep_raw: bool) -> Segment:
        """A manifest row as one segment, read as in training.

        Raises:
            MediaError: none of its media can be read.
        """
        clip = row.clip
        found = read_row(row, self.inputs, track=self.options.track)
        if found.damaged and not any(isinstance(got, PreparedInput) for got in found.ready.values()):
            raise next(iter(found.damaged.values()))
        end = max(clip.end or clip.start or 0.0, round(found.end, 3))
        segment = Segment(clip.start or 0.0, end, notes=found.problems, raw={} if keep_raw else None)
        for m, entry in self.inputs.items():
            if m in found.damaged:
                segment.absent[m] = str(found.damaged[m])
            else:
                segment.put(m, found.ready[m])
                if keep_raw and m in found.materials:
                    segment.keep(m, entry.take(found.materials[m]), found.ready[m])
        return segment


def _frame_rate(transcript: Transcript, path: Path) -> float | None:
    """Frames a second of a film; ``None`` unless the times of the transcript are frame numbers."""
    return None if transcript.fps is None else probe(path).fps


def speech_turns(path: Path, window: float, track: int | None = None) -> list[tuple[float, float]]:
    """Find the turns of speech in a file; its sound is decoded once for that.

    Args:
        path: media file.
        window: as in :class:`~multiemo.predict.segmentation.segmenter.Segmenter`, seconds.
        track: the audio track to read, from 1; by default one that contains speech.

    Returns:
        (start, end) of each turn, seconds.
    """
    segmenter = Segmenter("speech", window=window)
    playback = Playback(path, rate=VOICE_RATE, fps=None, track=track)
    if not playback.has_audio:
        playback.close()
        return []
    spans = [s for piece in playback.pieces() if isinstance(piece, PlayedSound) for s in segmenter.audio(piece.samples)]
    spans += segmenter.close(playback.duration or 0.0)
    return [(span.start, span.end) for span in spans if span.kind == "speech"]


def _played_segments(
    playback: Playback, stream: SegmentStream, transcript: Transcript | None, words: dict[str, Any], notes: list[str]
) -> Iterator[Segment]:
    """Play a file into a stream; ``words`` and ``notes`` are completed at its end."""
    with stream:
        for piece in prefetched(playback.pieces(), playback.pixels):
            yield from (
                stream.push_audio(piece.samples)
                if isinstance(piece, PlayedSound)
                else stream.push_frame(piece.frame, piece.time)
            )
        last = stream.close(playback.duration)
    if stream.languages.total():
        words["language"] = stream.languages.most_common(1)[0][0]
    elif transcript is None and "source" in words:
        nothing = f"{words['source']} recognised no words"
        words.clear()
        words["absent"] = nothing
        if not any(problem.startswith("no words were recognised") for problem in stream.problems):
            notes.append(nothing)
    if transcript is not None and (outside := why_not_placed(transcript, stream.end)):
        words.clear()
        words["absent"] = outside
        notes.append(outside)
    elif transcript is not None:
        notes += words_after_end(transcript, stream.end)
    notes += [*playback.problems, *stream.problems]
    yield from last
