"""Write a film with covered faces and protected voices. The times of its frames stay."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from multiemo.anonymize.faces.covering import Box, cover_faces, cover_picture
from multiemo.anonymize.faces.finding import regions
from multiemo.anonymize.files.sound import NO_METADATA, ProtectedSound, add_sound, sound_packets
from multiemo.anonymize.records import FaceCounts
from multiemo.anonymize.settings import FaceMethod
from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.arrays import Array, Pixels
from multiemo.files import draft
from multiemo.media.clock import length_of
from multiemo.media.container import check_path, frame_rate, media_error, open_container, origin_of, video_stream
from multiemo.media.demux import Pass
from multiemo.media.picture_track import Picture, VideoTrack, fit_picture, pixel_aspect, to_rgb
from multiemo.media.tracks import not_decoded_error
from multiemo.preprocess.faces.detection import Detector, Face
from multiemo.progress import Progress

#: {ending: FFmpeg container} of films.
FILM_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mkv": "matroska"}
#: Ticks per second of the times of frames.
_TICKS = 90_000
#: Quality of the pictures (0 is lossless, 51 the worst), and effort of the encoder.
_X264 = {"crf": "20", "preset": "fast"}
#: Rec. 601, in which RGB is converted to YUV: FFmpeg's value for SMPTE 170M.
_REC_601 = 6


@dataclass(slots=True)
class FilmFrames:
    """All frames of a film, upright and with square pixels, with their times.

    Args:
        file: the film.
        rate: average frames per second, for the encoder.
        problems: what could not be read, after a pass.
    """

    file: Path
    rate: float = 25.0
    problems: list[str] = field(default_factory=list)

    def frames(self) -> Iterator[tuple[float, Pixels]]:
        """Yield (time in seconds from the file's beginning, ``[H, W, 3]`` uint8 RGB) of every frame.

        Raises:
            MediaError: the film cannot be opened, or no frame can be decoded.
        """
        file = check_path(self.file, "")
        container = open_container(file, "")
        stream, origin = video_stream(container), origin_of(container)
        aspect = pixel_aspect(stream)
        self.rate = frame_rate(stream) or 25.0
        recordings = length_of(file, container, origin).recordings
        shape: tuple[int, int] | None = None
        with Pass(container, origin, None, VideoTrack(stream, origin, 0.0), recordings=recordings) as run:
            for piece in run:
                if isinstance(piece, Picture):
                    picture = to_rgb(piece.frame, piece.orientation, aspect, None)
                    shape = shape or (picture.shape[0], picture.shape[1])
                    yield piece.time, fit_picture(picture, *shape)
            self.problems = list(run.problems)
        if shape is None:
            raise not_decoded_error(file, "none of its pictures can be decoded", self.problems, "")


@dataclass(frozen=True, slots=True)
class FilmResult:
    """A film that was written.

    Args:
        seconds: time of the last frame or end of the sound, whichever is later.
        faces: counts of faces; ``None`` if faces were kept.
        channels: number of channels of sound; 0 without sound.
        notes: what was left out or could not be read, one line each.
    """

    seconds: float
    faces: FaceCounts | None
    channels: int
    notes: list[str]


def write_film(
    source: Path,
    out: Path,
    *,
    detector: Detector,
    method: FaceMethod,
    voice: VoiceProtection,
    cropped: bool = False,
    progress: Progress | None = None,
) -> FilmResult:
    """Write a film as H.264 and AAC, with its faces covered and its voices protected.

    The film is decoded twice: to find the faces of all frames, then to cover and encode them.

    Args:
        source: the film.
        out: ``.mp4`` or ``.mkv``.
        detector: finds faces.
        method: how faces are covered.
        voice: how voices are protected.
        cropped: the pictures are face crops and are covered as a whole.
        progress: receives the number of frames.

    Raises:
        MediaError: the source cannot be read, or the file cannot be written.
    """
    progress = progress or Progress()
    film = FilmFrames(source)
    notes = _left_out(source)
    boxes: list[list[Box]] = []
    counts = None
    if method != "keep" and not cropped:
        found, times = _find(film, detector, progress)
        boxes = regions(found, times)
        counts = count_faces(found, boxes)
    sound = ProtectedSound.of(source, voice, for_aac=True)
    with (
        draft(out) as made,
        av.open(str(made), "w", format=FILM_FORMATS[out.suffix.lower()], options=NO_METADATA) as container,
    ):
        last = _encode(container, film, sound, boxes, method if boxes or cropped else "keep", cropped)
    heard = sound.seconds if sound is not None else 0.0
    notes += [*film.problems, *(sound.notes if sound is not None else [])]
    return FilmResult(max(last, heard), counts, sound.channels if sound else 0, list(dict.fromkeys(notes)))


def count_faces(found: list[list[Face]], boxes: list[list[Box]]) -> FaceCounts:
    """Count the faces of a film or picture.

    Args:
        found: faces found in each frame.
        boxes: regions covered in each frame.
    """
    return FaceCounts(
        frames=len(found),
        frames_found=sum(bool(faces) for faces in found),
        frames_carried=sum(bool(covered) and not faces for faces, covered in zip(found, boxes, strict=True)),
        frames_without=sum(not covered for covered in boxes),
        faces=sum(map(len, found)),
        most_at_once=max(map(len, found), default=0),
    )


def _find(film: FilmFrames, detector: Detector, progress: Progress) -> tuple[list[list[Face]], Array]:
    progress.stage(f"find faces in {film.file.name}")
    found: list[list[Face]] = []
    times: list[float] = []
    for time, picture in film.frames():
        found.append(detector.detect(picture))
        times.append(max(time, times[-1]) if times else time)
        progress.update(len(found), len(found))
    return found, np.array(times)


def _encode(
    container: Any,
    film: FilmFrames,
    sound: ProtectedSound | None,
    boxes: list[list[Box]],
    method: FaceMethod,
    cropped: bool,
) -> float:
    """Encode pictures and sound side by side, and return the time of the end of the last frame, seconds."""
    frames = film.frames()
    first = next(frames)
    height, width = first[1].shape[:2]
    video = _video_stream(container, film, width, height)
    heard = iter(()) if sound is None else sound_packets(add_sound(container, "aac", sound), sound)
    timing = _Timing(film.rate)
    for number, (time, picture) in enumerate(_chain(first, frames)):
        if cropped:
            covered = cover_picture(picture, method)
        else:
            covered = cover_faces(picture, boxes[min(number, len(boxes) - 1)] if boxes else [], method)
        frame = av.VideoFrame.from_ndarray(_even(covered), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG")
        frame.pts, frame.time_base = timing.add(time), Fraction(1, _TICKS)
        for packet in video.encode(frame):
            _mux_until(container, heard, time)
            container.mux(timing.timed(packet))
    for packet in video.encode(None):
        container.mux(timing.timed(packet))
    _mux_until(container, heard, math.inf)
    return timing.end


def _video_stream(container: Any, film: FilmFrames, width: int, height: int) -> Any:
    if "libx264" not in av.codecs_available:
        raise media_error("", film.file, "no encoder for H.264 (libx264) is installed; install the wheels of PyAV")
    video = container.add_stream("libx264", rate=Fraction(film.rate).limit_denominator(1001))
    video.width, video.height, video.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    video.options = dict(_X264)
    coder = video.codec_context
    coder.time_base = video.time_base = Fraction(1, _TICKS)
    coder.color_primaries, coder.color_trc, coder.colorspace, coder.color_range = _REC_601, _REC_601, _REC_601, 1
    return video


class _Timing:
    """The times of frames in ticks, strictly ascending, and the duration of each.

    Args:
        rate: average frames per second, for the duration of the last frame.
    """

    def __init__(self, rate: float) -> None:
        self._period = max(1, round(_TICKS / rate))
        self._stamps: list[int] = []
        self._next: dict[int, int] = {}

    def add(self, time: float) -> int:
        """Register the next frame, and return its time in ticks."""
        stamp = round(time * _TICKS)
        if self._stamps:
            stamp = max(stamp, self._stamps[-1] + 1)
            self._next[self._stamps[-1]] = stamp
        self._stamps.append(stamp)
        return stamp

    def timed(self, packet: Any) -> Any:
        """Set the duration of a packet: the time to the next frame."""
        if packet.pts is not None:
            packet.duration = self._next.get(packet.pts, packet.pts + self._period) - packet.pts
        return packet

    @property
    def end(self) -> float:
        """End of the last frame, seconds."""
        return (self._stamps[-1] + self._period) / _TICKS if self._stamps else 0.0


def _mux_until(container: Any, packets: Iterator[Any], time: float) -> None:
    """Write packets of sound up to a time, seconds."""
    for packet in packets:
        container.mux(packet)
        if packet.pts is not None and float(packet.pts * packet.time_base) >= time:
            return


def _chain(first: tuple[float, Pixels], others: Iterator[tuple[float, Pixels]]) -> Iterator[tuple[float, Pixels]]:
    yield first
    yield from others


def _even(picture: Pixels) -> Pixels:
    """A picture with an even number of rows and columns, as H.264 needs: the last ones are repeated."""
    height, width = picture.shape[:2]
    if not (height % 2 or width % 2):
        return np.ascontiguousarray(picture)
    return np.asarray(cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)


def _left_out(source: Path) -> list[str]:
    """Notes on the tracks that are not written."""
    with open_container(source, "") as container:
        sounds, texts = len(container.streams.audio), len(container.streams.subtitles)
    notes = [f"{sounds - 1} of its {sounds} audio tracks were left out"] if sounds > 1 else []
    return notes + ([f"its {texts} subtitle tracks were left out"] if texts else [])
