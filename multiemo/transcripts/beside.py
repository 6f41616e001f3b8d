"""Find the transcript that lies beside a media file."""

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

#: Beginning of a cue in a timeline written by multiemo: a label and its probability.
_EMOTION_LABEL = re.compile(r"\S.{0,40}? \d{1,3}%\)?(\s|$)")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file that may be the transcript of a media file.

    Args:
        path: the file.
        tags: the tags in its name; ``None`` if the name has parts that are no tags.
        full_name: whether its name contains the full name of the media file, with its extension (``film.mp4.srt``).
    """

    path: Path
    tags: Tags | None
    full_name: bool

    @property
    def rank(self) -> tuple[object, ...]:
        """Sort key. The candidate with the lowest rank is preferred."""
        kind, tags = self.path.suffix.lower(), self.tags or Tags()
        group = 0 if kind in CAPTIONS else 1 if kind in DATA else 2
        # without tags the extension decides, with tags the alphabet
        order = (TRANSCRIPTS.index(kind), "") if not tags.count else (0, self.path.name.lower())
        return tags.partial, group, tags.count, not self.full_name, *order


def side_transcripts(media_path: str | Path, notes: list[str]) -> Iterator[Transcript]:
    """Yield the readable transcripts beside a media file, best first.

    Their names start with that of the media file, with or without its extension, and may have tags: ``clip.srt``,
    ``clip.mp4.vtt``, ``clip.en.ass``, ``clip.English.forced.srt``. Captions come before JSON and tables, and these
    before plain text. Untagged files come before tagged ones, which are in alphabetical order. Partial transcripts and
    commentaries come last. A transcript of another media file with a longer name (``clip.en.mp4``) is skipped.

    The next transcript is to be requested only if the one before could not be used.

    Args:
        media_path: path of the media file.
        notes: receives a line for each file that looks like a transcript but is not used.
    """
    media = Path(media_path)
    found = sorted((c for c in _candidates(media) if c.tags is not None), key=lambda c: c.rank)
    taken = False
    for place, candidate in enumerate(found, 1):
        kind = candidate.path.suffix.lower()
        try:
            transcript = read_transcript(candidate.path)
            if kind in DATA and kind != ".json" and not transcript.timed:
                notes.append(f"{candidate.path.name} beside the media is not a transcript and was ignored")
                continue
            if transcript.cues and all(_EMOTION_LABEL.match(cue.text) for cue in transcript.cues):
                notes.append(f"{candidate.path.name} beside the media is a timeline of emotions and was ignored")
                continue
        except MediaError as error:  # the user did not name this file, so it is no error
            if kind in (".json", ".json3", ".xml"):
                notes.append(f"{candidate.path.name} beside the media is not a transcript and was ignored")
            else:
                notes.append(f"the transcript beside it was ignored: {error}")
            continue
        taken = True
        choice = _choice_notes(candidate, found[place:])
        notes += choice
        yield transcript
        notes[:] = [note for note in notes if note not in choice]  # it could not be used
    if not taken:
        strange = [c.path.name for c in _candidates(media) if c.tags is None and c.path.suffix.lower() in CAPTIONS]
        if strange:
            advice = "if it is the transcript, pass it with --transcript FILE"
            notes.append(f"{strange[0]} lies beside the media and was not read; {advice}")


def _choice_notes(taken: _Candidate, rest: list[_Candidate]) -> list[str]:
    """Return notes on the selected transcript: other languages are among the rest, or it is partial."""
    tags = taken.tags or Tags()
    others = [c.path.name for c in rest if c.tags != tags and c.path.suffix.lower() in CAPTIONS]
    notes = []
    if others:
        notes.append(f"{taken.path.name} was read, not {', '.join(others)}; --transcript FILE chooses another")
    if tags.partial:
        notes.append(f"by its name, {taken.path.name} has only part of the words, or other words")
    return notes


def _candidates(media: Path) -> list[_Candidate]:
    """Return the files that may be the transcript of a media file: their names begin with its name."""
    try:
        names = _names_by_start(str(media.parent), media.parent.stat().st_mtime_ns)
    except (OSError, ValueError):
        return []
    found = []
    for base in dict.fromkeys((media.name, media.stem)):
        for name in names.get(base.lower(), ()):
            path = media.with_name(name)
            if name != media.name and path.is_file():
                found.append(_Candidate(path, read_tags(path.stem[len(base) :]), base == media.name))
    return found


@lru_cache(maxsize=8)
def _names_by_start(folder: str, changed: int) -> dict[str, list[str]]:
    """Index the text files of a folder as {beginning of the name in lower case: names}.

    A beginning ends before a dot. The shortest one that is indexed is the longest one that is the name of a file other
    than a transcript. The result is cached until the folder changes.
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
