"""Media files that tests make, so that what should come out is known."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

#: Hz, of sound as music is recorded, and of sound as models hear it.
RATE, VOICE_RATE = 44100, 16000


def level(index: int) -> int:
    """The grey value that frame ``index`` is painted with; survives lossy codecs."""
    return 20 + (index * 7) % 210


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level(index), dtype=np.uint8)


def tone(seconds: float, rate: int = RATE, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


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
    bit_rate: int | None = None,
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
            if bit_rate is not None:
                sound.bit_rate = bit_rate
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
        _mux(container, packets)
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


def wav(
    path: Path, channels: Sequence[np.ndarray], kind: str = "<i2", full: float = 2**15, rate: int = VOICE_RATE
) -> Path:
    """PCM of any type, each channel times ``full``; folders are made."""
    values = np.stack(channels, 1) * full
    if kind == "<i3":
        data = np.round(values).astype("<i4").reshape(-1, 1).view("u1")[:, :3].tobytes()
    else:
        data = (values if "f" in kind else np.round(values)).astype(kind).tobytes()
    width, count = int(kind[2]), len(channels)
    form = struct.pack("<HHIIHH", 3 if "f" in kind else 1, count, rate, rate * width * count, width * count, 8 * width)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def tracks(path: Path, *sounds: np.ndarray, pictures: bool = False, **tags: tuple[str, ...]) -> Path:
    """A file with a mono track of each 16 kHz sound; ``tags`` of each track by their name."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25) if pictures else None
        streams = [container.add_stream("aac", rate=VOICE_RATE, layout="mono") for _ in sounds]
        for name, values in tags.items():
            for stream, value in zip(streams, values, strict=True):
                if value:
                    stream.metadata[name] = value
        packets = [p for stream, sound in zip(streams, sounds, strict=True) for p in _voice(stream, sound)]
        if video is not None:
            packets += _pictures(video, [np.full((48, 64, 3), 9 * i, np.uint8) for i in range(25)], 25)
        _mux(container, packets)
    return path


def film(
    path: Path,
    pictures: Sequence[np.ndarray],
    sound: np.ndarray | None,
    *,
    fps: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """Pictures at a constant rate and 16 kHz sound, as H.264 with B-frames (or the encoder's ``options``) and AAC."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            "libx264", rate=fps, options=options or {"preset": "ultrafast", "bf": "2", "crf": "18"}
        )
        audio = None if sound is None else container.add_stream("aac", rate=VOICE_RATE, layout="mono")
        packets = _pictures(video, pictures, fps)
        if audio is not None and sound is not None:
            packets += _voice(audio, sound)
        _mux(container, packets)
    return path


def _pictures(stream: av.VideoStream, pictures: Sequence[np.ndarray], fps: int) -> list[av.Packet]:
    stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
    packets = []
    for number, shown in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, fps)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _voice(stream: av.AudioStream, sound: np.ndarray) -> list[av.Packet]:
    packets = []
    for start in range(0, len(sound), 1024):
        piece = np.ascontiguousarray(sound[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = VOICE_RATE, start, Fraction(1, VOICE_RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _mux(container: av.container.OutputContainer, packets: list[av.Packet]) -> None:
    """Packets in order of decoding, whichever stream they are of."""
    for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
        container.mux(packet)


def decode(path: Path) -> tuple[list[np.ndarray], np.ndarray | None]:
    """RGB frames and mono samples of a file, by PyAV alone."""
    frames, pieces = [], []
    with av.open(str(path)) as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                frames.append(frame.to_ndarray(format="rgb24"))
            else:
                pieces.append(frame.to_ndarray().reshape(-1))
    return frames, np.concatenate(pieces) if pieces else None
