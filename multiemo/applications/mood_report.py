"""The JSON of ``multiemo mood``: one person's days, and the days on which the level changed."""

from __future__ import annotations

from typing import Literal, TypeAlias

from multiemo.records import Record, record

Dimension: TypeAlias = Literal["valence", "arousal"]


@record
class MoodLevel(Record):
    """One dimension of one day, -1..1.

    Args:
        mean: of the day's clips; null on a day without a clip that says it.
        level: behind the noise of single days; null where it is not known.
        low, high: hold the level with 95%; null where too few days are known.
    """

    mean: float | None
    level: float | None
    low: float | None
    high: float | None


@record
class MoodDay(Record):
    """One day of a mood log.

    Args:
        date: as 2024-05-31.
        clips: how many there are.
        valence, arousal: left out where no clip of the whole log says them.
    """

    date: str
    clips: int
    valence: MoodLevel | None = None
    arousal: MoodLevel | None = None


@record
class MoodChange(Record):
    """A change of level.

    Args:
        date: of the first day after it.
        from, to: dates between which it lies with 95% confidence.
        before, after: means on its two sides.
        p: chance of so clear a change where there is none.
    """

    date: str
    from_: str
    to: str
    before: float
    after: float
    p: float


@record
class MoodLog(Record):
    """Valence and arousal of one person's days, and the days on which the level changed.

    Args:
        meaning: what the log can say, and what it cannot.
        clips: how many there are.
        first, last: dates.
        dates_from: {where dates come from: clips}.
        values_from: {where values come from: clips}.
        days: every day from the first to the last.
        changes: {dimension: changes in order of time}, of the dimensions with days enough to look for one.
        left_out: {clip: why nothing is known of it}.
        failed: those of "left_out" that should have been read and could not be.
        notes: what the user may want to know.
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
