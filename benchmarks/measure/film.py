"""A film of a wanted length and size, made by repeating another."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from multiemo.data.media import read_media

RATE = 48000


def looped(source: Path, target: Path, *, seconds: float, width: int = 1280, height: int = 720) -> Path:
    """Repeat a film as H.264 and AAC in MP4, as phones and cameras write it (x264's own settings, 25 frames a second).

    Args:
        source: film with sound, a few seconds to a minute.
        target: to write.
        seconds: wanted length.
        width, height: pixels.
    """
    media = read_media(source, rate=RATE, fps=25.0, max_side=max(width, height))
    if media.frames is None or media.audio is None:
        raise SystemExit(f"{source}: needs pictures and sound")
    long = round(media.duration * RATE)
    sound = np.resize(np.pad(media.audio, (0, max(0, long - len(media.audio))))[:long], round(seconds * RATE))
    with av.open(str(target), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio: Any = container.add_stream("aac", rate=RATE, layout="mono")
        heard = 0
        for number in range(round(seconds * 25)):
            shown = int(np.searchsorted(media.times, number / 25 % media.duration, side="right")) - 1
            frame = av.VideoFrame.from_ndarray(media.frames[max(shown, 0)], format="rgb24")
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


def repeated(source: Path, target: Path, times: int) -> Path:
    """A film several times over, without encoding it again."""
    with av.open(str(target), "w") as out, av.open(str(source)) as first:
        streams = {s.index: out.add_stream_from_template(s) for s in first.streams}
        length = {s.index: s.duration for s in first.streams}
        for number in range(times):
            with av.open(str(source)) as container:
                for packet in container.demux():
                    if packet.dts is None:
                        continue
                    index = packet.stream_index
                    packet.pts += number * length[index]
                    packet.dts += number * length[index]
                    packet.stream = streams[index]
                    out.mux(packet)
    return target
