"""FFmpeg's errors in the user's terms."""

from __future__ import annotations

import av

from multiemo.media.container import describe_error


def test_what_ffmpeg_says_to_its_own_developers_is_not_shown() -> None:
    for error in (av.PatchWelcomeError(0, "Not yet implemented in FFmpeg, patches welcome"), IndexError("tuple index")):
        assert "patches" not in describe_error(error)
        assert "tuple" not in describe_error(error)
    assert describe_error(av.InvalidDataError(0, "Invalid data found")) == "Invalid data found"
