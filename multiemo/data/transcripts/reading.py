"""A transcript file of any kind -> :class:`Transcript`, and the transcript that lies beside a media file."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from multiemo.data.container import fail
from multiemo.data.transcripts.cleaning import said_of, strip_sounds
from multiemo.data.transcripts.cues import has_times, is_vtt, parse_cues
from multiemo.data.transcripts.encoding import read_text
from multiemo.data.transcripts.json_words import find_list, language_in, parse_entries, plain_text
from multiemo.data.transcripts.language import language_of, short_code
from multiemo.data.transcripts.transcript import Transcript, mend
from multiemo.errors import MediaError

#: Caption formats that would look like plain text, and how they begin.
_OTHERS = (
    ("ASS", re.compile(r"\[(Script Info|V4\+? Styles)\]", re.IGNORECASE)),
    ("SAMI", re.compile(r"<sami\b", re.IGNORECASE)),
    ("TTML", re.compile(r"<(\?xml|tt\b)", re.IGNORECASE)),
    ("MicroDVD", re.compile(r"\{\d+\}\{\d*\}")),
    ("LRC", re.compile(r"\[(\d+:\d+(\.\d+)?|(ar|ti|al|by|offset):[^\]]*)\]")),
    ("SubViewer", re.compile(r"(\[INFORMATION\]|\d+:\d+:\d+\.\d+,\d+:\d+:\d+\.\d+\s*$)", re.MULTILINE)),
)
_KINDS = (".srt", ".vtt", ".json", ".txt")
_TAG = r"\.(?P<tag>[a-z]{2,3}(?:[-_][a-z0-9]+)*)(?:\.(?:sdh|cc|hi|default|orig))?"


def read_transcript(path: str | Path) -> Transcript:
    """Read SRT, WebVTT, JSON with times, or plain text; what it is shows in the content, not in the name.

    JSON is what Whisper, WhisperX, faster-whisper, whisper.cpp and transformers write, or a list of ``{"start", "end",
    "text", "speaker"}`` (seconds). Descriptions of sounds (``[music]``, ``(laughs)``, lines with ♪) are not words and
    are left out, and counted. Broken times are mended where it is clear what they mean, and counted.

    Args:
        path: the file, in UTF-8, UTF-16, or an older encoding, which is guessed, and said in a note.

    Returns:
        The words; without times (``timed`` is false) for plain text.

    Raises:
        MediaError: no such file, not text, JSON that is no transcript, or captions none of which can be read.
    """
    text, notes = read_text(path)
    path = Path(path)
    data = _json_of(text, path)
    if data is not None:
        return _from_json(data, path, notes)
    if has_times(text) or path.suffix.lower() in (".srt", ".vtt"):
        return _from_captions(text, path, notes)
    for name, pattern in _OTHERS:
        if pattern.match(text.strip()):
            reason = (
                f"is {name}, which is not read; convert it to SRT, for instance with: ffmpeg -i {path.name} out.srt"
            )
            raise fail("", path, reason)
    said, sounds = strip_sounds(text)
    if not said:
        raise fail("", path, "holds no words; give another transcript, or none")
    return Transcript.untimed(said, path.name, [*notes, *said_of(sounds)], language=language_of(said) or _tag(path))


def _from_captions(text: str, path: Path, notes: list[str]) -> Transcript:
    cues, more, broken = parse_cues(text)
    if broken is None and not has_times(text) and not is_vtt(text):
        where = "it has no line such as 00:00:01,000 --> 00:00:02,500"
        raise fail("", path, f"no caption can be read: {where}; correct it or give another file")
    if broken is not None and not cues:
        line = text.split("\n")[broken - 1].strip()[:60]
        raise fail("", path, f"no caption can be read; the times in line {broken} are {line!r}; correct them")
    mended, counts = mend(cues)
    language = language_of(" ".join(cue.text for cue in mended)) or _tag(path)
    return Transcript.of(mended, path.name, [*notes, *more, *counts], language=language)


def _json_of(text: str, path: Path) -> Any:
    """The JSON value of a text, or ``None`` when it is not JSON."""
    if path.suffix.lower() != ".json" and text.strip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() != ".json":
            return None
        raise fail("", path, f"is not valid JSON ({error}); correct it or write it again") from None


def _from_json(data: Any, path: Path, notes: list[str]) -> Transcript:
    entries = find_list(data)
    named = language_in(data)
    if entries is not None:
        cues, more = parse_entries(entries)
        mended, counts = mend(cues)
        language = named or language_of(" ".join(cue.text for cue in mended)) or _tag(path)
        return Transcript.of(mended, path.name, [*notes, *more, *counts], language=language)
    text = plain_text(data)
    if text is None:
        reason = 'is JSON but no transcript; expected {"segments": [{"start", "end", "text"}]} or such a list'
        raise fail("", path, reason)
    said, sounds = strip_sounds(text)
    return Transcript.untimed(
        said, path.name, [*notes, *said_of(sounds)], language=named or language_of(said) or _tag(path)
    )


# --------------------------------------------------------------------------------------------------------------------
# Beside a media file


def side_file(media_path: str | Path, notes: list[str] | None = None) -> Path | None:
    """The transcript beside a media file: the same folder and name, another ending.

    For ``clip.mp4`` the first there is of ``clip.srt``, ``clip.vtt``, ``clip.en.srt`` and ``clip.en.vtt`` (any language
    tag, in the order of the alphabet), ``clip.json`` (where it is a transcript), ``clip.txt``.

    Args:
        media_path: of the media file.
        notes: gets a line about a file that looks like a transcript and is not taken.

    Returns:
        ``None`` when there is none.
    """
    media = Path(media_path)
    try:
        names = _names(str(media.parent), media.parent.stat().st_mtime_ns)
    except OSError:
        return None
    tagged = re.compile(re.escape(media.stem.lower()) + _TAG + r"\.(srt|vtt)")
    mine = [name for name in names.get(media.stem.lower(), ()) if name != media.name]
    order = {name.lower(): name for name in sorted(mine)}
    wanted = [media.stem.lower() + kind for kind in (".srt", ".vtt")]
    wanted += sorted(name for name in order if tagged.fullmatch(name))
    wanted += [media.stem.lower() + kind for kind in (".json", ".txt")]
    for name in wanted:
        if name in order and _is_transcript(found := media.with_name(order[name]), notes):
            return found
    return None


@lru_cache(maxsize=8)
def _names(folder: str, changed: int) -> dict[str, list[str]]:
    """{stem in lower case: names of text files that begin with it} of a folder; read anew once it has changed."""
    found: dict[str, list[str]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            base, kind = os.path.splitext(entry.name)
            if kind.lower() in _KINDS:
                found.setdefault(base.lower(), []).append(entry.name)
                shorter = base.lower()
                while "." in shorter:
                    shorter = shorter.rpartition(".")[0]
                    found.setdefault(shorter, []).append(entry.name)
    return found


def _is_transcript(path: Path, notes: list[str] | None) -> bool:
    """Whether a file can be taken; only a ``.json`` may be something else."""
    if path.suffix.lower() != ".json":
        return path.is_file()
    try:
        read_transcript(path)
    except MediaError:
        if notes is not None:
            notes.append(f"{path.name} beside the media is not a transcript and was left alone")
        return False
    return True


def _tag(path: Path) -> str | None:
    """The language that a file's name tells: ``clip.en.srt``."""
    found = re.search(_TAG + "$", path.stem.lower())
    return short_code(found["tag"]) if found else None
