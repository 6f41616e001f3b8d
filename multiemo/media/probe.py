"""What a media file is, found out by opening it and decoding its first moments. Reached through ``media.probe``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av

from multiemo.media.clock import joined, length_of
from multiemo.media.container import (
    FAILURES,
    SHORT,
    check_path,
    fail,
    frame_rate,
    open_container,
    origin_of,
    video_stream,
)
from multiemo.media.pictures.animated import remarks
from multiemo.media.pictures.orientation import Orientation
from multiemo.media.pictures.stills import is_still, read_still
from multiemo.media.tracks import NO_TRACK, choose, is_locked, nothing_to_read

#: Packets of a track that may fail before it counts as not decodable.
_PATIENCE = 200


@dataclass(frozen=True, slots=True)
class Info:
    """What a file is.

    Args:
        duration: seconds, 0 for a still, ``None`` when the header does not say.
        has_audio, has_video: real tracks; cover art is no video, and a still has neither.
        width, height: upright, pixels.
        rate: of the audio, Hz.
        channels: of the audio.
        fps: frames a second, on average.
        is_image: a still picture.
        rotation: degrees counter-clockwise (0, 90, 180, 270) by which stored video frames are turned to be upright.
        mirrored: they are mirror images, left for right, once turned.
        problems: the file can be used, but not all of it.
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
    """Open a file, decode the beginning of each track, and look whether its end is there.

    Args:
        path: any media file.
        kind: what it must hold.
        track: of several with sound, from 1; ``None``: the one on which somebody speaks.
        where: the clip's name, for messages.

    Raises:
        MediaError: missing, empty, not media, without the wanted track, or the wanted track does not decode.
    """
    file = check_path(path, where)
    if is_still(file):
        if kind in ("audio", "video"):
            raise fail(where, file, f"is a still picture and has no {kind} track; name it under 'image'")
        picture, notes = read_still(file, None, where)
        height, width = picture.shape[:2]
        return Info(duration=0.0, width=width, height=height, is_image=True, problems=tuple(notes))
    if kind == "image":
        raise fail(where, file, "is not a still picture; name it under 'video' or 'audio'")
    with open_container(file, where) as container:
        chosen = choose(file, container, track, where)
        found = {"audio": chosen.of(container), "video": video_stream(container)}
        tracks = {name: stream for name, stream in found.items() if stream is not None}
        if not tracks:
            raise nothing_to_read(file, chosen.absent, where)
        if kind == "audio" and chosen.absent not in ("", NO_TRACK):
            raise fail(where, file, chosen.absent)
        if kind != "any" and kind not in tracks:
            raise fail(where, file, f"has no {kind} track; name another file or leave {kind!r} out of the row")
        firsts = _first_frames(container, tracks)
        broken = [name for name in tracks if name not in firsts]
        if kind in broken or len(broken) == len(tracks):
            names = kind if kind in broken else " and ".join(broken)
            why = "it is encrypted, decrypt it" if is_locked(file) else "it is cut off or damaged, copy it again"
            raise fail(where, file, f"nothing of its {names} can be decoded; {why}")
        problems = [f"nothing of its {name} can be decoded" for name in broken]
        problems += chosen.notes if "audio" in tracks else [chosen.absent] if chosen.absent != NO_TRACK else []
        origin = origin_of(container)
        length = length_of(file, container, origin)
        problems += length.notes
        if (length.recordings or 1) > 1:
            problems.append(joined(length.recordings or 1))
        elif length.seconds is not None and length.exact:
            problems.extend(_missing_end(container, origin, length.seconds))
        problems.extend(remarks(file))
        return _describe(tracks, firsts.get("video"), length.seconds, tuple(problems))


def _first_frames(container: Any, tracks: dict[str, Any]) -> dict[str, Any]:
    """The first frame that each track gives; a track that gives none is left out."""
    firsts: dict[str, Any] = {}
    tries = dict.fromkeys(tracks, 0)
    names = {stream.index: name for name, stream in tracks.items()}
    try:
        for packet in container.demux(*tracks.values()):
            name = names[packet.stream_index]
            if name not in firsts and tries[name] < _PATIENCE:
                tries[name] += 1
                try:
                    frames = packet.decode()
                except FAILURES:
                    continue
                if frames:
                    firsts[name] = frames[0]
            if all(n in firsts or tries[n] >= _PATIENCE for n in tracks):
                break
    except FAILURES:
        pass  # What was found before the damage counts.
    return firsts


def _missing_end(container: Any, origin: float, duration: float) -> list[str]:
    """A line if the last packets that the header promises are not there."""
    reached = 0.0
    try:
        container.seek(int((max(0.0, duration - 2.0) + origin) * av.time_base), backward=True)
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin
                reached = max(reached, end)
    except FAILURES:
        pass  # The end cannot be reached, which is what is being asked.
    if duration - reached <= SHORT:
        return []
    return [f"the file is cut off: its header says {duration:.2f} s, but the last part is not there"]


def _describe(tracks: dict[str, Any], picture: Any, duration: float | None, problems: tuple[str, ...]) -> Info:
    sound, sight = tracks.get("audio"), tracks.get("video")
    width = height = None
    orientation = Orientation() if picture is None else Orientation.of_frame(picture)
    if sight is not None:
        width, height = orientation.size(sight.codec_context.width, sight.codec_context.height)
    return Info(
        duration=duration,
        has_audio=sound is not None,
        has_video=sight is not None,
        width=width,
        height=height,
        rate=sound.codec_context.sample_rate if sound is not None else None,
        channels=sound.codec_context.channels if sound is not None else None,
        fps=frame_rate(sight) if sight is not None else None,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        problems=problems,
    )
