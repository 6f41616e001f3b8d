"""The timeline as one self-contained HTML page: nothing is loaded from elsewhere, and it needs no script."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from multiemo.calibration import UNCERTAIN
from multiemo.predict.outputs.colours import MODALITY_COLOURS, label_colours
from multiemo.predict.outputs.drawing import Drawing
from multiemo.predict.outputs.timeline import (
    Entry,
    Part,
    Timeline,
    alone,
    caption,
    clock,
    one_line,
    reasons,
    smoothed,
    timeline,
    told,
)
from multiemo.predict.traces import Traces
from multiemo.types import DIMENSIONS

#: Labels named in a tooltip.
_NAMED = 5


def html(entry: Entry, traces: Traces) -> str:
    """Lanes as inline SVG with the time scrolling below fixed names, and a table of all segments.

    The lanes are those of :func:`~multiemo.predict.outputs.figure.png`, with the words as text; what a segment says and
    why something is absent or skipped is in its tooltip. Light or dark as the reader's system is.

    Args:
        entry: of the prediction JSON.
        traces: may be empty.
    """
    shown = timeline(entry)
    colours = label_colours([*shown.labels, *shown.bands])
    tips = [tip(part) for part in shown.parts]
    drawing = Drawing(shown, traces, colours, tips)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    legend = [label for label in [*shown.bands, UNCERTAIN] if label in shown.bands or label in shown.labels]
    return environment.get_template("timeline.html").render(
        title=one_line(entry["input"]),
        lead=_lead(entry, shown),
        absent={m: one_line(why) for m, why in entry.get("absent", {}).items()},
        notes=[one_line(note) for note in entry.get("notes", ())],
        legend={one_line(label): colours[label] for label in legend},
        modalities={m: MODALITY_COLOURS[m] for m in shown.modalities} if drawing.has("contribution") else {},
        skipped=any(part.index is None for part in shown.parts),
        pitch=drawing.has("sound") and not np.isnan(traces.pitch).all(),
        dimensions=[d for d in DIMENSIONS if any(d in part.said for part in shown.parts)],
        drawing=drawing,
        svg=Markup(drawing.svg()),  # every text in it is escaped by ElementTree
        overview=Markup(drawing.overview()) if drawing.scrolls else "",
        rows=[_row(part) for part in shown.parts],
        with_smoothed="smoothed" in shown.lanes,
        columns=shown.modalities,
    )


def tip(part: Part) -> str:
    """What the tooltip of a segment or skipped span says, one fact a line."""
    said = part.said
    kind = f"  ({said['kind']})" if said.get("kind") else ""
    lines = [f"{clock(float(said['start']))} .. {clock(float(said['end']))}{kind}"]
    if part.index is None:
        return "\n".join([*lines, "skipped: " + (one_line(reasons(said.get("absent") or {})) or "nothing to go by")])
    if said.get("smoothed"):
        lines.append("smoothed: " + _shares(said["smoothed"]["probs"], said["smoothed"]["label"]))
    label, probs = told(said)
    lines.append(("by itself: " if said.get("smoothed") else "") + _shares(probs, label))
    for m, (label, probs) in alone(said).items():
        share = (said.get("contribution") or {}).get(m)
        lines.append(f"{m}: {_shares(probs, label, 2)}" + ("" if share is None else f"; contributes {share:+.2f}"))
    lines += [f"{m} absent: {why}" for m, why in (said.get("absent") or {}).items()]
    dimensions = [f"{d} {said[d]:+.2f}" for d in DIMENSIONS if said.get(d) is not None]
    face = said.get("face") or {}
    if face:
        facts = (("quality", face.get("quality")), ("chosen", face.get("chosen")))
        lines.append("; ".join([f"face of person {face.get('person')}", *(f"{k}: {v}" for k, v in facts if v)]))
    lines += [", ".join(dimensions) if "label" in said else "", str(said.get("text") or "")]
    return "\n".join(one_line(line) for line in lines if line)


def _shares(probs: Mapping[str, float], label: str, count: int = _NAMED) -> str:
    """The label, and the most probable others."""
    order = sorted((name for name in probs if name != label), key=lambda name: -probs[name])
    return ", ".join([caption(label, probs), *(f"{name} {probs[name]:.0%}" for name in order[: count - 1])])


def _lead(entry: Entry, shown: Timeline) -> str:
    """Length, segments, what is present, where the words come from."""
    count = len(entry["segments"])
    facts = [clock(shown.whole), f"{count} segment{'' if count == 1 else 's'}"]
    facts.append("present: " + (", ".join(entry.get("present", ())) or "nothing"))
    words = entry.get("words") or {}
    if isinstance(words, Mapping):
        language = f" ({words['language']})" if words.get("language") else ""
        facts += [f"words: {words['source']}{language}"] if words.get("source") else []
    people = entry.get("people") or ()
    facts += [f"{len(people)} people"] if len(people) > 1 else []
    return " · ".join(one_line(fact) for fact in facts)


def _row(part: Part) -> dict[str, Any]:
    """A row of the table; ``index`` is ``None`` for a skipped span."""
    said = part.said
    row: dict[str, Any] = {"index": part.index, "kind": said.get("kind", "")}
    row |= {"start": clock(float(said["start"])), "end": clock(float(said["end"]))}
    row |= {"words": one_line(said.get("text") or ""), "absent": one_line(reasons(said.get("absent") or {}))}
    if part.index is not None:
        row |= {
            "label": one_line(caption(*told(said))),
            "smoothed": one_line(caption(*smoothed(said))),
        }
        contribution = said.get("contribution") or {}
        row["by"] = {m: (one_line(label), contribution.get(m)) for m, (label, _) in alone(said).items()}
        row["person"] = (said.get("face") or {}).get("person", "")
    return row
