"""Videos are written with the available encoder."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from multiemo.synthetic import film
from tests.support.media_files import decode


def test_mp4_without_the_h264_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4", "aac"})
    pictures = [np.full((256, 256, 3), 20 * k, np.uint8) for k in range(6)]
    film.write_mp4(tmp_path / "a.mp4", iter(pictures), np.zeros(8000, np.float32))
    frames, sound = decode(tmp_path / "a.mp4")
    assert len(frames) == 6
    assert sound is not None
    assert abs(int(frames[5].mean()) - 100) < 8
