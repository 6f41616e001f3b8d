"""Media files that tests make, so that what should come out is known."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 44100


def level(index: int) -> int:
    """The grey value that frame ``index`` is painted with; survives lossy codecs."""
    return 20 + (index * 7) % 210


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level(index), dtype=np.uint8)


def tone(seconds: float, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write(
    path: Path,
    *,
    stamps: list[float] | None = None,
    frames: list[np.ndarray] | None = None,
    audio: np.ndarray | None = None,
    audio_at: float = 0.0,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    rate: int = RATE,
    layout: str = "mono",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Write frames at given times and one audio signal into a container chosen by the file's name."""
    with av.open(str(path), "w", options=options or {}) as container:
        packets = []
        if stamps is not None:
            frames = frames or [picture(i) for i in range(len(stamps))]
            video = container.add_stream(video_codec, rate=1000 if video_codec != "mpeg4" else 25)
            video.width, video.height, video.pix_fmt = frames[0].shape[1], frames[0].shape[0], pixels
            base = Fraction(1, 1000) if video_codec != "mpeg4" else Fraction(1, 25)
            video.codec_context.time_base = base
        if audio is not None:
            sound = container.add_stream(audio_codec, rate=rate, layout=layout)
        if stamps is not None:
            for stamp, array in zip(stamps, frames, strict=True):
                frame = av.VideoFrame.from_ndarray(array, format="rgba" if array.shape[2] == 4 else "rgb24")
                frame.pts, frame.time_base = round(stamp / base), base
                packets.extend(video.encode(frame))
            packets.extend(video.encode(None))
        if audio is not None:
            size = sound.codec_context.frame_size or 1024
            resampler = av.AudioResampler(format=sound.codec_context.format, layout=layout, rate=rate, frame_size=size)
            frame = av.AudioFrame.from_ndarray(audio[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(audio_at * rate)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                packets.extend(sound.encode(piece))
            packets.extend(sound.encode(None))
        packets = [p for p in packets if p.dts is not None]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def grid(count: int, fps: float = 25.0) -> list[float]:
    return [i / fps for i in range(count)]


def levels(frames: np.ndarray) -> list[int]:
    return [round(float(f.mean())) for f in frames]


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """Write a display matrix into an mp4's first track header (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 8 + 4 + 4 + 4 + 8 + 8
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
    return path
