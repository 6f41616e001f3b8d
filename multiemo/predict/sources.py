"""Turns files, folders and manifests into the items to predict."""

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

#: Corpus name of a manifest row that is made for a single file.
_FILES = "files"


@dataclass(slots=True)
class Item:
    """One media file, manifest row or text to predict.

    Args:
        name: its name in the output.
        path: media file, or ``None``.
        text: transcript without times, or ``None``.
        clip, folder: the manifest row, and the folder of the manifest; ``None`` for files and texts.
        context: earlier utterances of its dialogue as (same speaker, text), oldest first.
        transcript: words with times, instead of ``text``.
        refused: why it cannot be predicted, if this is known before it is opened.
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
        """Whether it is a film or an audio file, which is cut into segments; false for stills, rows and texts."""
        return self.path is not None and not is_image(self.path)


def file_item(
    source: str | Path, text: str | None = None, transcript: Transcript | None = None, *, cropped: bool = False
) -> Item:
    """The item of a media file; a face crop becomes a manifest row with ``cropped`` set.

    Args:
        source: path of the file.
        text, transcript: what is said in it, without or with times.
        cropped: if the file is a still, it is already a face crop, and no face is searched in it.
    """
    path = Path(source)
    if not (cropped and is_image(path)):
        return Item(str(source), path, text, transcript=transcript)
    words = text if transcript is None else transcript.text
    row_text = words if words and not words.isspace() else None
    row = Clip(id=str(source), corpus=_FILES, text=row_text, image=path.name, cropped=True)
    return Item(str(source), None, words, row, path.absolute().parent)


def expand(
    sources: Iterable[str | Path],
    *,
    text: str | None = None,
    transcript: Transcript | None = None,
    context: int = 0,
    cropped: bool = False,
    left_out: list[LeftOut] | None = None,
) -> list[Item]:
    """Expand files, folders and manifests into items, in a stable order.

    A folder stands for every media file below it (see :mod:`multiemo.predict.folders`), a ``.jsonl`` or ``.parquet``
    file for every row of the manifest. A source that cannot be read becomes an item with ``refused`` set and does not
    affect the others.

    Args:
        sources: paths.
        text: what is said in each of them (normally there is only one); not for manifests, whose rows have a text.
        transcript: the words of the only source, with times.
        context: number of earlier utterances that the model reads (``Predictor.context``); taken from the manifest.
        cropped: stills are already face crops.
        left_out: receives an entry for every file in the folders that is not media.

    Raises:
        ConfigError: an option does not apply to any of the sources.
        MediaError: the only source is a folder without media, or a manifest without a valid row.
    """
    items: list[Item] = []
    for source in sources:
        path = Path(source)
        if str(source).partition("://")[1]:
            items.append(Item(str(source), path))  # refused with a reason where it is opened
        elif os.path.isdir(path):  # unlike Path.is_dir, it accepts a name that is too long
            others: list[LeftOut] = []
            files = media_below(path, others)
            if left_out is not None:
                left_out += others
            items += [file_item(f, text, transcript, cropped=cropped) for f in files]
            if not files:
                items.append(Item(str(source), refused=f"{path}: no media file in this folder{_counted(others)}"))
        elif path.suffix.lower() in (".jsonl", ".parquet"):
            if text is not None or transcript is not None:
                raise ConfigError(
                    f"{path}: --text and --transcript apply to media files, not to a manifest; write the words into "
                    "the text of its rows"
                )
            items += _rows(path, context)
        else:
            items.append(file_item(source, text, transcript, cropped=cropped))
    if len(items) == 1 and items[0].refused is not None:
        raise MediaError(items[0].refused)
    if cropped and not any(item.clip is not None and item.clip.corpus == _FILES for item in items):
        raise ConfigError(
            '--cropped applies to still images, and no input is one; in a manifest write "cropped": true into the row'
        )
    if transcript is not None and len(items) > 1:
        raise ConfigError(
            f"--transcript applies to a single file, and there are {len(items)}; put a transcript of the same name "
            "beside each file"
        )
    words = text if transcript is None else transcript.text
    if not items and words is not None:
        items.append(Item("text", None, words))
    return items


def _rows(path: Path, context: int) -> list[Item]:
    """The items of a manifest; an invalid row is refused, and so is a manifest without any valid row."""
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
    """The number of files in a folder without media, and the first of them."""
    return f"; {len(left_out)} left out, the first: {left_out[0]}" if left_out else ""
