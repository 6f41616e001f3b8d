"""FFmpeg's errors in the user's terms."""

from __future__ import annotations

import av

from multiemo.media.container import cause


def test_what_ffmpeg_says_to_its_own_developers_is_not_shown() -> None:
    for error in (av.PatchWelcomeError(0, "Not yet implemented in FFmpeg, patches welcome"), IndexError("tuple index")):
        assert "patches" not in cause(error)
        assert "tuple" not in cause(error)
    assert cause(av.InvalidDataError(0, "Invalid data found")) == "Invalid data found"
