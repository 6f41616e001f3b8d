"""The names under which a person occurs in files: their own, those of their clips, and those of their media."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from multiemo.types import Clip

#: A name is found in free text only where such characters neither precede nor follow it.
_TOKEN = re.compile(r"[\w-]+")
#: A shorter name, or a short one without a letter, is too common to be searched in free text ("01", "12").
_MIN_CHARACTERS, _MIN_WITHOUT_LETTER = 4, 6
#: Members and columns whose value identifies a clip or a person. In these a short name counts too.
IDENTITY = frozenset(
    {"id", "clip", "clip_id", "speaker", "input", "train", "val", "test", "clips", "speakers", "example", "examples"}
)


class Names:
    """Finds the names of a person in texts and values.

    Args:
        names: names in any form; empty ones are ignored.

    Example:
        >>> names = Names(["spk04", "spk04-001", "7"])
        >>> names.occur("clip spk04-001.mp4"), names.occur("spk04-0010"), names.occur("7 clips")
        (True, False, False)
        >>> names.identify("speaker", "7"), names.masked("of spk04")
        (True, 'of [removed]')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.all = {name for name in names if name}
        self._by_first: dict[str, list[tuple[int, str]]] = {}
        for name in sorted(self.all, key=len, reverse=True):
            first = _TOKEN.search(name)
            if first is not None and _is_distinctive(name):
                self._by_first.setdefault(first[0], []).append((first.start(), name))

    def occur(self, text: str) -> bool:
        """Whether a free text contains a name as a whole word; short names are not searched."""
        return next(self._spans(text), None) is not None

    def identify(self, member: str | None, value: str) -> bool:
        """Whether a value names the person or a clip of theirs.

        Args:
            member: name of the member or column that holds it, if any.
            value: its text.
        """
        return (member in IDENTITY and value in self.all) or self.occur(value)

    def masked(self, text: str) -> str:
        """The text with every name replaced."""
        for start, end in sorted(self._spans(text), reverse=True):
            text = f"{text[:start]}[removed]{text[end:]}"
        return text

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        reached = 0
        for token in _TOKEN.finditer(text):
            for offset, name in self._by_first.get(token[0], ()):
                start = token.start() - offset
                end = start + len(name)
                if start >= reached and text.startswith(name, start) and not _goes_on(text, end):
                    yield start, end
                    reached = end
                    break


def names_of(clips: Iterable[Clip], speaker: str) -> Iterator[str]:
    """All names of a person and their clips.

    Args:
        clips: the person's clips.
        speaker: the person as given, with or without the corpus.
    """
    yield speaker
    for clip in clips:
        bare = clip.id.removeprefix(f"{clip.corpus}:")
        yield from (clip.id, bare, f"{clip.corpus}:{bare}")
        if clip.speaker is not None:
            yield from (clip.speaker, f"{clip.corpus}:{clip.speaker.removeprefix(f'{clip.corpus}:')}")


def media_names(paths: Iterable[str]) -> Iterator[str]:
    """The names under which predictions mention media files: the path, and the file's name with and without suffix."""
    for path in paths:
        pure = PurePosixPath(path.replace("\\", "/"))
        yield from (path, pure.name, pure.stem)


def _is_distinctive(name: str) -> bool:
    has_letter = any(character.isalpha() for character in name)
    return len(name) >= (_MIN_CHARACTERS if has_letter else _MIN_WITHOUT_LETTER)


def _goes_on(text: str, end: int) -> bool:
    """Whether a word goes on at ``end``."""
    return end < len(text) and _TOKEN.match(text[end]) is not None and _TOKEN.match(text[end - 1]) is not None
