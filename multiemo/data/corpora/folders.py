"""A folder a class: sounds, pictures, films or texts in folders that are called after their label."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multiemo.data.corpora.source import Became, Skip, not_the_corpus, part_of, read_text, relative, walk
from multiemo.errors import ConfigError, ManifestError
from multiemo.labels import CUSTOM, find_label
from multiemo.labels import label_set as labels_of
from multiemo.media.endings import PLAIN, media_kind
from multiemo.registry import corpora
from multiemo.types import Clip


@dataclass(slots=True)
class _Found:
    """The files of one name in one folder.

    Args:
        word: the folder that names its class.
        part: ``train``, ``val``, ``test`` or ``None``.
        files: {kind: path below the root}.
    """

    word: str
    part: str | None
    files: dict[str, str] = field(default_factory=dict)


@corpora.register("folders", above=False)  # any folder above one looks like the corpus
def folders(
    root: Path,
    skip: Skip,
    became: Became,
    *,
    corpus: str = "folders",
    language: str | None = None,
    label_set: str | None = None,
    cropped: bool = False,
    speaker: str | None = None,
) -> Iterator[Clip]:
    """One clip a file, labelled by the folder that it lies in: ``angry/a.wav`` or ``train/angry/a.wav``.

    Folders of parts (train, val, valid, validation, dev, test) may lie above or below those of the classes, and other
    folders in them. Files of one name that lie together (``a.wav`` and ``a.txt``) are one clip; a ``.txt`` holds its
    words. Nobody says who speaks: a split goes by clips (``group_by: clip``) unless ``speaker`` tells from the names.

    Folder:
        a folder a class: sounds, pictures, films, texts, such as ``angry/a.wav`` or ``train/angry/a.png``

    Labels:
        any, or the folders' names

    Split:
        folders ``train``, ``val``, ``test`` ...

    Args:
        root: the folder in which those of the parts or classes lie.
        skip: told of every file that is left out, of those without a known ending a count for each ending.
        became: told of the name of the class of every clip, and of what it becomes.
        corpus, language: of every clip.
        label_set: names of folders are brought to its names; without it the classes are a set of their own,
            ``custom:`` and their names in order.
        cropped: all pictures are face crops, which are taken whole.
        speaker: a regular expression; its first group, found in a file's path below ``root``, is the speaker:
            ``speaker=^([^/]+)/`` for a folder a speaker, ``speaker=/([^/_]+)_[^/]*$`` for the name's beginning.

    Yields:
        Clips whose id is the path without its ending.

    Raises:
        NotTheCorpus: there are not two folders of classes with media.
        ManifestError: the name of a class has a comma.
        ConfigError: an unknown label set, or ``speaker`` is no expression with a group.
    """
    pattern = _pattern(speaker)
    allowed = None if label_set is None else labels_of(label_set, where="folders: label_set")
    found = _files(root, skip, allowed)
    words = _classes(item.word for item in found.values())
    if len(words if allowed is None else {find_label(word, allowed) for word in words} - {None}) < 2:
        raise not_the_corpus(
            "folders", root, "two or more folders with media, called after their labels, or parts of such"
        )
    if allowed is None:
        comma = next((word for word in words if "," in word), None)
        if comma is not None:
            raise ManifestError(f"folders: {root}: {comma!r} has a comma, which parts the labels of a set; rename it")
        label_set = CUSTOM + ",".join(sorted(set(words.values()), key=_natural))
        allowed = labels_of(label_set, where="folders: names of the classes")
    nobody = 0
    for name, item in found.items():
        label = find_label(words[item.word], allowed)
        became(item.word, label)
        if label is None:
            continue
        try:
            text = read_text(root / item.files["text"]).strip() if "text" in item.files else ""
        except ManifestError as error:
            skip(name, str(error))
            continue
        media: dict[str, Any] = {kind: path for kind, path in item.files.items() if kind != "text"}
        if "video" in media:
            media.setdefault("audio", media["video"])
        if not text and not media:
            skip(name, "is an empty text")
            continue
        who = None if pattern is None else pattern.search(next(iter(item.files.values())))
        nobody += pattern is not None and who is None
        yield Clip(
            id=name,
            corpus=corpus,
            speaker=who[1] if who is not None else None,
            language=language,
            text=text or None,
            cropped=cropped and ("video" in media or "image" in media),
            label_set=label_set,
            label=label,
            split=item.part,
            **media,
        )
    if nobody:
        skip(str(root), f"{nobody} clips have no speaker, since speaker={speaker} is not found in their paths; kept")


def _pattern(speaker: str | None) -> re.Pattern[str] | None:
    if speaker is None:
        return None
    try:
        pattern = re.compile(speaker)
    except re.error as error:
        raise ConfigError(f"prepare.speaker: {speaker!r} is no regular expression ({error})") from None
    if not pattern.groups:
        raise ConfigError(f"prepare.speaker: {speaker!r} has no group; put brackets around the speaker, like ^([^/]+)/")
    return pattern


def _files(root: Path, skip: Skip, allowed: tuple[str, ...] | None) -> dict[str, _Found]:
    """{path without its ending: the files of that name}."""
    found: dict[str, _Found] = {}
    strange: Counter[str] = Counter()
    for path in walk(root, None):
        name = relative(path, root)
        kind = "text" if path.suffix.lower() in PLAIN else media_kind(path)
        above = path.relative_to(root).parts[:-1]
        if any(folder.endswith(".media") for folder in above):  # what prepare puts beside a manifest
            continue
        if kind is None:
            strange[path.suffix.lower() or "no ending"] += bool(above)
            continue
        classes = [folder for folder in above if part_of(folder) is None]
        named = [folder for folder in classes if allowed is not None and find_label(folder, allowed) is not None]
        if not classes:
            skip(name, "lies in no folder of a class")
            continue
        word = unicodedata.normalize("NFC", (named or classes)[0])
        part = next((part for folder in above if (part := part_of(folder)) is not None), None)
        key = name.rsplit(".", 1)[0]
        item = found.setdefault(key, _Found(word, part))
        if kind in item.files:
            item = found.setdefault(name, _Found(word, part))
        item.files[kind] = name
    for ending, count in strange.most_common():
        if count:
            skip(str(root), f"{count} files ({ending}) are no sound, picture, film or text that is known")
    return found


def _classes(words: Iterator[str]) -> dict[str, str]:
    """{name of a folder: name of its class}: names that differ in case alone are one class, called as most are."""
    counts = Counter(words)
    kinds: dict[str, list[str]] = defaultdict(list)
    for word, _ in counts.most_common():
        kinds[word.strip().casefold()].append(word)
    return {word: alike[0].strip() for alike in kinds.values() for word in alike}


def _natural(word: str) -> tuple[bool, int, str]:
    """Numbers in their order, then names in theirs."""
    return (False, int(word), word) if word.isdecimal() else (True, 0, word)
