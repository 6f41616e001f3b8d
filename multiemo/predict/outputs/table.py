"""The timeline as CSV (RFC 4180, UTF-8): one row a segment."""

from __future__ import annotations

import csv
import io
from typing import Any

from multiemo.predict.outputs.timeline import Entry, alone, best, modalities, parts, reasons, smoothed
from multiemo.types import DIMENSIONS


def csv_table(entry: Entry) -> str:
    """One row a segment and skipped span, in order of time, with its own start and end.

    Columns: ``start``, ``end`` (seconds), ``kind``, ``label``, ``best``, ``smoothed`` and ``smoothed_p`` (its
    probability), ``p_LABEL`` of every label, ``MODALITY_label`` and ``MODALITY_contribution``, valence, arousal and
    dominance where the model has them, ``words``, ``person`` (whose face was read), ``present``, ``absent`` (with
    reasons). A skipped span has no label. The timelines of several people are not in it: they are other rows of the
    same time.
    """
    placed = parts(entry)
    labels = list(dict.fromkeys(label for p in placed for label in p.said.get("probs", ())))
    dimensions = [d for d in DIMENSIONS if any(d in p.said for p in placed)]
    known = modalities(entry)
    head = ["start", "end", "kind", "label", "best", "smoothed", "smoothed_p", *(f"p_{label}" for label in labels)]
    head += [f"{m}_{what}" for m in known for what in ("label", "contribution")]
    head += [*dimensions, "words", "person", "present", "absent"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, head, restval="", lineterminator="\r\n")
    writer.writeheader()
    for part in placed:
        said = part.said
        row: dict[str, Any] = {"start": said["start"], "end": said["end"], "kind": said.get("kind", "")}
        row |= {"words": said.get("text") or "", "absent": reasons(said.get("absent") or {})}
        if part.index is not None:
            label, probs = smoothed(said)
            row |= {"label": said["label"], "best": said.get("best", best(said["probs"]))}
            if "smoothed" in said:
                row |= {"smoothed": label, "smoothed_p": probs[label if label in probs else best(probs)]}
            row |= {f"p_{name}": p for name, p in said["probs"].items()}
            row |= {f"{m}_label": own for m, (own, _) in alone(said).items()}
            row |= {f"{m}_contribution": value for m, value in (said.get("contribution") or {}).items()}
            row |= {d: said[d] for d in dimensions if d in said}
            row |= {"person": (said.get("face") or {}).get("person", ""), "present": " ".join(said.get("present", ()))}
        writer.writerow(row)
    return buffer.getvalue()
