"""What there is to predict: files, folders and manifests as single things."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiemo.data.dialogue import contexts
from multiemo.data.manifest.reading import problems_message, split_manifest
from multiemo.errors import ConfigError, ManifestError, MediaError
from multiemo.media.reading import is_image
from multiemo.predict.folders import LeftOut, media_below
from multiemo.transcripts import Transcript
from multiemo.types import Clip

#: The corpus of the rows that single files become.
_FILES = "files"


@dataclass(slots=True)
class Item:
    """One thing to predict.

    Args:
        name: what it is called in the output.
        path: media file, or ``None`` for text alone.
        text: transcript, or ``None``.
        clip, folder: the manifest row it comes from, and the manifest's folder.
        context: earlier utterances of its dialogue as (same speaker, text), oldest first.
        transcript: words with times, instead of ``text``.
        refused: why nothing can be predicted, for what is known not to be readable before it is opened.
    """

    name: str
    path: Path | None = None
    text: str | None = None
    clip: Clip | None = None
    folder: Path | None = None
    context: Sequence[tuple[bool, str]] = ()
    transcript: Transcript | None = None
    refused: str | None = None

    @property
    def plays(self) -> bool:
        """Whether it is a film or a sound file, which is cut into segments, and no still, row or text."""
        return self.path is not None and not is_image(self.path)


def of_file(
    source: str | Path, text: str | None = None, transcript: Transcript | None = None, *, cropped: bool = False
) -> Item:
    """A media file as one thing to predict; a face crop becomes the manifest row that says so.

    Args:
        source: path.
        text, transcript: what is said in it.
        cropped: if it is a still, it is a face crop and taken whole.
    """
    path = Path(source)
    if not (cropped and is_image(path)):
        return Item(str(source), path, text, transcript=transcript)
    said = text if transcript is None else transcript.text
    words = said if said and not said.isspace() else None
    row = Clip(id=str(source), corpus=_FILES, text=words, image=path.name, cropped=True)
    return Item(str(source), None, said, row, path.absolute().parent)


def expand(
    sources: Iterable[str | Path],
    *,
    text: str | None = None,
    transcript: Transcript | None = None,
    context: int = 0,
    cropped: bool = False,
    left_out: list[LeftOut] | None = None,
) -> list[Item]:
    """Files, folders and manifests as single things to predict, in a stable order.

    A folder means every media file below it (``predict/folders.py``); a ``.jsonl`` or ``.parquet`` file every row of
    the manifest. What cannot be read does not stop the rest: it becomes an item that is ``refused``.

    Args:
        sources: paths.
        text: what is said in all of them (normally in one); rows of a manifest have words of their own.
        transcript: what is said in the only one, and when.
        context: earlier utterances that the model reads (``Predictor.context``), taken from the manifest's rows.
        cropped: stills are face crops, each taken whole.
        left_out: gets what folders hold that is no media.

    Raises:
        ConfigError: something was given that no input can use.
        MediaError: the only source is a folder that holds no media.
        ManifestError: the only source is a manifest of which no row is valid.
    """
    items: list[Item] = []
    for source in sources:
        path = Path(source)
        if str(source).partition("://")[1]:
            items.append(Item(str(source), path))  # refused with a reason where it is opened
        elif os.path.isdir(path):  # a name may be too long to ask the path itself
            passed: list[LeftOut] = []
            files = media_below(path, passed)
            if left_out is not None:
                left_out += passed
            items += [of_file(f, text, transcript, cropped=cropped) for f in files]
            if not files:
                items.append(Item(str(source), refused=f"{path}: no media file in this folder{_counted(passed)}"))
        elif path.suffix.lower() in (".jsonl", ".parquet"):
            if text is not None or transcript is not None:
                raise ConfigError(
                    f"{path}: the rows of a manifest have words of their own, so --text and --transcript are for media "
                    "files; write them into the row's text"
                )
            items += _rows(path, context)
        else:
            items.append(of_file(source, text, transcript, cropped=cropped))
    if len(items) == 1 and items[0].refused is not None:
        raise MediaError(items[0].refused)
    if cropped and not any(item.clip is not None and item.clip.corpus == _FILES for item in items):
        raise ConfigError(
            '--cropped is for pictures, and no input is one; the rows of a manifest say it themselves: "cropped": true'
        )
    if transcript is not None and len(items) > 1:
        raise ConfigError(
            f"--transcript says what one file says and when, and there are {len(items)}; put a transcript beside each, "
            "of the same name"
        )
    said = text if transcript is None else transcript.text
    if not items and said is not None:
        items.append(Item("text", None, said))
    return items


def _rows(path: Path, context: int) -> list[Item]:
    """The rows of a manifest; one that breaks a rule is refused, and so is a manifest without a good one."""
    try:
        clips, problems = split_manifest(path)
    except ManifestError as error:
        return [Item(str(path), refused=str(error))]
    if not clips:
        return [Item(str(path), refused=problems_message(path, problems))]
    earlier = contexts(clips, context)
    items = [Item(c.id, None, c.text, c, path.parent, earlier.get(c.id, ())) for c in clips]
    return [*items, *(Item(f"{path} row {p.row}", refused=f"{path}, {p}") for p in problems)]


def _counted(left_out: Sequence[LeftOut]) -> str:
    """How many files a folder without media holds, and what the first of them is."""
    return f"; of {len(left_out)} left out the first is {left_out[0]}" if left_out else ""
