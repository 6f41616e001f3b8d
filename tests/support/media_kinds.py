"""A file of every kind of media."""

from __future__ import annotations

from pathlib import Path

from tests.support.media_files import tone, write


def sound(path: Path, **how: object) -> Path:
    return write(path, audio=tone(0.3, 48000), rate=48000, **({"audio_codec": "pcm_s16le"} | how))  # type: ignore[arg-type]
