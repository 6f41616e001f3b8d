"""The transcript that lies beside a media file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from multiemo.errors import MediaError
from multiemo.media.endings import CAPTIONS, DATA, TRANSCRIPTS
from multiemo.transcripts.naming import Tags, read_tags
from multiemo.transcripts.reading import read_transcript
from multiemo.transcripts.transcript import Transcript

#: How the cues of a timeline begin that multiemo has written: a label and its probability.
_LABEL = re.compile(r"\S.{0,40}? \d{1,3}%\)?(\s|$)")


@dataclass(frozen=True, slots=True)
class _Beside:
    """A file that may say what is said in another.

    Args:
        path: the file.
        tags: what its name says of it; ``None`` where that cannot be told.
        whole: whether its name holds all of the other's, with the ending (``film.mp4.srt``).
    """

    path: Path
    tags: Tags | None
    whole: bool

    @property
    def rank(self) -> tuple[object, ...]:
        """The first in this order is taken."""
        kind, tags = self.path.suffix.lower(), self.tags or Tags()
        group = 0 if kind in CAPTIONS else 1 if kind in DATA else 2
        # beside each other in one language the ending decides, among languages the alphabet
        order = (TRANSCRIPTS.index(kind), "") if not tags.count else (0, self.path.name.lower())
        return tags.partial, group, tags.count, not self.whole, *order


def side_transcripts(media_path: str | Path, notes: list[str]) -> Iterator[Transcript]:
    """The transcripts beside a media file that can be read, the best first.

    They have its name, with or without its ending, and may have tags: ``clip.srt``, ``clip.mp4.vtt``, ``clip.en.ass``,
    ``clip.English.forced.srt``. Captions come before JSON and tables, those before plain text; untagged before tagged,
    these in the order of the alphabet; those for foreign parts only, or with other words, come last. What belongs to
    another file with a longer name (``clip.en.mp4``) is left to it.

    Args:
        media_path: of the media file.
        notes: gets a line about what looks like a transcript and is not taken.
    """
    media = Path(media_path)
    found = sorted((one for one in _beside(media) if one.tags is not None), key=lambda one: one.rank)
    taken = False
    for one in found:
        kind = one.path.suffix.lower()
        try:
            said = read_transcript(one.path)
            if kind in DATA and kind != ".json" and not said.timed:
                continue  # a table of something else
            if said.cues and all(_LABEL.match(cue.text) for cue in said.cues):
                notes.append(f"{one.path.name} beside the media is a timeline of emotions and was left alone")
                continue
        except MediaError as error:  # nobody asked for it
            if kind == ".json":
                notes.append(f"{one.path.name} beside the media is not a transcript and was left alone")
            elif kind not in DATA:
                notes.append(f"the words beside it were left out: {error}")
            continue
        if not taken:
            notes += _about(one, found)
        taken = True
        yield said
    if not taken:
        strange = [one.path.name for one in _beside(media) if one.tags is None and one.path.suffix.lower() in CAPTIONS]
        if strange:
            notes.append(f"{strange[0]} lies beside it and was not read; if it holds its words, give --transcript FILE")


def _about(taken: _Beside, found: list[_Beside]) -> list[str]:
    """What to say of a choice: that there are other languages, or that not all words are there."""
    tags = taken.tags or Tags()
    others = [one.path.name for one in found if one.tags != tags and one.path.suffix.lower() in CAPTIONS]
    notes = []
    if others:
        notes.append(f"{taken.path.name} was read, not {', '.join(others)}; --transcript FILE chooses another")
    if tags.partial:
        notes.append(f"by its name {taken.path.name} holds only a part of the words, or others")
    return notes


def _beside(media: Path) -> list[_Beside]:
    """Every file whose name begins with that of a media file and that may be its transcript."""
    try:
        names = _names(str(media.parent), media.parent.stat().st_mtime_ns)
    except (OSError, ValueError):
        return []
    found = []
    for base in dict.fromkeys((media.name, media.stem)):
        for name in names.get(base.lower(), ()):
            path = media.with_name(name)
            if name != media.name and path.is_file():
                found.append(_Beside(path, read_tags(path.stem[len(base) :]), base == media.name))
    return found


@lru_cache(maxsize=8)
def _names(folder: str, changed: int) -> dict[str, list[str]]:
    """{beginning in lower case: names of text files that begin with it} of a folder; read anew once it has changed.

    A beginning is what stands before a dot; the shortest that counts is the longest that another file has as its name.
    """
    texts: list[str] = []
    owners: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            base, kind = os.path.splitext(entry.name.lower())
            if kind in TRANSCRIPTS:
                texts.append(entry.name)
            else:
                owners |= {base, entry.name.lower()}
    found: dict[str, list[str]] = {}
    for name in sorted(texts):
        base = os.path.splitext(name.lower())[0]
        while base:
            found.setdefault(base, []).append(name)
            if base in owners:
                break
            base = base.rpartition(".")[0]
    return found
