"""What a file is, and how the protected file is named."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from multiemo.anonymize.files.film import FILM_FORMATS
from multiemo.anonymize.files.picture import PICTURE_FORMATS
from multiemo.anonymize.files.sound import SOUND_FORMATS
from multiemo.anonymize.files.transcript import TIMED, UNTIMED
from multiemo.errors import ConfigError
from multiemo.media.container import check_path, open_container, video_stream
from multiemo.media.endings import TRANSCRIPTS
from multiemo.media.pictures.stills import is_still
from multiemo.transcripts import read_transcript

FileKind: TypeAlias = Literal["film", "sound", "picture", "transcript"]
#: Endings of pictures that are stored with loss, and are written as JPEG.
_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".heif", ".hif", ".avif", ".webp")
#: {kind: endings of the files that can be written}.
ENDINGS: dict[FileKind, tuple[str, ...]] = {
    "film": tuple(FILM_FORMATS),
    "sound": tuple(SOUND_FORMATS),
    "picture": tuple(PICTURE_FORMATS),
    "transcript": (TIMED, UNTIMED),
}


def kind_of(file: Path) -> FileKind:
    """What a file is, by its content; transcripts by their ending.

    Raises:
        MediaError: it is missing, or neither media nor a transcript.
    """
    check_path(file, "")
    if file.suffix.lower() in TRANSCRIPTS:
        return "transcript"
    if is_still(file):
        return "picture"
    with open_container(file, "") as container:
        return "sound" if video_stream(container) is None else "film"


def ending_of(file: Path, kind: FileKind) -> str:
    """Ending of the protected file, where the user names only a folder.

    Raises:
        MediaError: a transcript cannot be read.
    """
    ending = file.suffix.lower()
    if kind == "transcript":
        return TIMED if read_transcript(file).timed else UNTIMED
    if kind == "sound":
        return ending if ending in SOUND_FORMATS else ".flac"
    if kind == "picture":
        return ".jpg" if ending in _LOSSY else ".png"
    return ".mp4"


def check_ending(source: Path, out: Path, kind: FileKind) -> None:
    """Check that a file of a kind can be written under a name.

    Args:
        source: the original, for the message.
        out: the file to write.
        kind: what the original is.

    Raises:
        ConfigError: it cannot; the message names the endings that can.
    """
    if out.suffix.lower() not in ENDINGS[kind]:
        raise ConfigError(
            f"--out: {out}: {source} is a {kind}, which is written as {', '.join(ENDINGS[kind])}; "
            f"end the name in one of them, or name a folder without an ending"
        )
