"""Read a transcript file of any format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from multiemo.media.container import media_error
from multiemo.transcripts.cleaning import sounds_note, strip_sounds
from multiemo.transcripts.cues import CaptionFile, cues_of, has_times, is_vtt, parse_cues
from multiemo.transcripts.encoding import read_text
from multiemo.transcripts.formats import FORMATS
from multiemo.transcripts.json_words import find_list, language_in, parse_entries, plain_text
from multiemo.transcripts.language import language_of, short_code
from multiemo.transcripts.naming import language_in_name
from multiemo.transcripts.tables import is_table, read_table
from multiemo.transcripts.transcript import Transcript, repair_cues


def read_transcript(path: str | Path) -> Transcript:
    """Read captions, JSON with times, or plain text. The format is recognised by the content, not by the name.

    Caption formats are SRT, WebVTT, ASS, TTML, SAMI, SBV, SubViewer, MicroDVD, MPL2, VPlayer, LRC and YouTube's XML.
    JSON is the output of Whisper, WhisperX, faster-whisper, whisper.cpp and transformers, or a list of ``{"start",
    "end", "text", "speaker"}`` (seconds). A table has the columns start, end and text, and perhaps speaker and others.
    Descriptions of sounds (``[music]``, ``(laughs)``, lines with ♪) are not words: they are left out and counted.
    Broken times are repaired where their meaning is clear, and counted.

    Args:
        path: the file, in UTF-8, UTF-16, or an older encoding, which is guessed and noted.

    Returns:
        The transcript. For plain text it has no times (``timed`` is false).

    Raises:
        MediaError: the file is missing, not text, JSON or a table other than a transcript, or has no readable caption.
    """
    text, notes = read_text(path)
    path = Path(path)
    data = _json_of(text, path)
    if data is not None:
        return _from_json(data, path, notes)
    if has_times(text):
        return _from_captions(text, path, notes)
    for name, (beginning, parse) in FORMATS.items():
        if beginning.match(text.strip()):
            return _from_format(name, parse(text.strip()), path, notes)
    table = read_table(text.strip("\n"))
    if table is not None:
        return _from_format("a table", table, path, notes)
    if path.suffix.lower() in (".csv", ".tsv") or is_table(text):
        advice = "name its columns so in the first line, or give another transcript"
        raise media_error("", path, f"is a table without the columns start, end and text; {advice}")
    if path.suffix.lower() in (".srt", ".vtt"):
        return _from_captions(text, path, notes)
    words, sounds = strip_sounds(text)
    if not words:
        raise media_error("", path, "has no words; give another transcript, or none")
    return Transcript.untimed(
        words, path.name, [*notes, *sounds_note(sounds)], language=language_of(words) or language_in_name(path)
    )


def _from_captions(text: str, path: Path, notes: list[str]) -> Transcript:
    cues, more, broken = parse_cues(text)
    if broken is None and not has_times(text) and not is_vtt(text):
        where = "it has no line such as 00:00:01,000 --> 00:00:02,500"
        raise media_error("", path, f"no caption can be read: {where}; correct it or give another file")
    if broken is not None and not cues:
        line = text.split("\n")[broken - 1].strip()[:60]
        raise media_error("", path, f"no caption can be read; the times in line {broken} are {line!r}; correct them")
    mended, counts = repair_cues(cues)
    language = language_of(" ".join(cue.text for cue in mended)) or language_in_name(path)
    return Transcript.of(mended, path.name, [*notes, *more, *counts], language=language)


def _from_format(name: str, found: CaptionFile, path: Path, notes: list[str]) -> Transcript:
    cues, sounds = cues_of(found.raws)
    if not found.raws:
        raise media_error("", path, f"is {name}, but no caption in it can be read; correct it or give another file")
    mended, counts = repair_cues(cues)
    named = None if found.language is None else short_code(found.language)
    language = language_of(" ".join(cue.text for cue in mended)) or named or language_in_name(path)
    made = Transcript.of(mended, path.name, [*notes, *found.notes, *sounds, *counts], language=language)
    return replace(made, fps=found.fps)


def _json_of(text: str, path: Path) -> Any:
    """Return the JSON value of a text, or ``None`` if it is not JSON."""
    if path.suffix.lower() != ".json" and text.strip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() != ".json":
            return None
        raise media_error("", path, f"is not valid JSON ({error}); correct it or write it again") from None


def _from_json(data: Any, path: Path, notes: list[str]) -> Transcript:
    entries = find_list(data)
    named = language_in(data)
    if entries is not None:
        cues, more = parse_entries(entries)
        mended, counts = repair_cues(cues)
        language = named or language_of(" ".join(cue.text for cue in mended)) or language_in_name(path)
        return Transcript.of(mended, path.name, [*notes, *more, *counts], language=language)
    text = plain_text(data)
    if text is None:
        reason = 'is JSON but no transcript; expected {"segments": [{"start", "end", "text"}]}, or the list alone'
        raise media_error("", path, reason)
    words, sounds = strip_sounds(text)
    return Transcript.untimed(
        words, path.name, [*notes, *sounds_note(sounds)], language=named or language_of(words) or language_in_name(path)
    )
