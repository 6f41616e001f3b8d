"""The JSON of ``multiemo mood``: the days of one person, and the changes of level."""

from __future__ import annotations

from typing import Literal, TypeAlias

from multiemo.records import Record, record

Dimension: TypeAlias = Literal["valence", "arousal"]


@record
class MoodLevel(Record):
    """One dimension of one day, from -1 to 1.

    Args:
        mean: mean of the day's clips; null on a day without a clip that has this dimension.
        level: estimated level behind the noise of single days; null if it cannot be estimated.
        low: lower bound of the 95% interval of the level; null if there are too few days.
        high: upper bound of the 95% interval of the level; null if there are too few days.
    """

    mean: float | None
    level: float | None
    low: float | None
    high: float | None


@record
class MoodDay(Record):
    """One day of a mood log.

    Args:
        date: date as in 2024-05-31.
        clips: number of clips on this day.
        valence: valence of the day; left out if no clip of the log has a valence.
        arousal: arousal of the day; left out if no clip of the log has an arousal.
    """

    date: str
    clips: int
    valence: MoodLevel | None = None
    arousal: MoodLevel | None = None


@record
class MoodChange(Record):
    """A change of level.

    Args:
        date: date of the first day after the change.
        from: first date of the 95% confidence interval of the change.
        to: last date of the 95% confidence interval of the change.
        before: mean before the change.
        after: mean after the change.
        p: probability of at least as clear a change if there is none.
    """

    date: str
    from_: str
    to: str
    before: float
    after: float
    p: float


@record
class MoodLog(Record):
    """Valence and arousal on the days of one person, and the changes of level.

    Args:
        meaning: what can be concluded from the log, and what cannot.
        clips: number of clips.
        first: date of the first clip.
        last: date of the last clip.
        dates_from: {source of dates: number of clips}.
        values_from: {source of values: number of clips}.
        days: every day from the first to the last.
        changes: {dimension: changes in order of time}, for each dimension with enough days to find one.
        left_out: {clip: why it has no values}.
        failed: the clips in "left_out" that could not be read.
        notes: remarks on the log.
    """

    meaning: str
    clips: int
    first: str
    last: str
    dates_from: dict[str, int]
    values_from: dict[str, int]
    days: list[MoodDay]
    changes: dict[Dimension, list[MoodChange]]
    left_out: dict[str, str]
    failed: list[str]
    notes: list[str]
