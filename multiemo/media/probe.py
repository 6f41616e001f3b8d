"""Examine a media file by opening it and decoding its first frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av

from multiemo.media.clock import joined_note, length_of
from multiemo.media.container import (
    END_TOLERANCE,
    FAILURES,
    PLAYED_TRACKS,
    check_path,
    frame_rate,
    media_error,
    open_container,
    origin_of,
    video_stream,
)
from multiemo.media.pictures.animated import animation_problems
from multiemo.media.pictures.orientation import Orientation
from multiemo.media.pictures.stills import is_still, read_still
from multiemo.media.tracks import NO_TRACK, choose_track, is_encrypted, no_track_error

#: Number of packets of a track that may fail before the track counts as undecodable.
_MAX_FAILED_PACKETS = 200


@dataclass(frozen=True, slots=True)
class Info:
    """Properties of a media file.

    Args:
        duration: seconds; 0 for a still picture, ``None`` if unknown.
        has_audio: whether there is an audio track.
        has_video: whether there is a video track. Cover art and still pictures do not count.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        rate: sample rate of the audio, Hz.
        channels: number of audio channels.
        fps: average frames per second.
        is_image: whether it is a still picture.
        rotation: degrees counter-clockwise (0, 90, 180, 270) by which stored video frames are rotated to be upright.
        mirrored: whether the rotated frames are mirrored left to right.
        problems: parts of the file that cannot be used, one line each.
    """

    duration: float | None = None
    has_audio: bool = False
    has_video: bool = False
    width: int | None = None
    height: int | None = None
    rate: int | None = None
    channels: int | None = None
    fps: float | None = None
    is_image: bool = False
    rotation: int = 0
    mirrored: bool = False
    problems: tuple[str, ...] = ()


def probe(
    path: str | Path,
    kind: Literal["audio", "video", "image", "any"] = "any",
    *,
    track: int | None = None,
    where: str = "",
) -> Info:
    """Open a file, decode the beginning of each track, and check that its end is there.

    Args:
        path: any media file.
        kind: the kind of media that the file must contain.
        track: number of the audio track, from 1; ``None`` selects one with speech.
        where: name of the clip, for messages.

    Raises:
        MediaError: the file is missing, empty, not media, or lacks the required track, or this track cannot be decoded.
    """
    file = check_path(path, where)
    if is_still(file):
        if kind in ("audio", "video"):
            raise media_error(where, file, f"is a still picture and has no {kind} track; name it under 'image'")
        picture, notes = read_still(file, None, where)
        height, width = picture.shape[:2]
        return Info(duration=0.0, width=width, height=height, is_image=True, problems=tuple(notes))
    if kind == "image":
        raise media_error(where, file, "is not a still picture; name it under 'video' or 'audio'")
    with open_container(file, where) as container:
        chosen = choose_track(file, container, track, where)
        found = {"audio": chosen.of(container), "video": video_stream(container)}
        tracks = {name: stream for name, stream in found.items() if stream is not None}
        if not tracks:
            raise no_track_error(file, chosen.absent, where)
        if kind == "audio" and chosen.absent not in ("", NO_TRACK):
            raise media_error(where, file, chosen.absent)
        if kind != "any" and kind not in tracks:
            raise media_error(where, file, f"has no {kind} track; name another file or leave {kind!r} out of the row")
        firsts = _first_frames(container, tracks)
        broken = [name for name in tracks if name not in firsts]
        if kind in broken or len(broken) == len(tracks):
            names = kind if kind in broken else " and ".join(broken)
            why = "it is encrypted, decrypt it" if is_encrypted(file) else "it is cut off or damaged, copy it again"
            raise media_error(where, file, f"none of its {names} can be decoded; {why}")
        problems = [f"none of its {name} can be decoded" for name in broken]
        problems += chosen.notes if "audio" in tracks else [chosen.absent] if chosen.absent != NO_TRACK else []
        origin = origin_of(container)
        length = length_of(file, container, origin)
        problems += length.notes
        if (length.recordings or 1) > 1:
            problems.append(joined_note(length.recordings or 1))
        elif length.seconds is not None and length.exact:
            problems.extend(_missing_end(container, origin, length.seconds))
        problems.extend(animation_problems(file))
        return _describe(tracks, firsts.get("video"), length.seconds, tuple(problems))


def _first_frames(container: Any, tracks: dict[str, Any]) -> dict[str, Any]:
    """Return the first frame of each track, as {name: frame}. A track without a decodable frame is left out."""
    firsts: dict[str, Any] = {}
    tries = dict.fromkeys(tracks, 0)
    names = {stream.index: name for name, stream in tracks.items()}
    try:
        for packet in container.demux(*tracks.values()):
            name = names[packet.stream_index]
            if name not in firsts and tries[name] < _MAX_FAILED_PACKETS:
                tries[name] += 1
                try:
                    frames = packet.decode()
                except FAILURES:
                    continue
                if frames:
                    firsts[name] = frames[0]
            if all(n in firsts or tries[n] >= _MAX_FAILED_PACKETS for n in tracks):
                break
    except FAILURES:
        pass  # the frames before the damage count
    return firsts


def _missing_end(container: Any, origin: float, duration: float) -> list[str]:
    """Return a line if the file ends before the end in its header, else none."""
    reached = 0.0
    try:
        if origin >= 0:  # else FFmpeg cannot seek, and the file is read on
            container.seek(int((max(0.0, duration - 2.0) + origin) * av.time_base), backward=True)
        for packet in container.demux():
            if packet.stream.type in PLAYED_TRACKS and packet.pts is not None and packet.time_base:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin
                reached = max(reached, end)
    except FAILURES:
        pass  # the end cannot be reached, so it is missing
    if duration - reached <= END_TOLERANCE:
        return []
    return [f"the file is cut off: its header says {duration:.2f} s, but the last part is missing"]


def _describe(tracks: dict[str, Any], picture: Any, duration: float | None, problems: tuple[str, ...]) -> Info:
    sound, video = tracks.get("audio"), tracks.get("video")
    width = height = None
    orientation = Orientation() if picture is None else Orientation.of_frame(picture)
    if video is not None:
        width, height = orientation.size(video.codec_context.width, video.codec_context.height)
    return Info(
        duration=duration,
        has_audio=sound is not None,
        has_video=video is not None,
        width=width,
        height=height,
        rate=sound.codec_context.sample_rate if sound is not None else None,
        channels=sound.codec_context.channels if sound is not None else None,
        fps=frame_rate(video) if video is not None else None,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        problems=problems,
    )
