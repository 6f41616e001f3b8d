"""Fit the times of a transcript to its media file, and report words outside the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from multiemo.transcripts.transcript import Cue, Transcript

#: Words up to this many seconds after the end of the file belong to its last segment if their cue began before the end:
#: captions stay on screen.
CAPTION_TAIL = 2.0
#: Minimum share of words after the end from which whole hours are subtracted.
_BEYOND = 0.25
#: Characters per second: no caption is spoken more slowly, or faster.
MIN_PACE, _FAST = 0.1, 60.0
_UNITS = ((1e3, "milliseconds"), (1e6, "microseconds"))
_HOUR = 3600.0


def fit_to_media(
    transcript: Transcript, duration: float | None, *, fps: float | None = None, whole: bool = False
) -> Transcript:
    """Convert the times of a transcript to the file's clock, where their meaning is certain.

    - Frame numbers (MicroDVD) are divided by the frame rate of the file.
    - Milliseconds and microseconds are converted to seconds. They are recognised if, read as seconds, they end after
      the file and the captions would be spoken at less than one character in ten seconds.
    - Whole hours at the beginning, as recorders and broadcasters write, are subtracted if at least a quarter of the
      words lie after the end, and none does without them.
    - In a file that is one segment, a transcript that is no longer than the file is moved to its beginning.

    Words that are still outside keep their times; see :func:`why_not_placed`.

    Args:
        transcript: with or without times.
        duration: of the file, seconds; ``None`` if unknown.
        fps: frames per second of the file, if it has any.
        whole: whether the file is one segment.

    Example:
        >>> late = Transcript.of([Cue(3601.0, 3602.5, "Hello there.")], "talk.srt")
        >>> fit_to_media(late, 20.0).cues[0].start, fit_to_media(late, 20.0).notes
        (1.0, ('the times of talk.srt begin at 01:00:00, which was taken as the beginning of the file',))
    """
    if not transcript.timed or not transcript.cues:
        return transcript
    if transcript.fps is not None:
        transcript = _by_pictures(transcript, transcript.fps, fps)
    if duration is None or _end(transcript.cues) <= duration + CAPTION_TAIL:
        return transcript
    for unit, name in _UNITS:
        if (pace := _pace(transcript.cues)) < MIN_PACE and 1.0 <= pace * unit <= _FAST:
            note = f"the times of {transcript.source} are {name}, and were divided by {unit:.0f}"
            transcript = _moved(transcript, 1 / unit, 0.0, note)
            break
    first, last = transcript.cues[0].start, _end(transcript.cues)
    if last <= duration + CAPTION_TAIL:
        return transcript
    hours = _HOUR * (first // _HOUR)
    beyond = transcript.count(duration + CAPTION_TAIL) >= _BEYOND * transcript.count()
    if hours and beyond and last - hours <= duration + CAPTION_TAIL:
        note = (
            f"the times of {transcript.source} begin at {hours // _HOUR:02.0f}:00:00, which was taken as the beginning"
        )
        return _moved(transcript, 1.0, -hours, f"{note} of the file")
    if whole and first >= duration and last - first <= duration + CAPTION_TAIL:
        note = f"the times of {transcript.source} begin at {first:.1f} s, after the file's end; all of it was read"
        return _moved(transcript, 1.0, -first, note)
    return transcript


def why_not_placed(transcript: Transcript, end: float) -> str | None:
    """Return why no word of a transcript lies in a file of length ``end`` (seconds); ``None`` if any does.

    ``end`` is ``math.inf`` for a file of unknown length.

    Example:
        >>> why_not_placed(Transcript.of([Cue(90, 91, "And bye.")], "talk.srt"), 10.0)[:95]
        'no word of talk.srt could be placed: its times run from 90.0 to 91.0 s, and the file ends at 10'
    """
    if not transcript.cues:
        return f"the transcript ({transcript.source}) has no words and was not used"
    if not transcript.timed or _inside(transcript, end):
        return None
    return (
        f"no word of {transcript.source} could be placed: its times run from {transcript.cues[0].start:.1f} to "
        f"{_end(transcript.cues):.1f} s, and the file ends at {end:.1f} s; give times in seconds from the file's "
        "beginning"
    )


def words_after_end(transcript: Transcript, end: float) -> list[str]:
    """Return a note on the words of a transcript that lie after the end of the file (seconds), if there are any.

    Example:
        >>> words_after_end(Transcript.of([Cue(0, 1, "Hello."), Cue(90, 91, "And bye.")], "talk.srt"), 10.0)
        ["2 of 3 words of talk.srt lie after the file's end (10.0 s) and were left out"]
    """
    if not transcript.timed:
        return []
    total = transcript.count()
    after = total - _inside(transcript, end)
    note = f"{after} of {total} words of {transcript.source} lie after the file's end ({end:.1f} s) and were left out"
    return [note] if after else []


def _inside(transcript: Transcript, end: float) -> int:
    """Return the number of words in a file of length ``end`` (seconds)."""
    begun = replace(transcript, cues=tuple(cue for cue in transcript.cues if cue.start < end))
    return begun.count(0.0, end + CAPTION_TAIL)


def _by_pictures(transcript: Transcript, taken: float, fps: float | None) -> Transcript:
    note = f"the times of {transcript.source} are frame numbers; {fps or taken:g} frames per second were assumed"
    return replace(_moved(transcript, taken / (fps or taken), 0.0, note), fps=None)


def _moved(transcript: Transcript, scale: float, shift: float, note: str) -> Transcript:
    cues = tuple(
        replace(cue, start=max(0.0, cue.start * scale + shift), end=max(0.0, cue.end * scale + shift))
        for cue in transcript.cues
    )
    return replace(transcript, cues=cues, notes=(*transcript.notes, note))


def _end(cues: Sequence[Cue]) -> float:
    return max(cue.end for cue in cues)


def _pace(cues: Sequence[Cue]) -> float:
    """Return the median characters per second of the captions, or the mean over all if none has a duration."""
    lasting = [len(cue.text) / (cue.end - cue.start) for cue in cues if cue.end > cue.start]
    if lasting:
        return median(lasting)
    span = cues[-1].start - cues[0].start
    return sum(len(cue.text) for cue in cues) / span if span else math.inf
