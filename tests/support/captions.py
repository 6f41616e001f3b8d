"""Transcripts in their formats."""

from __future__ import annotations

from pathlib import Path

from multiemo.transcripts import (
    Transcript,
    side_transcripts,
)

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>I can't</i> believe it!

2
00:00:03,000 --> 00:00:04,000
{\\an8}Tom &amp; I
left.
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def times(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [(c.start, c.end, c.text) for c in transcript.cues]


# --- beside the media
def beside(media: Path, notes: list[str] | None = None) -> str | None:
    """The name of the transcript that is taken."""
    found = next(side_transcripts(media, [] if notes is None else notes), None)
    return None if found is None else found.source


# --- other formats of captions
ASS = """[Script Info]
; made by hand
[V4+ Styles]
Format: Name, Fontname
[Events]
Format: Layer, Start, End, Style, Actor, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,,not said
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Anna,,{\\an8}Well, {\\i1}Tom{\\i0}{check} &amp; I\\Nleft.
Dialogue: 0,0:00:01.00,0:00:02.50,Sign,,,{\\p1}m 0 0 l 10 10
Dialogue: 0,soon,0:00:02.50,Default,,,Lost.
"""
