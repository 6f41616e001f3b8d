"""Make a film of a given length and size by repeating another."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from multiemo.media.reading import read_media

RATE = 48000
_PHONE = {"bf": "0", "g": "25", "preset": "veryfast"}


def looped(
    source: Path,
    target: Path,
    *,
    seconds: float,
    voice: Path | None = None,
    grain: float = 0.0,
    megabits: float | None = None,
    phone: bool = False,
    size: tuple[int, int] = (1280, 720),
) -> Path:
    """Repeat a film, encoded as H.264 and AAC in MP4 with 25 frames per second.

    Args:
        source: film with sound, a few seconds to a minute long.
        target: file to write.
        seconds: duration of the result, seconds.
        voice: folder of sound files that replace the sound, one after the other.
        grain: standard deviation of the noise that is added to the pictures like that of a camera, grey levels.
        megabits: bit rate of the pictures, Mbit/s; ``None`` = chosen by x264.
        phone: whether to encode like phones: no B frames, and a key frame every second.
        size: width and height, pixels.

    Returns:
        ``target``.
    """
    width, height = size
    rng = np.random.default_rng(0)
    media = read_media(source, rate=RATE, fps=25.0, max_side=max(width, height))
    if media.frames is None or (media.audio is None and voice is None):
        raise SystemExit(f"{source}: has no pictures or no sound; give a film with both")
    own = media.audio if voice is None else _joined(voice, seconds)
    length = len(own) if voice is not None else round(media.duration * RATE)
    sound = np.resize(np.pad(own, (0, max(0, length - len(own))))[:length], round(seconds * RATE))
    with av.open(str(target), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options=_PHONE if phone else {})
        if megabits is not None:
            video.bit_rate = round(megabits * 1e6)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.thread_type = "FRAME"  # by default, PyAV has x264 split every picture into slices, which is rare in films
        audio: Any = container.add_stream("aac", rate=RATE, layout="mono")
        written = 0
        grains = rng.normal(0, grain, (8, height, width)).astype(np.int16)
        for number in range(round(seconds * 25)):
            shown = int(np.searchsorted(media.times, number / 25 % media.duration, side="right")) - 1
            picture = cv2.resize(media.frames[max(shown, 0)], size, interpolation=cv2.INTER_LINEAR)
            if grain:
                noise = grains[rng.integers(len(grains))][..., None]
                picture = np.clip(picture + np.roll(noise, tuple(rng.integers(0, height, 2)), (0, 1)), 0, 255)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in video.encode(frame):
                container.mux(packet)
            while written < (number + 1) * RATE // 25 and written < len(sound):
                piece = av.AudioFrame.from_ndarray(sound[None, written : written + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = RATE, written, Fraction(1, RATE)
                written += piece.samples
                for packet in audio.encode(piece):
                    container.mux(packet)
        for stream in (video, audio):
            for packet in stream.encode(None):
                container.mux(packet)
    return target


def _joined(folder: Path, seconds: float) -> np.ndarray:
    """Concatenate the sound files in a folder up to a duration."""
    parts: list[np.ndarray] = []
    for file in sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac", ".mp3")):
        audio = read_media(file, rate=RATE).audio
        if audio is not None:
            parts.append(audio)
        if sum(map(len, parts)) >= seconds * RATE:
            break
    return np.concatenate(parts)


def repeated(source: Path, target: Path, times: int) -> Path:
    """Repeat a film without encoding it again.

    Args:
        source: the film.
        target: file to write.
        times: number of repetitions.

    Returns:
        ``target``.
    """
    with av.open(str(target), "w") as out, av.open(str(source)) as first:
        streams = {s.index: out.add_stream_from_template(s) for s in first.streams}
        seconds = Fraction(first.duration, av.time_base) + Fraction(1, 10)
        for number in range(times):
            with av.open(str(source)) as container:
                for packet in container.demux():
                    if packet.dts is None:
                        continue
                    index = packet.stream_index
                    shift = round(number * seconds / packet.time_base)
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = streams[index]
                    out.mux(packet)
    return target
