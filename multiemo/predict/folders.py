"""Finds the media files below a folder, and lists everything else in it with a reason."""

from __future__ import annotations

import os
from pathlib import Path

from multiemo.data.system_files import is_hidden
from multiemo.media.content import why_no_media
from multiemo.media.endings import TRANSCRIPTS
from multiemo.records import Record, record

_MANIFESTS = (".jsonl", ".ndjson", ".parquet")


@record
class LeftOut(Record):
    """A file or folder that was found below an input folder and is not predicted.

    Args:
        path: path of the file or folder.
        reason: why it is left out.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def media_below(folder: Path, left_out: list[LeftOut]) -> list[Path]:
    """The media files below a folder, in a stable order; a file's content decides, not its suffix.

    Hidden files (``.name``) and system files and folders (``__MACOSX``, ``Thumbs.db``, ``@eaDir``) are ignored. A
    transcript beside its media file is read together with it.

    Args:
        folder: where to search. Links to other folders are not followed.
        left_out: receives an entry for every other file, and a single one for all that is hidden.
    """
    found: list[Path] = []
    hidden: list[str] = []

    def unreadable(error: OSError) -> None:
        left_out.append(
            LeftOut(path=str(error.filename), reason=f"is a folder that cannot be opened ({error.strerror})")
        )

    for here, folders, files in os.walk(folder, onerror=unreadable):
        place = Path(here)
        hidden += [str(place / name) for name in (*folders, *files) if is_hidden(name)]
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in folders:
            if (place / name).is_symlink():
                left_out.append(LeftOut(path=str(place / name), reason="is a link to a folder; name it as an input"))
        media: list[Path] = []
        others: list[tuple[Path, str]] = []
        for name in sorted(name for name in files if not is_hidden(name)):
            reason = why_no_media(place / name)
            if reason is None:
                media.append(place / name)
            else:
                others.append((place / name, reason))
        found += media
        names = {name.lower() for file in media for name in (file.name, file.stem)}
        left_out += [
            LeftOut(path=str(file), reason=_with_advice(file, reason))
            for file, reason in others
            if not _is_transcript_of(file, names)
        ]
    if hidden:
        more = f"; so are {len(hidden) - 1} more files and folders" if len(hidden) > 1 else ""
        left_out.append(LeftOut(path=min(hidden), reason=f"is hidden or a system file{more}"))
    return sorted(found)


def _with_advice(file: Path, reason: str) -> str:
    """Why a file is left out; for a manifest, how to predict its rows."""
    return "is a manifest or a table; name it as an input" if file.suffix.lower() in _MANIFESTS else reason


def _is_transcript_of(file: Path, media: set[str]) -> bool:
    """Whether a file may be the transcript of one of the media files beside it."""
    if file.suffix.lower() not in TRANSCRIPTS:
        return False
    name = file.stem.lower()
    while name and name not in media:
        name = name.rpartition(".")[0]
    return bool(name)
