"""One folder per class: audio, pictures, videos or texts in folders named after their label."""

from __future__ import annotations

import functools
import os
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
class _FileGroup:
    """The files with the same stem in one folder.

    Args:
        word: name of the folder of their class.
        part: ``train``, ``val``, ``test`` or ``None``.
        files: {medium: path relative to the root}.
    """

    word: str
    part: str | None
    files: dict[str, str] = field(default_factory=dict)


@corpora.register("folders", above=False)  # any parent folder would look like the corpus too
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
    """One clip per file, labelled by its folder: ``angry/a.wav`` or ``train/angry/a.wav``.

    Folders of parts (train, val, valid, validation, dev, test) may be above or below the folders of the classes, and
    these may contain other folders. Files with the same stem in one folder (``a.wav`` and ``a.txt``) are one clip; the
    ``.txt`` is its text. Speakers are unknown unless ``speaker`` extracts them from the paths; without them a split has
    to be by clips (``group_by: clip``).

    Folder:
        one folder per class with audio, pictures, videos or texts, such as ``angry/a.wav`` or ``train/angry/a.png``

    Labels:
        any, or the names of the folders

    Split:
        folders ``train``, ``val``, ``test`` ...

    Args:
        root: the folder that contains the folders of the parts or classes.
        skip: called for every file that is left out; files with unknown suffixes are counted per suffix.
        became: called with the name of the class of every clip and its mapped label.
        corpus: corpus name of every clip.
        language: language of every clip.
        label_set: label set to which the names of the folders are mapped; without it the classes form a label set of
            their own, ``custom:`` followed by their names in order.
        cropped: whether all pictures are face crops, which are used whole.
        speaker: a regular expression for the path of a file relative to ``root``; its first group is the speaker:
            ``speaker=^([^/]+)/`` for one folder per speaker, ``speaker=/([^/_]+)_[^/]*$`` for the beginning of the
            file name.

    Yields:
        Clips whose id is the path without its suffix.

    Raises:
        NotTheCorpus: there are fewer than two folders of classes with media.
        ManifestError: the name of a class contains a comma.
        ConfigError: the label set is unknown, or ``speaker`` is not a regular expression with a group.
    """
    pattern = _pattern(speaker)
    allowed = None if label_set is None else labels_of(label_set, where="folders: label_set")
    found = _files(root, skip, allowed)
    words = _classes(item.word for item in found.values())
    if len(words if allowed is None else {find_label(word, allowed) for word in words} - {None}) < 2:
        raise not_the_corpus(
            "folders", root, "two or more folders with media, named after their labels, also below folders of parts"
        )
    if allowed is None:
        comma = next((word for word in words if "," in word), None)
        if comma is not None:
            raise ManifestError(
                f"folders: {root}: {comma!r} contains a comma, which separates labels; rename the folder"
            )
        label_set = CUSTOM + ",".join(sorted(set(words.values()), key=_natural))
        allowed = labels_of(label_set, where="folders: names of the classes")
    without_speaker = 0
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
        without_speaker += pattern is not None and who is None
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
    if without_speaker:
        skip(
            str(root), f"{without_speaker} clips are kept without speaker: speaker={speaker} does not match their paths"
        )


def _pattern(speaker: str | None) -> re.Pattern[str] | None:
    if speaker is None:
        return None
    try:
        pattern = re.compile(speaker)
    except re.error as error:
        raise ConfigError(f"prepare.speaker: {speaker!r} is not a regular expression ({error})") from None
    if not pattern.groups:
        raise ConfigError(
            f"prepare.speaker: {speaker!r} has no group; put parentheses around the speaker, as in ^([^/]+)/"
        )
    return pattern


def _files(root: Path, skip: Skip, allowed: tuple[str, ...] | None) -> dict[str, _FileGroup]:
    """Return {path without suffix: the files with that stem}."""
    found: dict[str, _FileGroup] = {}
    unknown_suffixes: Counter[str] = Counter()
    real_folder = functools.cache(os.path.realpath)
    ways: dict[str, str] = {}
    for path in walk(root, None):
        name = relative(path, root)
        kind = "text" if path.suffix.lower() in PLAIN else media_kind(path)
        above = path.relative_to(root).parts[:-1]
        if any(folder.endswith(".media") for folder in above):  # written by prepare beside a manifest
            continue
        if kind is None:
            unknown_suffixes[path.suffix.lower() or "no suffix"] += bool(above)
            continue
        classes = [folder for folder in above if part_of(folder) is None]
        named = [folder for folder in classes if allowed is not None and find_label(folder, allowed) is not None]
        if not classes:
            skip(name, "is not in the folder of a class")
            continue
        word = unicodedata.normalize("NFC", (named or classes)[0])
        real = os.path.realpath(path) if path.is_symlink() else os.path.join(real_folder(path.parent), path.name)
        if ways.setdefault(real, name) != name:
            skip(name, f"is {ways[real]} by another way (a link)")
            continue
        part = next((part for folder in above if (part := part_of(folder)) is not None), None)
        key = name.rsplit(".", 1)[0]
        item = found.setdefault(key, _FileGroup(word, part))
        if kind in item.files:
            item = found.setdefault(name, _FileGroup(word, part))
        item.files[kind] = name
    for ending, count in unknown_suffixes.most_common():
        if count:
            skip(str(root), f"{count} files ({ending}) are not in a known audio, picture, video or text format")
    return found


def _classes(words: Iterator[str]) -> dict[str, str]:
    """Return {name of a folder: name of its class}; names that differ only in case are one class (most common form)."""
    counts = Counter(words)
    kinds: dict[str, list[str]] = defaultdict(list)
    for word, _ in counts.most_common():
        kinds[word.strip().casefold()].append(word)
    return {word: alike[0].strip() for alike in kinds.values() for word in alike}


def _natural(word: str) -> tuple[bool, int, str]:
    """Sort key: numbers in numerical order, then names in alphabetical order."""
    return (False, int(word), word) if word.isdecimal() else (True, 0, word)
