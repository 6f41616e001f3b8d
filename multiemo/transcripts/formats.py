"""Parse caption formats other than SRT and WebVTT to raw cues: ASS, SAMI, SubViewer, LRC, MicroDVD and others.

A format is recognised by the beginning of the text, whatever the name of the file. None has a standard; the parsers
accept what players do (https://wiki.multimedia.cx/index.php/Category:Subtitle_Formats).
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise

from multiemo.transcripts.cleaning import DRAWING
from multiemo.transcripts.cues import CaptionFile, RawCue, seconds_of
from multiemo.transcripts.timed_text import ttml, youtube

#: Frames per second assumed for MicroDVD if neither the captions nor the media give a rate.
DEFAULT_FPS = 25.0


def _skipped_note(count: int) -> list[str]:
    return [f"{count} line(s) whose times cannot be read were left out"] if count else []


# --------------------------------------------------------------------------------------------------------------------
# Advanced SubStation Alpha: one line per cue, after a line with the names of its fields

_ASS_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
#: Override codes and comments.
_BRACED = re.compile(r"\{[^{}]*\}")
_ASS_CLOCK = re.compile(r"\d{1,9}:\d{1,9}:\d{1,9}(?:[.:,]\d{1,9})?")


def _ass(text: str) -> CaptionFile:
    names = _names(_ASS_FIELDS)
    raws: list[RawCue] = []
    broken = 0
    for line in text.split("\n"):
        kind, colon, rest = line.strip().partition(":")
        if colon and kind.lower() == "format" and {"start", "end", "text"} <= set(named := _names(rest)):
            names = named
        elif colon and kind.lower() == "dialogue":
            cells = dict(zip(names, rest.split(",", len(names) - 1), strict=False))
            start, end = cells.get("start", "").strip(), cells.get("end", "").strip()
            if not (_ASS_CLOCK.fullmatch(start) and _ASS_CLOCK.fullmatch(end)):
                broken += 1
            elif not DRAWING.search(words := cells.get("text", "")):
                lines, name = [_BRACED.sub("", words)], cells.get("name", "").strip()
                raws.append(RawCue(seconds_of(start), seconds_of(end), lines, name or None))
    return CaptionFile(raws, _skipped_note(broken))


def _names(line: str) -> list[str]:
    names = [name.strip().lower() for name in line.split(",")]
    return ["name" if name == "actor" else name for name in names]


# --------------------------------------------------------------------------------------------------------------------
# SAMI: the text shown from a time on (milliseconds), for each language

_SYNC = re.compile(r"<sync\b[^<>]{0,200}?\bstart\s*=\s*[\"']?\s*(-?\d{1,12})[^<>]{0,200}>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"<p\b(?:[^<>]{0,200}?\bclass\s*=\s*[\"']?([\w-]{1,99}))?[^<>]{0,200}>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def _sami(text: str) -> CaptionFile:
    tracks: dict[str, list[tuple[float, str]]] = {}
    pieces = _SYNC.split(_COMMENT.sub("", text))
    for moment, shown in zip(pieces[1::2], pieces[2::2], strict=True):
        parts = _PARAGRAPH.split(shown)
        for name, words in zip(parts[1::2], parts[2::2], strict=True):
            tracks.setdefault((name or "").lower(), []).append((int(moment) / 1000, _BREAK.sub("\n", words)))
    if not tracks:
        return CaptionFile([])
    chosen = next(iter(tracks))
    named = re.search(rf"\.{re.escape(chosen)}\s{{0,9}}\{{[^{{}}]{{0,500}}?lang\s*:\s*([\w-]+)", text, re.IGNORECASE)
    others = [name for name in tracks if name != chosen]
    note = f"it has several languages; {chosen.upper()} was read, not {', '.join(others).upper()}"
    raws = [
        RawCue(start, end, words.split("\n"))
        for (start, words), (end, _) in pairwise([*tracks[chosen], (math.nan, "")])
        if words.replace("&nbsp;", " ").strip()
    ]
    return CaptionFile(raws, [note] if others else [], language=named[1] if named else None)


# --------------------------------------------------------------------------------------------------------------------
# SubViewer and YouTube's SBV: a line of two timestamps, then the text

_TWO_CLOCKS = re.compile(r"\s*({0})\s*,\s*({0})\s*".format(r"\d{1,9}:\d{1,9}:\d{1,9}[.:]\d{1,9}"))


def _subviewer(text: str) -> CaptionFile:
    raws: list[RawCue] = []
    for line in text.split("\n"):
        if clocks := _TWO_CLOCKS.fullmatch(line):
            raws.append(RawCue(seconds_of(clocks[1]), seconds_of(clocks[2]), []))
        elif raws and line.strip():
            raws[-1].lines += re.split(r"\[br\]", line, flags=re.IGNORECASE)
    return CaptionFile(raws)


# --------------------------------------------------------------------------------------------------------------------
# Lyrics: [mm:ss.xx] at which a line begins, several if the line is repeated; also [hh:mm:ss] of other transcripts

_LRC_TIME = re.compile(r"\s*\[(\d{1,9}:\d{1,9}(?::\d{1,9})?(?:[.:]\d{1,9})?)\]")
_LRC_TAG = r"\[(?:ar|ti|al|au|by|re|ve|la|length|offset):[^\]]*\]"
#: What only lyrics have: a tag, or a third field that is no number of seconds.
_LYRICS = re.compile(
    rf"^[ \t]*(?:{_LRC_TAG}|\[\d{{1,9}}:\d{{1,9}}:(?:[6-9]\d|\d{{3,9}})\])", re.IGNORECASE | re.MULTILINE
)
_LRC_OFFSET = re.compile(r"\[offset:\s{0,9}([+-]?\d{1,12})\s{0,9}\]", re.IGNORECASE)


def _lrc(text: str) -> CaptionFile:
    shift = (
        int(found[1]) / 1000 if (found := _LRC_OFFSET.search(text)) else 0.0
    )  # a positive offset moves the text earlier
    hundredths = _LYRICS.search(text) is not None
    lines: list[tuple[float, str]] = []
    for line in text.split("\n"):
        times: list[float] = []
        at = 0
        while clock := _LRC_TIME.match(line, at):
            times.append(_lrc_seconds(clock[1], hundredths) - shift)
            at = clock.end()
        lines += [(time, line[at:].strip()) for time in times]
    lines.sort(key=lambda one: one[0])
    starts = [start for start, _ in lines]
    raws = []
    for start, words in lines:
        after = bisect_right(starts, start)  # an empty line marks the end of the previous one
        if words:
            raws.append(RawCue(start, starts[after] if after < len(starts) else math.nan, [words]))
    return CaptionFile(raws)


def _lrc_seconds(clock: str, hundredths: bool) -> float:
    """Convert ``mm:ss``, ``mm:ss.xx``, ``hh:mm:ss`` or ``hh:mm:ss.xx`` to seconds.

    Args:
        clock: the timestamp.
        hundredths: whether three fields are ``mm:ss:xx``, as in lyrics, instead of ``hh:mm:ss``.
    """
    numbers = clock.split(":")
    if hundredths and len(numbers) == 3 and "." not in clock:
        clock = ":".join(numbers[:2]) + "." + numbers[2]
    return seconds_of(clock)


# --------------------------------------------------------------------------------------------------------------------
# One line per cue: MicroDVD has frame numbers, MPL2 tenths of seconds, VPlayer only start times

_BRACES = re.compile(r"\{(\d{1,12})\}\{(\d{0,12})\}(.*)")
_CODES = re.compile(r"\{[a-zA-Z]{1,2}:[^{}]*\}")
_SQUARES = re.compile(r"\[(\d{1,12})\]\[(\d{0,12})\](.*)")
_VPLAYER = re.compile(r"(\d{1,9}:\d\d:\d\d(?:\.\d+)?)[:= ](.*)")


def _microdvd(text: str) -> CaptionFile:
    lines = [found for line in text.split("\n") if (found := _BRACES.match(line.strip()))]
    try:
        rate = float(lines[0][3]) if lines and lines[0][1] in ("0", "1") else None  # {1}{1}23.976
    except ValueError:
        rate = None
    if rate is not None and not 1 <= rate <= 240:
        rate = None
    elif rate is not None:
        lines = lines[1:]
    return CaptionFile(list(_counted(lines, rate or DEFAULT_FPS)), fps=None if rate else DEFAULT_FPS)


def _mpl2(text: str) -> CaptionFile:
    return CaptionFile(
        list(_counted([found for line in text.split("\n") if (found := _SQUARES.match(line.strip()))], 10.0))
    )


def _counted(lines: list[re.Match[str]], rate: float) -> Iterator[RawCue]:
    """Yield cues with times in units of 1/``rate`` seconds. ``|`` separates lines, and a leading ``/`` is italic."""
    for line in lines:
        end = int(line[2]) / rate if line[2] else math.nan
        yield RawCue(int(line[1]) / rate, end, [part.lstrip("/") for part in _CODES.sub("", line[3]).split("|")])


def _vplayer(text: str) -> CaptionFile:
    lines = [found for line in text.split("\n") if (found := _VPLAYER.match(line.strip()))]
    starts = [*(seconds_of(line[1]) for line in lines), math.nan]
    return CaptionFile(
        [RawCue(a, b, line[2].split("|")) for line, (a, b) in zip(lines, pairwise(starts), strict=True) if line[2]]
    )


#: {format: (pattern of the beginning of its text, parser)}.
FORMATS: dict[str, tuple[re.Pattern[str], Callable[[str], CaptionFile]]] = {
    "ASS": (re.compile(r"\[(Script Info|V4\+? Styles|Events)\]", re.IGNORECASE), _ass),
    "SAMI": (re.compile(r"<sami\b", re.IGNORECASE), _sami),
    "YouTube's timed text": (re.compile(r"(?:<\?xml[^>]*>\s*)?<(?:transcript|timedtext)\b", re.IGNORECASE), youtube),
    "TTML": (re.compile(r"<(?:\?xml|!--|!DOCTYPE|(?:\w+:)?tt\b)", re.IGNORECASE), ttml),
    "MicroDVD": (re.compile(r"(?:\{DEFAULT\}\{\}[^\n]*\n)?\{\d+\}\{\d*\}", re.IGNORECASE), _microdvd),
    "MPL2": (re.compile(r"\[\d+\]\[\d*\]"), _mpl2),
    "LRC": (
        re.compile(rf"\[\d+:\d+(?::\d+)?(\.\d+)?\]|{_LRC_TAG}", re.IGNORECASE),
        _lrc,
    ),
    "SubViewer": (re.compile(r"\[INFORMATION\]|\d+:\d+:\d+[.:]\d+\s*,\s*\d+:\d+:\d+[.:]\d+\s*(?:\n|$)"), _subviewer),
    "VPlayer": (re.compile(r"\d+:\d\d:\d\d[:=]\S"), _vplayer),
}
