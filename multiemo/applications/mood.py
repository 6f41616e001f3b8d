"""The mood log of one person: valence and arousal of each day, how sure that is, and when the level changed."""

from __future__ import annotations

import base64
import datetime
import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.applications.level import FEWEST, smooth
from multiemo.applications.readings import Reading, TableColumns, read_readings
from multiemo.applications.series import shifts
from multiemo.applications.tables import Writer, format_of
from multiemo.data.tables import Row
from multiemo.errors import ConfigError, ManifestError
from multiemo.files import write_atomically
from multiemo.plots import ACCENT, ALERT, GREY, PALE, canvas, encoded
from multiemo.progress import Progress

Array = NDArray[np.float64]

MEANING = (
    "This describes how recordings were classified from day to day. It is not a diagnosis, and says nothing about "
    "health; a model's errors and a change of microphone, room or habit can look like a change of mood."
)
#: Days with clips that each side of a change must have.
_SIDE = 5
#: Chance that a change is reported where there is none.
_LEVEL = 0.05
_LONGEST = 3660


def mood_log(
    source: str | Path,
    *,
    run: str | Path | None = None,
    columns: TableColumns | None = None,
    out: str | Path | None = None,
    plot: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Valence and arousal of one person's days with their uncertainty, and the days on which the level changed.

    The level of a day is that of :mod:`multiemo.applications.level`; ``low`` and ``high`` hold it with 95%. Days
    without a clip stay in the log, with no mean and a wide band. Changes are those of
    :func:`multiemo.applications.series.shifts`: one or more are reported in about 5% of logs in which nothing
    changes, or fewer, also where neighbouring days resemble each other.

    Args:
        source: prediction JSON, ``predictions.jsonl`` of a bulk prediction, a table with dates and values or with dates
            and clips, a media file or a folder of them.
        run: run or model folder, where clips are to be predicted.
        columns: names of a table's columns.
        out: table of the days to write, in the format that its suffix says.
        plot: ``.png`` or ``.html`` to write.
        device: of the run; see :func:`multiemo.load`.
        progress: told how far it is.

    Returns:
        ``{"meaning", "clips", "first", "last", "dates_from": {where: clips}, "values_from": {where: clips}, "days":
        [{"date", "clips", "valence": {"mean", "level", "low", "high"}, "arousal": ...}], "changes": {"valence":
        [{"date", "from", "to", "before", "after", "p"}], ...}, "left_out": {clip: reason}, "failed": [clip, ...],
        "notes": [...]}``; ``failed`` are those of ``left_out`` that should have been read and could not be.

    Raises:
        ConfigError: a column or a run is missing, or a file cannot be written.
        ManifestError: the source is not there, broken, or holds no day.
        MediaError, CheckpointError: see :func:`multiemo.load`.
    """
    check_outputs(out, plot)
    model = None if run is None else Path(run)
    given = read_readings(Path(source), run=model, device=device, columns=columns, progress=progress)
    readings = given.readings
    if not readings:
        reason = next(iter(given.left_out.values()), "it has no rows")
        raise ManifestError(f"{source}: holds no day to log ({reason})")
    first, last = min(r.date for r in readings), max(r.date for r in readings)
    length = (last - first).days + 1
    if length > _LONGEST:
        raise ManifestError(f"{source}: its days run from {first} to {last}, more than ten years; correct the dates")
    log: dict[str, Any] = {
        "meaning": MEANING,
        "clips": len(readings),
        "first": first.isoformat(),
        "last": last.isoformat(),
        "dates_from": dict(Counter(r.dated for r in readings)),
        "values_from": dict(Counter(r.source for r in readings)),
        "days": [{"date": (first + datetime.timedelta(d)).isoformat(), "clips": 0} for d in range(length)],
        "changes": {},
        "left_out": given.left_out,
        "failed": given.failed,
        "notes": given.notes,
    }
    for reading in readings:
        log["days"][(reading.date - first).days]["clips"] += 1
    _add(log, "valence", [(r, r.valence) for r in readings])
    _add(log, "arousal", [(r, r.arousal) for r in readings if r.arousal is not None])
    if out is not None:
        write_days(log, Path(out))
    if plot is not None:
        draw_days(log, Path(plot))
    return log


def check_outputs(out: str | Path | None, plot: str | Path | None) -> None:
    """Whether the files to write have endings that say their formats.

    Raises:
        ConfigError: one does not.
    """
    if plot is not None and Path(plot).suffix.lower() not in (".png", ".html"):
        raise ConfigError(f"{plot}: a plot ends in .png or .html")
    if out is not None:
        format_of(Path(out))


def _add(log: dict[str, Any], name: str, values: Sequence[tuple[Reading, float]]) -> None:
    """One dimension's days and changes."""
    if not values:
        log["notes"].append(f"nothing says {name}")
        return
    first, length = datetime.date.fromisoformat(log["first"]), len(log["days"])
    clips: list[list[float]] = [[] for _ in range(length)]
    for reading, value in values:
        clips[(reading.date - first).days].append(value)
    count = np.array([len(day) for day in clips], dtype=np.float64)
    mean = np.array([np.mean(day) if day else np.nan for day in clips])
    known = int((count > 0).sum())
    nothing = np.full(length, np.nan)
    level, reach = smooth(mean, count, _within(clips)) if known >= FEWEST else (mean, nothing)
    low, high = np.clip(level - reach, -1, 1), np.clip(level + reach, -1, 1)
    for i, day in enumerate(log["days"]):
        parts = {"mean": mean[i], "level": level[i], "low": low[i], "high": high[i]}
        day[name] = {key: None if np.isnan(v) else round(float(v), 4) for key, v in parts.items()}
    if known < FEWEST:
        log["notes"].append(f"{name}: {known} days with clips; below {FEWEST} nothing can be said of uncertainty")
    if known < 2 * _SIDE:
        log["notes"].append(
            f"{name}: {known} days with clips; a change can be found from {2 * _SIDE} on, so none was looked for"
        )
        return
    log["changes"][name] = [
        {
            "date": log["days"][s.index]["date"],
            "from": log["days"][s.low]["date"],
            "to": log["days"][s.high]["date"],
            "before": round(s.before, 4),
            "after": round(s.after, 4),
            "p": round(s.p, 4),
        }
        for s in shifts(mean, level=_LEVEL, smallest=_SIDE)
    ]


def _within(clips: Sequence[Sequence[float]]) -> float:
    """Variance of single clips within a day, pooled over days; 0 where no day has two."""
    several = [day for day in clips if len(day) > 1]
    freedom = sum(len(day) - 1 for day in several)
    return float(sum(np.var(day) * len(day) for day in several) / freedom) if freedom else 0.0


def write_days(log: dict[str, Any], path: Path) -> None:
    """The days as a table: date, clips, then mean, level, low and high of each dimension."""
    names = [n for n in ("valence", "arousal") if n in log["days"][0]]
    rows: list[Row] = [
        {"date": day["date"], "clips": day["clips"]}
        | {n if key == "level" else f"{n}_{key}": value for n in names for key, value in day[n].items()}
        for day in log["days"]
    ]
    with Writer(path, dict.fromkeys(rows[0])) as writer:
        writer.write(rows)


def draw_days(log: dict[str, Any], path: Path) -> None:
    """The days as dots, the level as a line with its band, changes as dashed lines."""
    names = [n for n in ("valence", "arousal") if n in log["days"][0]]
    figure, panels = canvas(height=0.6 + 2.2 * len(names), rows=len(names))
    dates = [datetime.date.fromisoformat(day["date"]) for day in log["days"]]
    for name, axes in zip(names, panels, strict=True):
        mean, level, low, high = (
            np.array([np.nan if (v := day[name][key]) is None else v for day in log["days"]])
            for key in ("mean", "level", "low", "high")
        )
        axes.fill_between(dates, low, high, color=PALE, alpha=0.5, linewidth=0)  # type: ignore[arg-type]
        axes.plot(dates, mean, "o", color=GREY, markersize=3)  # type: ignore[arg-type]
        axes.plot(dates, level, color=ACCENT, linewidth=1.6)  # type: ignore[arg-type]
        for change in log["changes"].get(name, ()):
            axes.axvline(datetime.date.fromisoformat(change["date"]), color=ALERT, linestyle="--", linewidth=1.1)  # type: ignore[arg-type]
        axes.axhline(0, color="#e3e8ee", linewidth=0.8, zorder=0)
        axes.set_ylabel(name)
    picture = encoded(figure)
    if path.suffix.lower() == ".png":
        write_atomically(path, base64.b64decode(picture), error=ConfigError)
        return
    changes = [
        f"{name}: on {c['date']} (between {c['from']} and {c['to']}) from {c['before']:+.2f} to {c['after']:+.2f}, "
        f"p = {c['p']:.3f}"
        for name, found in log["changes"].items()
        for c in found
    ] or ["no change of level was found"]
    lines = [*changes, *log["notes"], *(f"values: {source}" for source in log["values_from"])]
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    write_atomically(
        path,
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mood log</title>'
        f'<body style="font-family:sans-serif;max-width:60em;margin:2em auto"><h1>Mood log</h1>'
        f"<p>{html.escape(log['meaning'])}</p>"
        f'<img alt="valence and arousal by day" style="width:100%" src="data:image/png;base64,{picture}">'
        f"<ul>{listed}</ul></body></html>\n",
        error=ConfigError,
    )
