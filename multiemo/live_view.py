"""What a live stream shows in a terminal: the last segments, and bars for the newest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from multiemo.predict.timeline.captions import branch_labels, own_label

#: Cells of a full bar.
_BAR = 40


def show_live(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Show segments as they come, until there are no more; in a file or pipe, one line a segment.

    Args:
        entries: of ``segments`` of the prediction JSON.

    Returns:
        Them all.
    """
    console = Console(highlight=False)
    seen: list[Mapping[str, Any]] = []
    if not console.is_terminal:
        for entry in entries:
            seen.append(entry)
            console.print(line(entry), markup=False, soft_wrap=True)
        return seen
    with Live(Text("listening ..."), console=console, refresh_per_second=8, transient=True) as view:
        for entry in entries:
            seen.append(entry)
            console.print(line(entry), markup=False)
            view.update(_picture(seen))
    return seen


def line(entry: Mapping[str, Any]) -> str:
    """One segment in a line."""
    span = f"{entry['start']:7.2f} .. {entry['end']:7.2f} s"
    if "present" not in entry:
        return f"{span}  nothing to go by ({'; '.join(entry['absent'].values())})"
    words = f"   {entry['text']!r}" if "text" in entry else ""
    if "label" not in entry:
        return f"{span}  {own_label(entry)[0]}   {','.join(entry['present'])}{words}"
    best, over = entry["best"], entry.get("smoothed", entry)["label"]
    said = (
        f"{span}  {entry['label']:<10} {entry['probs'][best]:.2f}   over time: {over:<10} {','.join(entry['present'])}"
    )
    return said + words


def _picture(seen: list[Mapping[str, Any]]) -> RenderableType:
    newest = next((entry for entry in reversed(seen) if "present" in entry), None)
    if newest is None:
        return Text("nothing to go by yet")
    if "label" not in newest:
        return Text("\n".join(f"{m}: {said}" for m, (said, _) in branch_labels(newest).items()))
    bars = Table.grid(padding=(0, 1))
    for label, probability in sorted(newest.get("smoothed", newest)["probs"].items(), key=lambda item: -item[1]):
        bars.add_row(label, "█" * round(_BAR * probability), f"{probability:.2f}")
    shares = ", ".join(f"{m} {v:+.2f}" for m, v in newest["contribution"].items())
    return Group(bars, Text(f"contribution of each modality: {shares}"))
