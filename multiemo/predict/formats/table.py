"""The timeline as CSV (RFC 4180, UTF-8): one row a segment."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from multiemo.predict.timeline.captions import branch_labels, most_probable, reasons, smoothed_label
from multiemo.predict.timeline.contents import Entry, modalities, placed_spans
from multiemo.types import DIMENSIONS


def csv_table(entry: Entry) -> str:
    """One row a segment and skipped span, in order of time, with its own start and end.

    Columns: ``start``, ``end`` (seconds), ``kind``, ``label``, ``best``, ``smoothed`` and ``smoothed_p`` (its
    probability), ``p_LABEL`` of every label, ``MODALITY_label`` and ``MODALITY_contribution``, valence, arousal and
    dominance where the model has them, ``words``, ``person`` (whose face was read), ``present``, ``absent`` (with
    reasons). A model without labels has ``MODALITY_DIMENSION`` in place of the columns of labels. A skipped span has
    neither. The timelines of several people are not in it: they are other rows of the
    same time.
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
        said = span.content
        row: dict[str, Any] = {"start": said["start"], "end": said["end"], "kind": said.get("kind", "")}
        row |= {"words": said.get("text") or "", "absent": reasons(said.get("absent") or {})}
        if span.index is not None:
            row |= _labelled(said) if labelled else _by_modality(said)
            row |= {d: said[d] for d in dimensions if d in said}
            row |= {"person": (said.get("face") or {}).get("person", ""), "present": " ".join(said.get("present", ()))}
        writer.writerow({k: v.replace("\0", "") if isinstance(v, str) else v for k, v in row.items()})
    return buffer.getvalue()


def _labelled(said: Mapping[str, Any]) -> dict[str, Any]:
    label, probs = smoothed_label(said)
    row: dict[str, Any] = {"label": said["label"], "best": said.get("best", most_probable(said["probs"]))}
    if "smoothed" in said:
        row |= {"smoothed": label, "smoothed_p": probs[label if label in probs else most_probable(probs)]}
    row |= {f"p_{name}": p for name, p in said["probs"].items()}
    row |= {f"{m}_label": own for m, (own, _) in branch_labels(said).items()}
    return row | {f"{m}_contribution": value for m, value in (said.get("contribution") or {}).items()}


def _by_modality(said: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{m}_{d}": value for m, values in (said.get("by_modality") or {}).items() for d, value in values.items()}
