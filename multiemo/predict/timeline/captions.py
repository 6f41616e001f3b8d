"""The texts about a segment: its labels, times and reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from multiemo.types import DIMENSIONS

#: Characters that XML does not allow: control characters, and the lone surrogates of file names that are not UTF-8.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Number of labels in a tooltip.
_TOOLTIP_LABELS = 5


def own_label(segment: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """The label and the probabilities of a segment; without labels, its dimensions as text and no probabilities.

    Example:
        >>> own_label({"valence": 0.25, "arousal": -0.5})
        ('valence +0.25, arousal -0.50', {})
    """
    if "label" in segment:
        return str(segment["label"]), segment["probs"]
    return ", ".join(f"{name} {segment[name]:+.2f}" for name in DIMENSIONS if name in segment), {}


def smoothed_label(segment: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """The label and the probabilities after smoothing over time, or before it if the segment is not smoothed."""
    return own_label(segment.get("smoothed") or segment)


def branch_labels(segment: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, float]]]:
    """{modality: label and probabilities of its own branch}.

    If the segment has no ``modality_label``, the label is the most probable one.
    """
    named = segment.get("modality_label") or {}
    if "label" not in segment:
        return {m: own_label(values) for m, values in (segment.get("by_modality") or {}).items()}
    return {m: (named.get(m) or most_probable(p), p) for m, p in (segment.get("by_modality") or {}).items() if p}


def most_probable(probs: Mapping[str, float]) -> str:
    """The most probable label."""
    return max(probs, key=lambda label: probs[label])


def caption(label: str, probs: Mapping[str, float]) -> str:
    """A label with its probability.

    Example:
        >>> caption("sad", {"happy": 0.1, "sad": 0.9}), caption("uncertain", {"happy": 0.4, "sad": 0.6})
        ('sad 90%', 'uncertain (sad 60%)')
    """
    if label in probs:
        return f"{label} {probs[label]:.0%}"
    if not probs:
        return label
    guess = most_probable(probs)
    return f"{label} ({guess} {probs[guess]:.0%})"


def clock(seconds: float) -> str:
    """A time in minutes and seconds, with hours and tenths unless they are zero.

    Example:
        >>> clock(3.26), clock(75), clock(3675)
        ('0:03.3', '1:15', '1:01:15')
    """
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths // 10, 60)
    front = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else str(minutes)
    return f"{front}:{rest:02d}" + (f".{tenths % 10}" if tenths % 10 else "")


def reasons(absent: Mapping[str, str]) -> str:
    """The reasons for absent modalities in one line."""
    return "; ".join(f"{m}: {reason}" for m, reason in absent.items())


def plain(text: object) -> str:
    """Text that is valid in UTF-8 and XML: control characters and lone surrogates become U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def one_line(text: object) -> str:
    """Plain text in which every run of white space is one space."""
    return " ".join(plain(text).split())


def summary(entry: Mapping[str, Any], duration: float) -> str:
    """The duration, number of segments, modalities and source of the words of an input in one line.

    Args:
        entry: one entry of ``inputs`` in the prediction JSON.
        duration: seconds.
    """
    count = len(entry["segments"])
    facts = [clock(duration), f"{count} segment{'' if count == 1 else 's'}"]
    facts.append("present: " + (", ".join(entry.get("present", ())) or "nothing"))
    words = entry.get("words") or {}
    if isinstance(words, Mapping) and words.get("source"):
        facts.append(f"words: {words['source']}" + (f" ({words['language']})" if words.get("language") else ""))
    people = entry.get("people") or ()
    facts += [f"{len(people)} people"] if len(people) > 1 else []
    return " · ".join(one_line(fact) for fact in facts)


def tooltip(span: Mapping[str, Any], *, skipped: bool) -> str:
    """The tooltip of a segment or skipped span, one fact on each line.

    Args:
        span: an entry of ``segments`` or ``skipped``.
        skipped: whether it is one of ``skipped``.
    """
    kind = f"  ({span['kind']})" if span.get("kind") else ""
    lines = [f"{clock(float(span['start']))} .. {clock(float(span['end']))}{kind}"]
    if skipped:
        return "\n".join([*lines, "skipped: " + (one_line(reasons(span.get("absent") or {})) or "nothing to go by")])
    smoothed = span.get("smoothed")
    if smoothed:
        lines.append("smoothed: " + _shares(smoothed["probs"], smoothed["label"]))
    label, probs = own_label(span)
    lines.append(("not smoothed: " if smoothed else "") + _shares(probs, label))
    for m, (label, probs) in branch_labels(span).items():
        share = (span.get("contribution") or {}).get(m)
        lines.append(f"{m}: {_shares(probs, label, 2)}" + ("" if share is None else f"; contributes {share:+.2f}"))
    lines += [f"{m} absent: {why}" for m, why in (span.get("absent") or {}).items()]
    face = span.get("face") or {}
    if face:
        facts = (("quality", face.get("quality")), ("chosen", face.get("chosen")))
        lines.append("; ".join([f"face of person {face.get('person')}", *(f"{k}: {v}" for k, v in facts if v)]))
    dimensions = [f"{d} {span[d]:+.2f}" for d in DIMENSIONS if span.get(d) is not None]
    lines += [", ".join(dimensions) if "label" in span else "", str(span.get("text") or "")]
    return "\n".join(one_line(line) for line in lines if line)


def _shares(probs: Mapping[str, float], label: str, count: int = _TOOLTIP_LABELS) -> str:
    """The label and the most probable other labels, ``count`` in all, with their probabilities."""
    order = sorted((name for name in probs if name != label), key=lambda name: -probs[name])
    return ", ".join([caption(label, probs), *(f"{name} {probs[name]:.0%}" for name in order[: count - 1])])
