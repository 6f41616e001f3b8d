"""Parse SRT and WebVTT to cues, tolerating the errors of real files.

SRT has no standard. WebVTT: https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from multiemo.transcripts.cleaning import VOICE, sounds_note, split_speakers, strip_markup, strip_sounds
from multiemo.transcripts.transcript import Cue

_CLOCK = r"-?(?:\d{1,9}\s*:\s*)?\d{1,9}\s*:\s*\d{1,9}(?:\s*[.,:，．]\s*\d{1,9})?"
_ARROW = r"-{1,3}\s*>"
_TIMING = re.compile(rf"(\[ ?)?({_CLOCK})\s*{_ARROW}\s*({_CLOCK})?\s*\]?(.*)$")
_TIMESTAMP = re.compile(r"\d{1,9}(:\d\d){1,2}([.,]\d{1,9})?")
_DECIMAL_COMMA = re.compile(r"^(\s*-?\d{1,12}),(\d{1,12}\s*)$")
_ANY_ARROW = re.compile(r"-\s?>")
_INDEX = re.compile(r"^\s*\d+\s*$")
_INLINE_TIME = re.compile(r"<\d\d[\d:.]*>")
#: Seconds: cues with a smaller gap touch; a shorter cue only holds the lines of roll-up captions.
_TOUCHING, _HOLD = 0.1, 0.05
#: Beginning of WebVTT blocks without spoken words.
_NO_CUE = re.compile(r"\ufeff?WEBVTT|(NOTE|STYLE|REGION)(\s|$)|X-TIMESTAMP-MAP")


@dataclass(slots=True)
class RawCue:
    """A cue as stored in the file.

    Args:
        start: seconds.
        end: seconds; NaN if it is not given.
        lines: text lines with markup.
        speaker: name of the speaker, if the format stores it outside the text.
    """

    start: float
    end: float
    lines: list[str]
    speaker: str | None = None


@dataclass(slots=True)
class CaptionFile:
    """The contents of a caption file.

    Args:
        raws: its cues.
        notes: what was left out or guessed, one line each.
        fps: the frame rate that was assumed, if times are frame numbers and the file does not give the rate.
        language: as named in the file.
    """

    raws: list[RawCue]
    notes: list[str] = field(default_factory=list)
    fps: float | None = None
    language: str | None = None


def seconds_of(clock: str) -> float:
    """Convert a timestamp of SRT or WebVTT to seconds. Hours and fractions may be missing.

    Example:
        >>> seconds_of("01:02:03,5"), seconds_of("02:03.250"), seconds_of("-00:00:01,000")
        (3723.5, 123.25, -1.0)
    """
    sign = -1.0 if clock.strip().startswith("-") else 1.0
    numbers = re.findall(r"\d+", clock)
    fraction = float(f"0.{numbers.pop()}") if re.search(r"[.,，．]", clock) or len(numbers) == 4 else 0.0
    return sign * (sum(int(n) * 60.0**i for i, n in enumerate(reversed(numbers))) + fraction)


def time_of(value: object) -> float:
    """Convert a number, also with a decimal comma, or a timestamp to seconds; NaN if it is neither.

    Example:
        >>> time_of("00:01:02.500"), time_of(" 1,5"), time_of(2), time_of("soon")
        (62.5, 1.5, 2.0, nan)
    """
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value.strip()):
        return seconds_of(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        number = float(_DECIMAL_COMMA.sub(r"\1.\2", value) if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def has_times(text: str) -> bool:
    """Whether a text has a cue timing line."""
    return any(_TIMING.match(line.strip()) for line in text.split("\n"))


def _sets_times(line: str) -> bool:
    """Whether a line is meant as a cue timing line, readable or not."""
    if not _ANY_ARROW.search(line) or not ("-->" in line or ":" in line):
        return False
    return line.lstrip().startswith("-->") or any(c.isdigit() for c in line)


def parse_cues(text: str) -> tuple[list[Cue], list[str], int | None]:
    """The cues of an SRT or WebVTT file, in its order.

    Returns:
        The cues (the end is NaN if it is not readable); notes that count what was repaired or left out; and the line
        number of the first cue whose times cannot be read, or ``None``.
    """
    raws, broken, strays, early = _split(text)
    if _INLINE_TIME.search(text):
        _drop_repeated_lines(raws)
    cues, notes = cues_of(raws)
    if broken:
        notes.append(f"{len(broken)} cue(s) whose times cannot be read were left out, the first in line {broken[0]}")
    if early:
        notes.append(f"{early} line(s) before the first cue were left out")
    if strays:
        notes.append(f"{strays} line(s) after an empty line were taken as part of the cue before it")
    return cues, notes, broken[0] if broken else None


def _split(text: str) -> tuple[list[RawCue], list[int], int, int]:
    """Split a text into cues.

    Returns:
        The cues; the line numbers of unreadable timing lines; the number of lines separated from their cue by an empty
        line; and the number of lines before the first cue.
    """
    raws: list[RawCue] = []
    broken: list[int] = []
    strays = 0
    early: list[str] = []
    last = early  # the lines of the previous cue, readable or not, to which stray lines are added
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
                elif not _is_cue_identifier(block, number - first):
                    last.append(line)
                    strays += bool(raws) and last is raws[-1].lines
                continue
            if lines and _INDEX.match(lines[-1]):
                lines.pop()  # the number of the next cue, without an empty line before it
            last = lines = []
            if timing is None:
                broken.append(number)
                continue
            raws.append(RawCue(seconds_of(timing[2]), seconds_of(timing[3]) if timing[3] else math.nan, lines))
            if timing[1]:  # Whisper's output format: [00:00.000 --> 00:02.000] text
                lines.append(timing[4])
    return raws, broken, strays, len(early)


def is_vtt(text: str) -> bool:
    """Whether a text is WebVTT, by its first line."""
    return text.lstrip("\ufeff \t\n").startswith("WEBVTT")


def _blocks(text: str, vtt: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the blocks between empty lines, each with the number of its first line.

    In WebVTT a line of spaces is not empty. YouTube writes such lines.
    """
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line and (vtt or line.strip()):
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _is_cue_identifier(block: list[str], position: int) -> bool:
    """Whether a line is the identifier of the cue whose timing line follows: a number, or any text in WebVTT."""
    follows = position + 1 < len(block) and _sets_times(block[position + 1])
    return follows or (len(block) == 1 and _INDEX.match(block[0]) is not None)


def _drop_repeated_lines(raws: list[RawCue]) -> None:
    """Empty the lines that roll-up captions (YouTube's) repeat: the last lines of a cue are the first of the next.

    The voice tags of an emptied line stay, since they hold for the lines after it.
    """
    said = [_said(raw.lines) for raw in raws]
    for after in range(len(raws) - 1, 0, -1):  # backwards: the cue before must still have all its lines
        if not _roll_up(raws[after - 1], raws[after]):
            continue
        shown, lines = ([words for _, words in said[n]] for n in (after - 1, after))
        repeated = next((n for n in range(len(lines), 0, -1) if shown[-n:] == lines[:n]), 0)
        for number, _ in said[after][:repeated]:
            raws[after].lines[number] = "".join(tag[0] for tag in VOICE.finditer(raws[after].lines[number]))


def _roll_up(before: RawCue, after: RawCue) -> bool:
    """Whether lines of a cue may stay in the next one: they touch, and one has inline times or only holds lines."""
    touch = not after.start > before.end + _TOUCHING  # also if the end is not known
    return touch and any(
        cue.end - cue.start < _HOLD or any(_INLINE_TIME.search(line) for line in cue.lines) for cue in (before, after)
    )


def _said(lines: list[str]) -> list[tuple[int, list[tuple[str | None, str]]]]:
    """Return the number and the words, by speaker, of each line with words."""
    found = []
    speaker: str | None = None
    for number, line in enumerate(lines):
        words: list[tuple[str | None, str]] = []
        for name, text in split_speakers(line):
            speaker = name or speaker
            words.append((speaker, " ".join(strip_markup(text).split())))
        if any(text for _, text in words):
            found.append((number, words))
    return found


def cues_of(raws: Iterable[RawCue]) -> tuple[list[Cue], list[str]]:
    """Return the spoken words of raw cues, without markup and sounds; and a note with the number of sounds."""
    cues: list[Cue] = []
    sounds = 0
    for raw in raws:
        found, count = _spoken(raw)
        cues += found
        sounds += count
    return cues, sounds_note(sounds)


def _spoken(raw: RawCue) -> tuple[list[Cue], int]:
    """Split a raw cue into one cue per speaker, in time proportional to the length of their text.

    Returns:
        The cues, and the number of descriptions of sounds.
    """
    parts: list[tuple[str | None, str]] = []
    sounds = 0
    for speaker, text in split_speakers("\n".join(raw.lines)):
        words, count = strip_sounds(strip_markup(text))
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
