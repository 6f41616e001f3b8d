"""Makes the mood log of one person: valence and arousal of each day with their uncertainty, and changes of level."""

from __future__ import annotations

import base64
import datetime
import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multiemo.applications.dated_clips import TableColumns, read_dated_clips
from multiemo.applications.level_shifts import shifts
from multiemo.applications.local_level import MIN_DAYS, smooth
from multiemo.applications.mood_report import Dimension, MoodChange, MoodDay, MoodLevel, MoodLog
from multiemo.applications.tables import Writer, format_of
from multiemo.errors import ConfigError, ManifestError
from multiemo.files import is_same_file, write_atomically
from multiemo.plots import ACCENT, ALERT, GREY, PALE, canvas, encoded
from multiemo.progress import Progress
from multiemo.tables.reading import Row

MEANING = (
    "This describes how recordings were classified from day to day. It is not a diagnosis and says nothing about "
    "health. Errors of the model and a change of microphone, room or habit can look like a change of mood."
)
#: Least number of days with clips on each side of a change.
_SIDE_DAYS = 5
#: Probability of reporting at least one change if there is none.
_SIGNIFICANCE = 0.05
#: Longest log, days.
_MAX_DAYS = 3660
#: Members of a day's level.
_PARTS = ("mean", "level", "low", "high")


def mood_log(
    source: str | Path,
    *,
    run: str | Path | None = None,
    columns: TableColumns | None = None,
    out: str | Path | None = None,
    plot: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> MoodLog:
    """Make the mood log of one person.

    The level of a day is that of :mod:`multiemo.applications.local_level`; ``low`` and ``high`` are the bounds of its
    95% interval. Days without a clip are part of the log; they have no mean and a wide interval. Changes are those of
    :func:`multiemo.applications.level_shifts.shifts`. At least one is reported in at most about 5% of logs in which
    nothing changes, even if neighbouring days are correlated.

    Args:
        source: prediction JSON, ``predictions.jsonl`` of a bulk prediction, a table with dates and values or with dates
            and clips, a media file or a folder of them.
        run: run or model folder to predict clips with.
        columns: names of the columns of a table.
        out: table of the days to write, in the format of its suffix.
        plot: plot to write, ``.png`` or ``.html``.
        device: device of the model; see :func:`multiemo.load`.
        progress: receives the progress.

    Returns:
        The log; see :class:`~multiemo.applications.mood_report.MoodLog`.

    Raises:
        ConfigError: a column or a run is missing, or a file cannot be written or is the source.
        ManifestError: the source does not exist, is invalid, or contains no day.
        MediaError, CheckpointError: see :func:`multiemo.load`.
    """
    check_outputs(source, out, plot)
    model = None if run is None else Path(run)
    given = read_dated_clips(Path(source), run=model, device=device, columns=columns, progress=progress)
    clips = given.clips
    if not clips:
        reason = next(iter(given.left_out.values()), "it has no rows")
        raise ManifestError(f"{source}: contains no day to log ({reason})")
    first, last = min(clip.date for clip in clips), max(clip.date for clip in clips)
    length = (last - first).days + 1
    if length > _MAX_DAYS:
        raise ManifestError(f"{source}: its days run from {first} to {last}, more than ten years; correct the dates")
    dates = [first + datetime.timedelta(day) for day in range(length)]
    notes = list(given.notes)
    valence = _levels("valence", [(clip.date, clip.valence) for clip in clips], dates, notes)
    arousals = [(clip.date, clip.arousal) for clip in clips if clip.arousal is not None]
    arousal = _levels("arousal", arousals, dates, notes)
    count = Counter(clip.date for clip in clips)
    changes: dict[Dimension, list[MoodChange]] = {}
    if valence.changes is not None:
        changes["valence"] = valence.changes
    if arousal.changes is not None:
        changes["arousal"] = arousal.changes
    log = MoodLog(
        meaning=MEANING,
        clips=len(clips),
        first=first.isoformat(),
        last=last.isoformat(),
        dates_from=dict(Counter(clip.dated for clip in clips)),
        values_from=dict(Counter(clip.source for clip in clips)),
        days=[
            MoodDay(
                date=date.isoformat(),
                clips=count[date],
                valence=valence.days[day] if valence.days else None,
                arousal=arousal.days[day] if arousal.days else None,
            )
            for day, date in enumerate(dates)
        ],
        changes=changes,
        left_out=given.left_out,
        failed=given.failed,
        notes=notes,
    )
    if out is not None:
        write_days(log, Path(out))
    if plot is not None:
        draw_days(log, Path(plot))
    return log


def check_outputs(source: str | Path, out: str | Path | None, plot: str | Path | None) -> None:
    """Check the names of the files to write.

    Args:
        source, out, plot: as in :func:`mood_log`.

    Raises:
        ConfigError: a suffix is not that of a known format, or a file is the source.
    """
    if plot is not None and Path(plot).suffix.lower() not in (".png", ".html"):
        raise ConfigError(f"{plot}: the name of a plot must end in .png or .html")
    if out is not None:
        format_of(Path(out))
    for target in (out, plot):
        if target is not None and is_same_file(target, source):
            raise ConfigError(f"{target}: is the source to read; write to another file")


@dataclass(frozen=True, slots=True)
class _Levels:
    """One dimension of a log.

    Args:
        days: the level of each day; empty if no clip has the dimension.
        changes: changes of level; ``None`` if there are too few days to find one.
    """

    days: list[MoodLevel]
    changes: list[MoodChange] | None


def _levels(
    name: Dimension,
    values: Sequence[tuple[datetime.date, float]],
    dates: Sequence[datetime.date],
    notes: list[str],
) -> _Levels:
    """The days and changes of one dimension.

    Args:
        name: name of the dimension.
        values: day and value (-1..1) of each clip that has it.
        dates: every day of the log.
        notes: receives remarks for the user.
    """
    if not values:
        notes.append(f"no clip has a value of {name}")
        return _Levels([], None)
    clips: list[list[float]] = [[] for _ in dates]
    for date, value in values:
        clips[(date - dates[0]).days].append(value)
    count = np.array([len(day) for day in clips], dtype=np.float64)
    mean = np.array([np.mean(day) if day else np.nan for day in clips])
    known = int((count > 0).sum())
    unknown = np.full(len(dates), np.nan)
    level, half_width = smooth(mean, count, _within(clips)) if known >= MIN_DAYS else (mean, unknown)
    low, high = np.clip(level - half_width, -1, 1), np.clip(level + half_width, -1, 1)
    days = [
        MoodLevel(**{part: None if np.isnan(v) else round(float(v), 4) for part, v in zip(_PARTS, row, strict=True)})
        for row in zip(mean, level, low, high, strict=True)
    ]
    if known < MIN_DAYS:
        notes.append(f"{name}: {known} days with clips; the uncertainty cannot be computed below {MIN_DAYS}")
    if known < 2 * _SIDE_DAYS:
        notes.append(f"{name}: {known} days with clips; finding changes takes at least {2 * _SIDE_DAYS}")
        return _Levels(days, None)
    changes = [
        MoodChange(
            date=dates[s.index].isoformat(),
            from_=dates[s.low].isoformat(),
            to=dates[s.high].isoformat(),
            before=round(s.before, 4),
            after=round(s.after, 4),
            p=round(s.p, 4),
        )
        for s in shifts(mean, level=_SIGNIFICANCE, smallest=_SIDE_DAYS)
    ]
    return _Levels(days, changes)


def _within(clips: Sequence[Sequence[float]]) -> float:
    """Variance of single clips within a day, pooled over days; 0 if no day has two."""
    several = [day for day in clips if len(day) > 1]
    freedom = sum(len(day) - 1 for day in several)
    return float(sum(np.var(day) * len(day) for day in several) / freedom) if freedom else 0.0


def write_days(log: MoodLog, path: Path) -> None:
    """Write the days as a table: date, clips, then mean, level, low and high of each dimension."""
    rows: list[Row] = [
        {"date": day.date, "clips": day.clips}
        | {
            name if part == "level" else f"{name}_{part}": day[name][part]
            for name in _dimensions(log)
            for part in _PARTS
        }
        for day in log.days
    ]
    with Writer(path, dict.fromkeys(rows[0])) as writer:
        writer.write(rows)


def _dimensions(log: MoodLog) -> list[Dimension]:
    """The dimensions that the log has."""
    names: tuple[Dimension, ...] = ("valence", "arousal")
    return [name for name in names if name in log.days[0]]


def draw_days(log: MoodLog, path: Path) -> None:
    """Plot the days as dots, the level as a line with its interval, and changes as dashed lines.

    Args:
        log: the log of one person.
        path: file to write, ``.png`` or ``.html``.

    Raises:
        ConfigError: the file cannot be written.
    """
    names = _dimensions(log)
    figure, panels = canvas(height=0.6 + 2.2 * len(names), rows=len(names))
    dates = [datetime.date.fromisoformat(day.date) for day in log.days]
    for name, axes in zip(names, panels, strict=True):
        mean, level, low, high = (
            np.array([np.nan if (v := day[name][part]) is None else v for day in log.days]) for part in _PARTS
        )
        axes.fill_between(dates, low, high, color=PALE, alpha=0.5, linewidth=0)  # type: ignore[arg-type]
        axes.plot(dates, mean, "o", color=GREY, markersize=3)  # type: ignore[arg-type]
        axes.plot(dates, level, color=ACCENT, linewidth=1.6)  # type: ignore[arg-type]
        for change in log.changes.get(name, ()):
            axes.axvline(datetime.date.fromisoformat(change.date), color=ALERT, linestyle="--", linewidth=1.1)  # type: ignore[arg-type]
        axes.axhline(0, color="#e3e8ee", linewidth=0.8, zorder=0)
        axes.set_ylabel(name)
    picture = encoded(figure)
    if path.suffix.lower() == ".png":
        write_atomically(path, base64.b64decode(picture), error=ConfigError)
        return
    changes = [
        f"{name}: on {c.date} (between {c.from_} and {c.to}) from {c.before:+.2f} to {c.after:+.2f}, p = {c.p:.3f}"
        for name, found in log.changes.items()
        for c in found
    ] or ["no change of level was found"]
    lines = [*changes, *log.notes, *(f"values: {source}" for source in log.values_from)]
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    write_atomically(
        path,
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mood log</title>'
        f'<body style="font-family:sans-serif;max-width:60em;margin:2em auto"><h1>Mood log</h1>'
        f"<p>{html.escape(log.meaning)}</p>"
        f'<img alt="valence and arousal by day" style="width:100%" src="data:image/png;base64,{picture}">'
        f"<ul>{listed}</ul></body></html>\n",
        error=ConfigError,
    )
