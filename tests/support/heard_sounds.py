"""What is heard of a file, by both ways of reading it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multiemo.media.reading import Playback, PlayedSound, read_media

RATE = 16000


def heard(path: Path, **options: int) -> np.ndarray:
    """The sound of a file by both ways, which must be the same."""
    span = read_media(path, rate=RATE, **options).audio
    assert span is not None
    if "channel" not in options:
        played = [
            p.samples for p in Playback(path, rate=RATE, fps=None, **options).pieces() if isinstance(p, PlayedSound)
        ]
        np.testing.assert_array_equal(np.concatenate(played), span)
    return span
