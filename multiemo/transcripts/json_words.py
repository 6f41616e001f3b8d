"""Parse JSON transcripts to cues: the output of Whisper and related tools, and a plain list of entries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from multiemo.transcripts.cleaning import sounds_note, strip_sounds
from multiemo.transcripts.cues import time_of
from multiemo.transcripts.language import is_unspaced, short_code
from multiemo.transcripts.transcript import Cue

#: Keys of the list of entries: Whisper, WhisperX, faster-whisper; transformers; whisper.cpp; lists of words; YouTube.
_LISTS = ("segments", "chunks", "transcription", "cues", "word_segments", "words", "events")
_TEXTS = ("text", "word", "transcript")
#: Median duration of an entry, seconds, below which a list is one of words, not of sentences.
_WORD_SECONDS = 0.6


def find_list(data: Any) -> Sequence[Any] | None:
    """Return the list of timed entries in a JSON value, or ``None`` if it has none."""
    if isinstance(data, Mapping):
        data = next((data[key] for key in _LISTS if isinstance(data.get(key), list)), None)
    if not isinstance(data, list) or not data:
        return None
    return data if any(_text(entry) is not None and not math.isnan(_times(entry)[0]) for entry in data) else None


def plain_text(data: Any) -> str | None:
    """Return the text of a JSON value without times. Empty if its list is empty; ``None`` if it is no transcript."""
    if not isinstance(data, Mapping):
        return None
    text = data.get("text")
    if isinstance(text, str) and text.strip():
        return text
    return "" if any(data.get(key) == [] for key in _LISTS) else None


def language_in(data: Any) -> str | None:
    """Return the language code in a JSON value, or ``None``. Names of languages ("english") do not count."""
    value = data.get("language") if isinstance(data, Mapping) else None
    if value is None and isinstance(data, Mapping) and isinstance(data.get("result"), Mapping):
        value = data["result"].get("language")  # whisper.cpp
    return short_code(value) if isinstance(value, str) else None


def parse_entries(entries: Sequence[Any]) -> tuple[list[Cue], list[str]]:
    """Convert a list of ``{start, end, text, speaker, words}`` to cues, one per word if the words have times.

    Returns:
        The cues (the end is NaN if it is not given), and notes that count what was left out.
    """
    cues: list[Cue] = []
    unreadable: list[int] = []
    sounds = 0
    are_words = _are_words(entries)
    spaced = any((_text(entry) or "")[:1].isspace() for entry in entries)
    for number, entry in enumerate(entries):
        text = _text(entry)
        start, end = _times(entry)
        if text is None or math.isnan(start):
            unreadable.append(number)
            continue
        spoken, count = strip_sounds(text)
        sounds += count
        if not spoken:
            continue
        speaker = entry.get("speaker")
        joined = are_words and bool(cues) and _is_joined(cues[-1].text, text, spaced)
        cue = Cue(start, end, spoken, str(speaker) if speaker is not None else None, joined)
        cues += _by_word(cue, entry.get("words"))
    notes = sounds_note(sounds)
    if unreadable:
        notes.append(f"{len(unreadable)} entries without times or text were left out; the first is no. {unreadable[0]}")
    return cues, notes


def _text(entry: Any) -> str | None:
    if isinstance(entry, Mapping) and isinstance(entry.get("segs"), list):  # YouTube
        return "".join(str(part.get("utf8", "")) for part in entry["segs"] if isinstance(part, Mapping))
    values = (entry.get(key) for key in _TEXTS) if isinstance(entry, Mapping) else ()
    return next((value for value in values if isinstance(value, str)), None)


def _are_words(entries: Sequence[Any]) -> bool:
    """Whether a list has words rather than sentences: by its keys, or by the duration of its entries."""
    lengths = [end - start for start, end in map(_times, entries) if not math.isnan(end - start)]
    return any("word" in entry for entry in entries if isinstance(entry, Mapping)) or (
        len(lengths) > 1 and median(lengths) < _WORD_SECONDS
    )


def _is_joined(before: str, text: str, spaced: bool) -> bool:
    """Whether a word follows the previous one without a space. In a list with spaces, words begin with their space."""
    if spaced:
        return not text[:1].isspace()
    return is_unspaced(before[-1:]) and is_unspaced(text[:1])


def _times(entry: Any) -> tuple[float, float]:
    """Return start and end of an entry, seconds; NaN if missing or not a number."""
    if not isinstance(entry, Mapping):
        return math.nan, math.nan
    pair = entry.get("timestamp")
    if isinstance(pair, Sequence) and len(pair) == 2:
        return time_of(pair[0]), time_of(pair[1])
    offsets = entry.get("offsets")
    if isinstance(offsets, Mapping):  # milliseconds
        return time_of(offsets.get("from")) / 1000, time_of(offsets.get("to")) / 1000
    if "tStartMs" in entry:
        begin = time_of(entry["tStartMs"]) / 1000
        return begin, begin + time_of(entry.get("dDurationMs")) / 1000
    return time_of(entry.get("start", entry.get("start_time"))), time_of(entry.get("end", entry.get("end_time")))


def _by_word(cue: Cue, words: Any) -> list[Cue]:
    """Split a cue before each word that has a time. It stays whole if the words do not match its text."""
    if not isinstance(words, list):
        return [cue]
    begins: list[tuple[int, float, float]] = []
    reached = 0
    for word in words:
        text = (_text(word) or "").strip()
        at = cue.text.find(text, reached)
        if not text or at < 0:
            return [cue]
        reached = at + len(text)
        start, end = _times(word)
        if not math.isnan(start):
            begins.append((at, start, end))
    if not begins:
        return [cue]
    begins[0] = (0, *begins[0][1:])
    pieces: list[Cue] = []
    for (at, start, end), after in zip(begins, [*(b[0] for b in begins[1:]), len(cue.text)], strict=True):
        joined = cue.joined if at == 0 else not cue.text[at - 1].isspace()
        pieces.append(replace(cue, start=start, end=end, text=cue.text[at:after].strip(), joined=joined))
    return pieces
