"""The film that is measured by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure.predict import demo_film
from tests.support.media_files import grid, tone, write


def test_a_film_without_sound_or_pictures_is_passed_over(tmp_path: Path) -> None:
    media = tmp_path / "corpus" / "media"
    media.mkdir(parents=True)
    write(media / "a.mp4", stamps=grid(5))
    write(media / "b.mp4", audio=tone(0.2))
    with pytest.raises(SystemExit, match="not a demo run"):
        demo_film(tmp_path)
    both = write(media / "c.mp4", stamps=grid(5), audio=tone(0.2))
    assert demo_film(tmp_path) == both
