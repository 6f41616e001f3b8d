"""Read subtitles inside a media file: text tracks of MP4 (mov_text), Matroska (SubRip, ASS, WebVTT) and others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from av.stream import Disposition

from multiemo.media.container import FAILURES, check_path, open_container, origin_of, tag_of
from multiemo.media.pictures.animated import picture_format
from multiemo.transcripts.cleaning import DRAWING, sounds_note, strip_markup, strip_sounds
from multiemo.transcripts.language import language_of, short_code
from multiemo.transcripts.transcript import Cue, Transcript, repair_cues

#: Number of fields of an ASS event in FFmpeg's form: ReadOrder, Layer, Style, Name, three margins, Effect, Text.
_FIELDS = 9
_NAME = 3
_BITMAPS = {"dvd_subtitle", "dvdsub", "hdmv_pgs_subtitle", "pgssub", "dvb_subtitle", "dvbsub", "xsub"}


def embedded_subtitles(path: str | Path, notes: list[str] | None = None, *, where: str = "") -> Transcript | None:
    """Read a file's subtitle track: the default one, else the first that is not marked as forced.

    Args:
        path: media file.
        notes: receives the reason if a track exists but cannot be used: pictures instead of text, or damage.
        where: name of the clip, for messages.

    Returns:
        The transcript, or ``None`` if no track has text.

    Raises:
        MediaError: the file cannot be opened.
    """
    file = check_path(path, where)
    if picture_format(file) is not None:
        return None
    problems: list[str] = []
    with open_container(file, where) as container:
        stream = _choose(list(container.streams.subtitles), problems)
        found = None if stream is None else _read(container, stream, problems)
    if notes is not None and found is None:
        notes += problems
    return found


def _choose(streams: list[Any], problems: list[str]) -> Any | None:
    """Select the track to read. If there is none, the reason is added to ``problems``."""
    pictures = [s for s in streams if _codec(s) in _BITMAPS]
    texts = [s for s in streams if s not in pictures and s.codec_context is not None]
    if pictures and not texts:
        problems.append(f"the subtitles are pictures ({_codec(pictures[0])}), not text, so their words cannot be read")
    elif streams and not texts:
        problems.append("the subtitles are in a format that cannot be decoded, so their words cannot be read")

    def rank(stream: Any) -> tuple[bool, bool, int]:
        marks = Disposition(stream.disposition)
        return Disposition.forced in marks, Disposition.default not in marks, stream.index

    return min(texts, key=rank, default=None)


def _codec(stream: Any) -> str:
    return "" if stream.codec_context is None else str(stream.codec_context.name)


def _read(container: Any, stream: Any, problems: list[str]) -> Transcript | None:
    """Read all captions of a track, or return ``None`` if it has no words."""
    cues: list[Cue] = []
    sounds = broken = 0
    origin = origin_of(container)
    for start, end, events in _packets(container, stream, problems):
        if events is None:
            broken += 1
            continue
        for event in events:
            cue, count = _cue(event, start - origin, end - origin)
            sounds += count
            cues += [cue] if cue is not None else []
    if broken:
        problems.append(f"{broken} subtitle(s) could not be decoded and were left out")
    if not cues:
        problems.append("the subtitle track has no words")
        return None
    mended, counts = repair_cues(cues)
    named = tag_of(stream, "language").lower()
    language = language_of(" ".join(cue.text for cue in mended)) or short_code(named)
    source = f"subtitle track ({_codec(stream)}{f', {named}' if named not in ('', 'und') else ''})"
    return Transcript.of(mended, source, [*problems, *sounds_note(sounds), *counts], language=language)


def _packets(container: Any, stream: Any, problems: list[str]) -> Iterator[tuple[float, float, list[Any] | None]]:
    """Yield start, end (seconds of the file's clock) and events of each packet; ``None`` if it cannot be decoded."""
    try:
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            start = float(packet.pts * packet.time_base)
            end = start + float(packet.duration * packet.time_base) if packet.duration else float("nan")
            try:
                events = list(stream.decode(packet))
            except FAILURES:
                yield start, end, None
            else:
                yield start, end, events
    except FAILURES as error:
        problems.append(f"reading the subtitles stopped ({error})")


def _cue(event: Any, start: float, end: float) -> tuple[Cue | None, int]:
    """Return the caption of an event, and the number of descriptions of sounds in it."""
    if getattr(event, "type", b"bitmap") == b"bitmap":
        return None, 0
    fields = event.ass.decode("utf-8", "replace").split(",", _FIELDS - 1)
    if len(fields) < _FIELDS or DRAWING.search(fields[-1]):
        return None, 0
    words, sounds = strip_sounds(strip_markup(fields[-1]))
    return (Cue(start, end, words, fields[_NAME].strip() or None) if words else None), sounds
