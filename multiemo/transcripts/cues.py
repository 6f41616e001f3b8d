"""SRT and WebVTT -> cues, as they are found in the wild rather than as they should be.

SRT has no standard; WebVTT: https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from multiemo.transcripts.cleaning import said_of, strip_markup, strip_sounds, voices
from multiemo.transcripts.transcript import Cue

_CLOCK = r"-?(?:\d{1,9}\s*:\s*)?\d{1,9}\s*:\s*\d{1,9}(?:\s*[.,:，．]\s*\d{1,9})?"
_ARROW = r"-{1,3}\s*>"
_TIMING = re.compile(rf"(\[ ?)?({_CLOCK})\s*{_ARROW}\s*({_CLOCK})?\s*\]?(.*)$")
_ANY_ARROW = re.compile(r"-\s?>")
_INDEX = re.compile(r"^\s*\d+\s*$")
_INLINE_TIME = re.compile(r"<\d\d[\d:.]*>")
#: How blocks of WebVTT begin that hold no words.
_NO_CUE = re.compile(r"\ufeff?WEBVTT|(NOTE|STYLE|REGION)(\s|$)|X-TIMESTAMP-MAP")


@dataclass(slots=True)
class Raw:
    """A cue as it stands in the file: seconds (the end is NaN where none is given), lines with their markup, and who
    speaks where the format says it beside the text."""

    start: float
    end: float
    lines: list[str]
    speaker: str | None = None


@dataclass(slots=True)
class CaptionFile:
    """What a file of captions holds.

    Args:
        raws: its cues.
        notes: what was left out or guessed.
        fps: the pictures a second by which times were counted, where the file does not say it.
        language: as the file names it.
    """

    raws: list[Raw]
    notes: list[str] = field(default_factory=list)
    fps: float | None = None
    language: str | None = None


def seconds_of(clock: str) -> float:
    """A clock of SRT or WebVTT in seconds; hours and fractions may be missing.

    Example:
        >>> seconds_of("01:02:03,5"), seconds_of("02:03.250"), seconds_of("-00:00:01,000")
        (3723.5, 123.25, -1.0)
    """
    sign = -1.0 if clock.strip().startswith("-") else 1.0
    numbers = re.findall(r"\d+", clock)
    fraction = float(f"0.{numbers.pop()}") if re.search(r"[.,，．]", clock) or len(numbers) == 4 else 0.0
    return sign * (sum(int(n) * 60.0**i for i, n in enumerate(reversed(numbers))) + fraction)


def has_times(text: str) -> bool:
    """Whether a text has a line that sets the times of a cue."""
    return any(_TIMING.match(line.strip()) for line in text.split("\n"))


def _sets_times(line: str) -> bool:
    """Whether a line is meant to set the times of a cue, readable or not."""
    if not _ANY_ARROW.search(line) or not ("-->" in line or ":" in line):
        return False
    return line.lstrip().startswith("-->") or any(c.isdigit() for c in line)


def parse_cues(text: str) -> tuple[list[Cue], list[str], int | None]:
    """The cues of an SRT or WebVTT file, in its order.

    Returns:
        The cues (the end is NaN where it is not readable); notes that count what was mended or left out; and the line
        of the first cue whose times cannot be read.
    """
    raws, broken, strays, early = _split(text)
    if _INLINE_TIME.search(text):
        _unroll(raws)
    cues, notes = cues_of(raws)
    if broken:
        notes.append(f"{len(broken)} cue(s) whose times cannot be read were left out, the first in line {broken[0]}")
    if early:
        notes.append(f"{early} line(s) before the first cue were left out")
    if strays:
        notes.append(f"{strays} line(s) after an empty line were taken as part of the cue before it")
    return cues, notes, broken[0] if broken else None


def _split(text: str) -> tuple[list[Raw], list[int], int, int]:
    """Cues with their lines; the lines of times that cannot be read; how many lines strayed from their cue, and how
    many stand before the first."""
    raws: list[Raw] = []
    broken: list[int] = []
    strays = 0
    early: list[str] = []
    last = early  # the lines of the cue before, readable or not; what strays goes there
    vtt = is_vtt(text)
    for first, block in _blocks(text, vtt):
        if vtt and _NO_CUE.match(block[0]):
            continue
        lines: list[str] | None = None
        for number, line in enumerate(block, first):
            timing = _TIMING.match(line.strip())
            if timing is None and not _sets_times(line):
                if lines is not None:
                    lines.append(line)
                elif not _is_name(block, number - first):
                    last.append(line)
                    strays += bool(raws) and last is raws[-1].lines
                continue
            if lines and _INDEX.match(lines[-1]):
                lines.pop()  # no empty line stands before the next cue
            last = lines = []
            if timing is None:
                broken.append(number)
                continue
            raws.append(Raw(seconds_of(timing[2]), seconds_of(timing[3]) if timing[3] else math.nan, lines))
            if timing[1]:  # as Whisper prints: [00:00.000 --> 00:02.000] text
                lines.append(timing[4])
    return raws, broken, strays, len(early)


def is_vtt(text: str) -> bool:
    """Whether a text is WebVTT, as its first line must say."""
    return text.lstrip("\ufeff \t\n").startswith("WEBVTT")


def _blocks(text: str, vtt: bool) -> Iterator[tuple[int, list[str]]]:
    """What empty lines separate, with the number of its first line; in WebVTT a line of spaces is not empty, and
    YouTube writes such."""
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line and (vtt or line.strip()):
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _is_name(block: list[str], position: int) -> bool:
    """Whether a line names the cue whose times follow: a number, or in WebVTT anything."""
    follows = position + 1 < len(block) and _sets_times(block[position + 1])
    return follows or (len(block) == 1 and _INDEX.match(block[0]) is not None)


def _unroll(raws: list[Raw]) -> None:
    """Captions that roll (YouTube's) show a line again above the next one; each is kept where it is shown first."""
    shown: list[str] = []
    for raw in raws:
        lines = [_INLINE_TIME.sub("", strip_markup(line)).strip() for line in raw.lines]
        fresh = [line for line in lines if line and line not in shown]
        shown = [line for line in lines if line]
        raw.lines = fresh


def cues_of(raws: Iterable[Raw]) -> tuple[list[Cue], list[str]]:
    """What is said in captions of any format, without markup and sounds; and a note that counts the latter."""
    cues: list[Cue] = []
    sounds = 0
    for raw in raws:
        found, count = _spoken(raw)
        cues += found
        sounds += count
    return cues, said_of(sounds)


def _spoken(raw: Raw) -> tuple[list[Cue], int]:
    """A cue for each of its speakers, its time shared out by the length of what each says; and the sounds in it."""
    parts: list[tuple[str | None, str]] = []
    sounds = 0
    for speaker, said in voices("\n".join(raw.lines)):
        words, count = strip_sounds(strip_markup(said))
        sounds += count
        if words:
            parts.append((speaker or raw.speaker, words))
    if len(parts) < 2 or math.isnan(raw.end):
        return [Cue(raw.start, raw.end, words, speaker) for speaker, words in parts], sounds
    total = sum(len(words) for _, words in parts)
    cues: list[Cue] = []
    start, spoken = raw.start, 0
    for speaker, words in parts:
        spoken += len(words)
        end = raw.start + (raw.end - raw.start) * spoken / total
        cues.append(Cue(start, end, words, speaker))
        start = end
    return cues, sounds
