"""The timeline as an annotation document of ELAN (Max Planck Institute for Psycholinguistics, EAF 3.0)."""

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
#: MIME types that not every system's table has.
_MIME = {
    ".mkv": "video/x-matroska",
    ".flac": "audio/flac",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".flv": "video/x-flv",
}
#: What a tier holds; each is a linguistic type.
_TYPES = ("label", "words", "reason")


def eaf(entry: Entry, path: Path) -> str:
    """One tier for each of :func:`~multiemo.predict.formats.tiers.tiers`; spans without text have no annotation.

    A tier cannot hold segments that overlap: both are cut at the middle of the overlap.

    Args:
        entry: of the prediction JSON.
        path: where the document will lie; the media file is named from there too.
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
    """Write TIME_ORDER, in order of time, and give the slot of (tier, place in it, start or end)."""
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
    """Where the media file is, from anywhere and from the document's folder; empty where the name is of no media."""
    mime = mimetypes.guess_type(media.name)[0] or _MIME.get(media.suffix.lower(), "")
    if mime.partition("/")[0] not in ("audio", "video", "image"):
        return {}
    try:
        found = {"MEDIA_URL": media.absolute().as_uri(), "MIME_TYPE": mime}
    except UnicodeEncodeError:  # a name that no file can have
        return {}
    try:
        near = os.path.relpath(media.absolute(), path.absolute().parent)
    except ValueError:  # another drive
        return found
    return {**found, "RELATIVE_MEDIA_URL": "./" + quote_from_bytes(os.fsencode(near.replace(os.sep, "/")))}
