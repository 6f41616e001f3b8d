"""Parse the name of a transcript: its media file, language, and whether it is partial.

``film.srt``, ``film.mp4.srt`` and ``film.en-US.sdh.vtt`` all belong to ``film.mp4``. The parts between the name of the
media file and the extension are tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from multiemo.transcripts.language import CODES, NAMES, short_code

#: Tags of transcripts with only part of the words, or with other words.
_PARTIAL = {"forced", "foreign", "signs", "songs", "commentary"}
_SCRIPTS = {"hans", "hant", "latn", "cyrl"}
_MARKS = _PARTIAL | _SCRIPTS | {
    "sdh", "cc", "hi", "default", "orig", "original", "full", "auto", "asr", "generated", "captions", "caption",
    "subtitles", "subtitle", "subs", "lyrics", "transcript", "419",
}  # fmt: skip
_PARTS = re.compile(r"[-_.\s()\[\]&+,]+")


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags between the name of a media file and the extension of its transcript.

    Args:
        language: language code, or ``None`` if there is none.
        partial: whether the file has only part of the words, or other words (``forced``).
        count: number of tags.
    """

    language: str | None = None
    partial: bool = False
    count: int = 0


def read_tags(between: str) -> Tags | None:
    """Parse the part of a name between that of the media file and the extension; ``None`` if it has other parts.

    Example:
        >>> read_tags(".English.forced"), read_tags(""), read_tags(".part2")
        (Tags(language='en', partial=True, count=2), Tags(language=None, partial=False, count=0), None)
    """
    if between and between[0] != ".":
        return None
    parts = [part for part in _PARTS.split(between.lower()) if part]
    numbers = [part for part in parts if part.isdigit() and part not in _MARKS]  # 2_English
    words = [part for part in parts if part not in numbers]
    known = [part in _MARKS or _language(part) is not None or _is_region(words, i) for i, part in enumerate(words)]
    if (numbers and not words) or not all(known):
        return None
    named = (_language(part) for part in words if part not in _MARKS or part == words[0])
    return Tags(next(filter(None, named), None), bool(_PARTIAL & set(words)), len(words))


def _language(part: str) -> str | None:
    return NAMES.get(part) or (short_code(part) if part in CODES else None)


def _is_region(words: list[str], place: int) -> bool:
    """Whether a tag names the region of the language before it (``en-GB``, ``zh-Hans-CN``)."""
    if not place or re.fullmatch("[a-z]{2}", words[place]) is None:
        return False
    return words[place - 1] in _SCRIPTS or _language(words[place - 1]) is not None


def language_in_name(path: Path) -> str | None:
    """Return the language in the name of a transcript (``clip.en.srt``), or ``None``."""
    _, *rest = path.stem.split(".")
    for first in range(len(rest)):
        tags = read_tags("." + ".".join(rest[first:]))
        if tags is not None:
            return tags.language
    return None
