"""Shows a live stream in a terminal: its segments, and bars for the latest one."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from multiemo.predict.prediction import SegmentPrediction, TimelineSegment
from multiemo.predict.timeline.captions import branch_labels, own_label

#: Width of a full bar, characters.
_BAR = 40


def show_live(segments: Iterable[TimelineSegment]) -> list[TimelineSegment]:
    """Show segments as they come, until there are no more; outside a terminal, one line for each segment.

    Args:
        segments: the segments of a stream, as they are settled.

    Returns:
        All segments.
    """
    console = Console(highlight=False)
    shown: list[TimelineSegment] = []
    if not console.is_terminal:
        for segment in segments:
            shown.append(segment)
            console.print(line(segment), markup=False, soft_wrap=True)
        return shown
    with Live(Text("listening ..."), console=console, refresh_per_second=8, transient=True) as view:
        for segment in segments:
            shown.append(segment)
            console.print(line(segment), markup=False)
            view.update(_bars(shown))
    return shown


def line(segment: TimelineSegment) -> str:
    """A segment in one line."""
    span = f"{segment.start:7.2f} .. {segment.end:7.2f} s"
    if not isinstance(segment, SegmentPrediction):
        return f"{span}  nothing to go by ({'; '.join(segment.absent.values())})"
    words = "" if segment.text is None else f"   {segment.text!r}"
    present = ",".join(segment.present)
    if segment.label is None or segment.best is None or segment.probs is None:
        return f"{span}  {own_label(segment)[0]}   {present}{words}"
    over = segment.label if segment.smoothed is None else segment.smoothed.label
    return f"{span}  {segment.label:<10} {segment.probs[segment.best]:.2f}   over time: {over:<10} {present}{words}"


def _bars(segments: list[TimelineSegment]) -> RenderableType:
    """The probabilities of the latest predicted segment as bars, and the contributions of its modalities."""
    latest = next((segment for segment in reversed(segments) if isinstance(segment, SegmentPrediction)), None)
    if latest is None:
        return Text("nothing to go by yet")
    probs = latest.probs if latest.smoothed is None else latest.smoothed.probs
    if probs is None or latest.contribution is None:
        return Text("\n".join(f"{m}: {text}" for m, (text, _) in branch_labels(latest).items()))
    bars = Table.grid(padding=(0, 1))
    for label, probability in sorted(probs.items(), key=lambda item: -item[1]):
        bars.add_row(label, "█" * round(_BAR * probability), f"{probability:.2f}")
    shares = ", ".join(f"{m} {v:+.2f}" for m, v in latest.contribution.items())
    return Group(bars, Text(f"contribution of each modality: {shares}"))
