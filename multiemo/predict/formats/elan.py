"""Timelines as annotation documents of ELAN (Max Planck Institute for Psycholinguistics, EAF 3.0)."""

from __future__ import annotations

import mimetypes
import os
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote_from_bytes
from xml.etree import ElementTree

from multiemo.predict.formats.tiers import Interval, tiers
from multiemo.predict.timeline.captions import plain
from multiemo.predict.timeline.contents import Entry

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
#: MIME types that some systems do not know.
_MIME = {
    ".mkv": "video/x-matroska",
    ".flac": "audio/flac",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".flv": "video/x-flv",
}
#: The linguistic types: the kinds of content of a tier.
_TYPES = ("label", "words", "reason")


def eaf(entry: Entry, path: Path) -> str:
    """The annotation document of one input, with a tier for each of :func:`~multiemo.predict.formats.tiers.tiers`.

    Intervals without text get no annotation. A tier cannot hold overlapping segments: they are cut at the middle of
    the overlap.

    Args:
        entry: one entry of ``inputs`` in the prediction JSON.
        path: where the document will be written; the media file is also referenced relative to it.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {"AUTHOR": "multiemo", "DATE": now, "FORMAT": "3.0", "VERSION": "3.0", _INSTANCE: _SCHEMA},
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    descriptor = _media(Path(entry["input"]), path)
    if descriptor:
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", descriptor)
    found = tiers(entry)
    slots = _slots(root, found)
    number = 0
    for name, intervals in found.items():
        kind = {"words": "words", "skipped": "reason"}.get(name, "label")
        tier = ElementTree.SubElement(root, "TIER", TIER_ID=plain(name), LINGUISTIC_TYPE_REF=kind)
        if name.startswith("person "):
            tier.set("PARTICIPANT", plain(name))
        for place, interval in enumerate(intervals):
            number += 1
            first, last = (slots[name, place, side] for side in (0, 1))
            holder = ElementTree.SubElement(tier, "ANNOTATION")
            annotation = ElementTree.SubElement(
                holder, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{number}", TIME_SLOT_REF1=first, TIME_SLOT_REF2=last
            )
            ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = interval.text
    for kind in _TYPES:
        ElementTree.SubElement(
            root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=kind, TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false"
        )
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _slots(root: ElementTree.Element, found: dict[str, list[Interval]]) -> dict[tuple[str, int, int], str]:
    """Write TIME_ORDER, in order of time.

    Returns:
        {(tier, index in the tier, 0 for start or 1 for end): id of the time slot}.
    """
    order = ElementTree.SubElement(root, "TIME_ORDER")
    times = [
        (time, name, place, side)
        for name, intervals in found.items()
        for place, interval in enumerate(intervals)
        for side, time in enumerate((interval.start, interval.end))
    ]
    slots = {}
    for number, (time, name, place, side) in enumerate(sorted(times, key=lambda one: one[0]), 1):
        slots[name, place, side] = f"ts{number}"
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time))
    return slots


def _media(media: Path, path: Path) -> dict[str, str]:
    """The absolute and relative URL of the media file; empty unless its suffix is that of a media file."""
    mime = mimetypes.guess_type(media.name)[0] or _MIME.get(media.suffix.lower(), "")
    if mime.partition("/")[0] not in ("audio", "video", "image"):
        return {}
    try:
        found = {"MEDIA_URL": media.absolute().as_uri(), "MIME_TYPE": mime}
    except UnicodeEncodeError:  # not a valid file name
        return {}
    try:
        near = os.path.relpath(media.absolute(), path.absolute().parent)
    except ValueError:  # another drive
        return found
    return {**found, "RELATIVE_MEDIA_URL": "./" + quote_from_bytes(os.fsencode(near.replace(os.sep, "/")))}
