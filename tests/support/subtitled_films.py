"""Films with subtitle tracks."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

STYLES = b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize\r\nStyle: Default,Arial,16\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"  # noqa: E501


def film(path: Path, *tracks: tuple[str, str, str, list[tuple[float, float, str]]]) -> Path:
    """Write five seconds of grey with subtitle tracks of (codec, language, disposition, captions)."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for codec, language, disposition, _ in tracks:
            stream = container.add_stream(codec)
            stream.metadata["language"] = language
            stream.codec_context.subtitle_header = STYLES
            stream.disposition = getattr(av.stream.Disposition, disposition) if disposition else 0
            streams.append(stream)
        container.start_encoding()
        for stream, (_, _, _, captions) in zip(streams, tracks, strict=True):
            for start, end, text in captions:
                ticks = 1 / stream.time_base
                event = f"0,0,Default,,0,0,0,,{text}".encode()
                made = SubtitleSet.create(text=event, start=0, end=int((end - start) * ticks), pts=int(start * ticks))
                packet = stream.codec_context.encode_subtitle(made)
                packet.stream, packet.time_base = stream, stream.time_base
                container.mux(packet)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), "rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path
