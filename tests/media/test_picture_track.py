"""Videos whose picture size changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from multiemo.media.reading import Playback, PlayedFrame, read_media
from tests.support.pictures import jpeg, scene


def resized(path: Path, pictures: list[np.ndarray], fps: int = 10) -> Path:
    """Write motion JPEG in Matroska with pictures of different sizes, as in recordings of calls."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(pictures):
            packet = av.Packet(jpeg(picture))
            packet.pts = packet.dts = number * 1000 // fps
            packet.time_base, packet.stream = Fraction(1, 1000), stream
            packet.is_keyframe = True
            container.mux(packet)
    return path


def test_pictures_that_change_their_size_are_fitted_into_the_first(tmp_path: Path) -> None:
    wide = np.full((24, 96, 3), 200, np.uint8)
    path = resized(tmp_path / "call.mkv", [scene(), scene(64, 96), wide])
    frames = read_media(path, fps=10).frames
    assert frames is not None
    assert frames.shape == (3, 32, 48, 3)
    assert np.abs(frames[1].astype(int) - scene()).mean() < 6
    assert frames[2, 10:22].mean() > 180  # 48 x 12 of it, in the middle
    assert frames[2, :8].max() < 20
    sizes = [
        (p.frame.width, p.frame.height)
        for p in Playback(path, rate=None, fps=10).pieces()
        if isinstance(p, PlayedFrame)
    ]
    assert sizes == [(48, 32), (96, 64), (96, 24)]
