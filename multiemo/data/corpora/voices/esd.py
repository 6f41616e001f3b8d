"""ESD: ten speakers of Chinese and ten of English, 350 parallel sentences in five emotions (Zhou et al. 2022,
doi:10.1016/j.specom.2021.11.006).

Layout: ``0001/0001.txt`` (name, sentence and emotion per line), ``0001/Angry/0001_000351.wav``; later releases have
folders ``train``, ``evaluation`` and ``test`` below the emotion. Speakers 0001-0010 speak Chinese. All speakers are in
every published part.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, keep_first, not_the_corpus, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_NAME = re.compile(r"(\d{4})_\d{6}")
_LABELS = LABEL_SETS["esd5"]
_PARTS = {"train": "train", "evaluation": "val", "test": "test"}
_LAST_CHINESE_SPEAKER = 10
#: A line: name, sentence, emotion. In some lines the tab before the emotion is missing or a space.
_LINE = re.compile(
    r"(\d{4}_\d{6})\s+(.*?)\s*(?:Neutral|Happy|Sad|Angry|Surprise|中立|快乐|开心|伤心|生气|惊喜|惊讶)?\s*",
    re.IGNORECASE,
)


@corpora.register("esd")
def esd(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per recording, with its sentence if it is in the speaker's list.

    Folder:
        ``0001/0001.txt``, ``0001/Angry/*.wav``; Chinese and English

    Labels:
        ``esd5``

    Split:
        by speaker; all speakers are in every published part

    Args:
        root: the corpus folder, or a folder above it.
        skip: called for every file that is left out, and for every speaker whose list of sentences is missing.

    Yields:
        Clips with id ``0001_000351``, speaker ``0001``, the published part if there is one, and label set ``esd5``.

    Raises:
        ManifestError: no file below ``root`` has the folder and name of a recording of ESD, or a list cannot be read.
    """
    found: dict[str, str] = {}
    sentences: dict[str, dict[str, str]] = {}
    for path in walk(root, (".wav", ".flac")):
        name = relative(path, root)
        match = _NAME.fullmatch(path.stem)
        folders = path.relative_to(root).parts[:-1]
        labels = [canonical(folder) for folder in folders if canonical(folder) in _LABELS]
        if match is None or not labels:
            skip(name, "does not have the path of a recording of ESD (0001/Angry/0001_000351.wav)")
            continue
        if not keep_first(found, path.stem, name, skip):
            continue
        speaker = match[1]
        if speaker not in sentences:
            sentences[speaker] = _sentences(path, root, speaker, skip)
        yield Clip(
            id=path.stem,
            corpus="esd",
            speaker=speaker,
            language="zh" if int(speaker) <= _LAST_CHINESE_SPEAKER else "en",
            text=sentences[speaker].get(path.stem),
            audio=name,
            label_set="esd5",
            label=labels[-1],
            split=_PARTS.get(path.parent.name),
        )
    if not found:
        raise not_the_corpus("esd", root, "files like 0001/Angry/0001_000351.wav")


def _sentences(recording: Path, root: Path, speaker: str, skip: Skip) -> dict[str, str]:
    """Return {recording: sentence} from the list in the nearest parent folder of a recording of the speaker."""
    for folder in recording.parents:
        listing = folder / f"{speaker}.txt"
        if listing.is_file():
            lines = (_LINE.fullmatch(line.strip()) for line in _decode(listing, speaker).splitlines())
            return {match[1]: match[2] for match in lines if match is not None and match[2]}
        if folder == root:
            break
    skip(f"{speaker}.txt", f"does not exist, so the clips of speaker {speaker} have no text")
    return {}


def _decode(path: Path, speaker: str) -> str:
    """Decode a list; the lists are published in UTF-8, UTF-16, GB 2312 (Chinese) and Latin-1 (English)."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("gb18030" if int(speaker) <= _LAST_CHINESE_SPEAKER else "latin-1", errors="replace")
