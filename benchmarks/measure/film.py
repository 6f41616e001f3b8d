"""A film of a wanted length and size, made by repeating another."""

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
    """Repeat a film as H.264 and AAC in MP4, 25 frames a second.

    Args:
        source: film with sound, a few seconds to a minute.
        target: to write.
        seconds: wanted length.
        voice: folder of sound files to put in the place of its sound, one after the other.
        grain: standard deviation of noise that is added to the pictures, as a camera's sensor does, grey levels.
        megabits: a second, of the pictures; ``None`` leaves it to x264.
        phone: as chips in phones encode: no B frames, a key frame every second.
        size: width and height, pixels.
    """
    width, height = size
    rng = np.random.default_rng(0)
    media = read_media(source, rate=RATE, fps=25.0, max_side=max(width, height))
    if media.frames is None or (media.audio is None and voice is None):
        raise SystemExit(f"{source}: needs pictures and sound")
    own = media.audio if voice is None else _joined(voice, seconds)
    long = len(own) if voice is not None else round(media.duration * RATE)
    sound = np.resize(np.pad(own, (0, max(0, long - len(own))))[:long], round(seconds * RATE))
    with av.open(str(target), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options=_PHONE if phone else {})
        if megabits is not None:
            video.bit_rate = round(megabits * 1e6)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.thread_type = "FRAME"  # else PyAV has x264 cut every picture into slices, as hardly any film is
        audio: Any = container.add_stream("aac", rate=RATE, layout="mono")
        heard = 0
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
            while heard < (number + 1) * RATE // 25 and heard < len(sound):
                piece = av.AudioFrame.from_ndarray(sound[None, heard : heard + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = RATE, heard, Fraction(1, RATE)
                heard += piece.samples
                for packet in audio.encode(piece):
                    container.mux(packet)
        for stream in (video, audio):
            for packet in stream.encode(None):
                container.mux(packet)
    return target


def _joined(folder: Path, seconds: float) -> np.ndarray:
    parts: list[np.ndarray] = []
    for file in sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac", ".mp3")):
        audio = read_media(file, rate=RATE).audio
        if audio is not None:
            parts.append(audio)
        if sum(map(len, parts)) >= seconds * RATE:
            break
    return np.concatenate(parts)


def repeated(source: Path, target: Path, times: int) -> Path:
    """A film several times over, without encoding it again."""
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
