"""Timelines as CSV (RFC 4180, UTF-8) with one row for each segment."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from multiemo.predict.timeline.captions import branch_labels, most_probable, reasons, smoothed_label
from multiemo.predict.timeline.contents import Entry, modalities, placed_spans
from multiemo.tables.formulas import without_formula
from multiemo.types import DIMENSIONS


def csv_table(entry: Entry) -> str:
    """A row for each segment and each skipped span, in order of time. Overlaps are kept.

    Columns: ``start``, ``end`` (seconds), ``kind``, ``label``, ``best``, ``smoothed`` and ``smoothed_p`` (its
    probability), ``p_LABEL`` for every label, ``MODALITY_label`` and ``MODALITY_contribution``, valence, arousal and
    dominance if the model has them, ``words``, ``person`` (whose face was read), ``present``, ``absent`` (with
    reasons). For a model without labels, columns ``MODALITY_DIMENSION`` replace those of labels. They are all empty for
    a skipped span. The timelines of individual people are not included. A text that a spreadsheet would evaluate as a
    formula gets an apostrophe in front.
    """
    placed = placed_spans(entry)
    labels = list(dict.fromkeys(label for p in placed for label in p.content.get("probs", ())))
    dimensions = [d for d in DIMENSIONS if any(d in p.content for p in placed)]
    known = modalities(entry)
    labelled = not placed or any("label" in p.content for p in placed)
    head = ["start", "end", "kind"]
    if labelled:
        head += ["label", "best", "smoothed", "smoothed_p", *(f"p_{label}" for label in labels)]
        head += [f"{m}_{what}" for m in known for what in ("label", "contribution")]
    else:
        head += [f"{m}_{d}" for m in known for d in dimensions]
    head += [*dimensions, "words", "person", "present", "absent"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, head, restval="", lineterminator="\r\n")
    writer.writeheader()
    for span in placed:
        segment = span.content
        row: dict[str, Any] = {"start": segment["start"], "end": segment["end"], "kind": segment.get("kind", "")}
        row |= {"words": segment.get("text") or "", "absent": reasons(segment.get("absent") or {})}
        if span.index is not None:
            row |= _label_cells(segment) if labelled else _dimension_cells(segment)
            row |= {d: segment[d] for d in dimensions if d in segment}
            row["person"] = (segment.get("face") or {}).get("person", "")
            row["present"] = " ".join(segment.get("present", ()))
        writer.writerow({k: without_formula(v.replace("\0", "")) if isinstance(v, str) else v for k, v in row.items()})
    return buffer.getvalue()


def _label_cells(segment: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of labels and contributions."""
    label, probs = smoothed_label(segment)
    row: dict[str, Any] = {"label": segment["label"], "best": segment.get("best", most_probable(segment["probs"]))}
    if "smoothed" in segment:
        row |= {"smoothed": label, "smoothed_p": probs[label if label in probs else most_probable(probs)]}
    row |= {f"p_{name}": p for name, p in segment["probs"].items()}
    row |= {f"{m}_label": own for m, (own, _) in branch_labels(segment).items()}
    return row | {f"{m}_contribution": value for m, value in (segment.get("contribution") or {}).items()}


def _dimension_cells(segment: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of each modality's dimensions."""
    by_modality = segment.get("by_modality") or {}
    return {f"{m}_{d}": value for m, values in by_modality.items() for d, value in values.items()}
