"""Whether the times of a transcript are those of the file that it is about, and what to do where they are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from multiemo.transcripts.transcript import Cue, Transcript

#: Words this little (seconds) after the end belong to the last moment if their cue began before it: captions stay on
#: the screen.
TAIL = 2.0
#: The share of words beyond the end from which a whole hour is taken off.
_BEYOND = 0.25
#: Characters a second: nobody says so few in the time of a caption, nor so many.
SLOW, _FAST = 0.1, 60.0
_UNITS = ((1e3, "milliseconds"), (1e6, "microseconds"))
_HOUR = 3600.0


def fitted(
    transcript: Transcript, duration: float | None, *, fps: float | None = None, whole: bool = False
) -> Transcript:
    """The transcript by the file's own clock, where it is certain what its times mean.

    - Times that count pictures (MicroDVD) are counted by those of the film.
    - Times in milliseconds are divided: taken for seconds they lie beyond the end, and a caption would be spoken at
      less than one letter in ten seconds.
    - Times that begin at a whole hour, as recorders and broadcasters count, begin at zero: a quarter of the words or
      more lie beyond the end, and none does once the hours are taken off.
    - A file that is taken as one piece has all words of a transcript that is not longer, wherever its times begin.

    What is still outside stays where it is; see :func:`unplaced`.

    Args:
        transcript: with or without times.
        duration: of the file, seconds; ``None`` where it does not say.
        fps: its pictures a second, if it has any.
        whole: the file is one segment.

    Example:
        >>> late = Transcript.of([Cue(3601.0, 3602.5, "Hello there.")], "talk.srt")
        >>> fitted(late, 20.0).cues[0].start, fitted(late, 20.0).notes
        (1.0, ('the times of talk.srt begin at 01:00:00, which was taken as the beginning of the file',))
    """
    if not transcript.timed or not transcript.cues:
        return transcript
    if transcript.fps is not None:
        transcript = _by_pictures(transcript, transcript.fps, fps)
    if duration is None or _end(transcript.cues) <= duration + TAIL:
        return transcript
    for unit, name in _UNITS:
        if (pace := _pace(transcript.cues)) < SLOW and 1.0 <= pace * unit <= _FAST:
            note = f"the times of {transcript.source} are {name}, and were divided by {unit:.0f}"
            transcript = _moved(transcript, 1 / unit, 0.0, note)
            break
    first, last = transcript.cues[0].start, _end(transcript.cues)
    if last <= duration + TAIL:
        return transcript
    hours = _HOUR * (first // _HOUR)
    beyond = transcript.count(duration + TAIL) >= _BEYOND * transcript.count()
    if hours and beyond and last - hours <= duration + TAIL:
        note = (
            f"the times of {transcript.source} begin at {hours // _HOUR:02.0f}:00:00, which was taken as the beginning"
        )
        return _moved(transcript, 1.0, -hours, f"{note} of the file")
    if whole and first >= duration and last - first <= duration + TAIL:
        note = f"the times of {transcript.source} begin at {first:.1f} s, after the file's end; all of it was read"
        return _moved(transcript, 1.0, -first, note)
    return transcript


def unplaced(transcript: Transcript, end: float) -> str | None:
    """Why a file of this length (seconds) has none of the words of a transcript; ``None`` where it has any.

    Example:
        >>> unplaced(Transcript.of([Cue(90, 91, "And bye.")], "talk.srt"), 10.0)[:95]
        'no word of talk.srt could be placed: its times run from 90.0 to 91.0 s, and the file ends at 10'
    """
    if not transcript.timed or not transcript.cues or _inside(transcript, end):
        return None
    return (
        f"no word of {transcript.source} could be placed: its times run from {transcript.cues[0].start:.1f} to "
        f"{_end(transcript.cues):.1f} s, and the file ends at {end:.1f} s; give times in seconds from the file's "
        "beginning"
    )


def left_over(transcript: Transcript, end: float) -> list[str]:
    """A note on the words of a transcript that lie after the end (seconds) of a file that has others of them.

    Example:
        >>> left_over(Transcript.of([Cue(0, 1, "Hello."), Cue(90, 91, "And bye.")], "talk.srt"), 10.0)
        ["2 of 3 words of talk.srt lie after the file's end (10.0 s) and were left out"]
    """
    if not transcript.timed:
        return []
    total = transcript.count()
    after = total - _inside(transcript, end)
    lie = f"{after} of {total} words of {transcript.source} lie after the file's end ({end:.1f} s) and were left out"
    return [lie] if after else []


def _inside(transcript: Transcript, end: float) -> int:
    """Words that the segments of a file of this length have."""
    begun = replace(transcript, cues=tuple(cue for cue in transcript.cues if cue.start < end))
    return begun.count(0.0, end + TAIL)


def _by_pictures(transcript: Transcript, taken: float, fps: float | None) -> Transcript:
    note = f"the times of {transcript.source} count pictures; {fps or taken:g} a second were taken"
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
    """Characters a second of a usual caption; by the time from the first to the last where none has a length."""
    lasting = [len(cue.text) / (cue.end - cue.start) for cue in cues if cue.end > cue.start]
    if lasting:
        return median(lasting)
    span = cues[-1].start - cues[0].start
    return sum(len(cue.text) for cue in cues) / span if span else math.inf
