"""Clips that are copies of each other, though their files, names or encodings differ; and which part each stands in.

A corpus collected from the web, or two corpora read together, may hold one recording, picture or text several times.
Where one copy is trained on and another tested on, the test measures memory. Byte-identical spans are always found;
beyond them sound that was re-encoded, resampled, made louder or trimmed (:mod:`multiemo.data.duplicates.sounds`),
pictures and films that were re-encoded, rescaled or mirrored (:mod:`multiemo.data.duplicates.pictures`), and long
texts that say the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeAlias

from multiemo.data.duplicates.fingerprints import FingerprintReader
from multiemo.data.duplicates.pictures import same_films, same_stills
from multiemo.data.duplicates.sounds import is_telling, same_sounds
from multiemo.data.splits.split import Split
from multiemo.progress import Progress
from multiemo.types import Clip

#: What two clips share.
SharedKind: TypeAlias = Literal["audio", "frames", "image", "text"]
_Found: TypeAlias = dict[tuple[int, int, SharedKind], float]
_Pairs: TypeAlias = Iterable[tuple[int, int, float]]

#: A text is a copy, not a phrase that people say again and again, from this many different words on, or this many
#: different characters in scripts that put no space between words. The recurrent word sequences of English
#: conversation have 3 to 6 words (Biber et al. 1999, Longman Grammar of Spoken and Written English, ch. 13); a Chinese
#: word has about 1.5 characters.
LONG_WORDS, LONG_CHARACTERS = 8, 12
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two clips that are one.

    Args:
        first, second: clip ids, in the order of the clips.
        kind: what they share; two videos may share their sound, their frames, or both (one duplicate each).
        distance: 0 for identical spans and for texts; share of fingerprint bits that differ for ``audio``; 1 -
            correlation for ``frames`` and ``image``.
    """

    first: str
    second: str
    kind: SharedKind
    distance: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """A duplicate whose clips stand in different parts.

    Args:
        duplicate: the pair.
        parts: part of the first and of the second clip.
    """

    duplicate: Duplicate
    parts: tuple[str, str]


def find_duplicates(
    clips: Sequence[Clip], folder: Path, *, cache: Path | None = None, progress: Progress | None = None
) -> list[Duplicate]:
    """Every pair of clips that share their sound, their frames, their picture or their text.

    - ``audio``: one recording, or one contained in the other, whatever the codec, rate and gain. Two takes of one
      sentence by one speaker are two recordings.
    - ``frames``: one film, rescaled, re-encoded, mirrored or up to 0.5 s longer or shorter. Where both clips can be
      heard their sound must agree too. Of a long film the first 12 s are compared.
    - ``image``: one picture, rescaled, re-encoded, mirrored or cut a few per cent tighter. Stills cut from one film a
      moment apart are one picture too.
    - ``text``: of clips that have nothing but text, the same letters and digits, whatever the case, punctuation and
      spaces, from 8 different words (12 different characters of Chinese) on. A sentence that many speakers were given
      to say is no duplicate.

    What cannot be told apart is compared byte by byte only: silence, sound shorter than about 0.8 s, blank pictures,
    films in which nothing moves.

    Args:
        clips: of one or several corpora.
        folder: the manifest's folder.
        cache: folder of the preprocessed tensors, where fingerprints are kept too; ``None`` keeps none.
        progress: told the spans of media read, of those to read; films add to these when they are needed.

    Returns:
        Duplicates in the order of the clips, then by kind.

    Raises:
        MediaError: media cannot be read; names the clip.
    """
    found: _Found = {}
    with FingerprintReader(clips, folder, cache, progress) as reader:
        audible = _sounds(reader, found)
        _stills(reader, found)
        _films(reader, found, audible)
    _add(found, "text", list(_texts(clips).values()), ())
    return [Duplicate(clips[a].id, clips[b].id, kind, distance) for (a, b, kind), distance in sorted(found.items())]


def across_parts(duplicates: Sequence[Duplicate], split: Split) -> list[Crossing]:
    """The duplicates whose clips stand in different parts; clips that the split leaves out stand in none."""
    part_of = split.part_of()
    crossings = []
    for duplicate in duplicates:
        parts = part_of.get(duplicate.first), part_of.get(duplicate.second)
        if parts[0] is not None and parts[1] is not None and parts[0] != parts[1]:
            crossings.append(Crossing(duplicate, (parts[0], parts[1])))
    return crossings


def to_leave_out(crossings: Sequence[Crossing]) -> tuple[str, ...]:
    """Clips of train and val without which no duplicate crosses parts.

    The test part is kept whole: of a pair with test, the other clip goes. Of what is then left, a pair of train and
    val loses its train clip.

    Args:
        crossings: see :func:`across_parts`.

    Returns:
        Clip ids, sorted.

    Example:
        >>> pair = Duplicate("a", "b", "audio", 0.0)
        >>> to_leave_out([Crossing(pair, ("train", "test"))])
        ('a',)
    """
    pairs = [dict(zip(c.parts, (c.duplicate.first, c.duplicate.second), strict=True)) for c in crossings]
    out = {name for pair in pairs if "test" in pair for part, name in pair.items() if part != "test"}
    out |= {pair["train"] for pair in pairs if "test" not in pair and pair["val"] not in out}
    return tuple(sorted(out))


def describe(crossings: Sequence[Crossing], most: int = 10) -> list[str]:
    """Lines for a message or a report: how many, then the pairs, those with the test part first.

    Args:
        crossings: see :func:`across_parts`.
        most: pairs that are named; the others are counted.

    Example:
        >>> pair = Duplicate("a", "b", "audio", 0.031)
        >>> describe([Crossing(pair, ("train", "test"))])
        ['1 pair of clips in different parts is the same (audio 1)', "train 'a' = test 'b': audio, 3.1% of bits differ"]
    """
    if not crossings:
        return []
    kinds: dict[str, int] = defaultdict(int)
    lines = []
    for crossing in sorted(crossings, key=lambda crossing: "test" not in crossing.parts):
        duplicate, (first, second) = crossing.duplicate, crossing.parts
        kinds[duplicate.kind] += 1
        lines.append(f"{first} {duplicate.first!r} = {second} {duplicate.second!r}: {_likeness(duplicate)}")
    pairs = len({(c.duplicate.first, c.duplicate.second) for c in crossings})
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    count = "1 pair of clips in different parts is" if pairs == 1 else f"{pairs} pairs of clips in different parts are"
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return [f"{count} the same ({counts})", *lines[:most], *more]


def _likeness(duplicate: Duplicate) -> str:
    if duplicate.distance == 0:
        return f"{duplicate.kind}, identical"
    if duplicate.kind == "audio":
        return f"audio, {duplicate.distance:.1%} of bits differ"
    return f"{duplicate.kind}, correlation {1 - duplicate.distance:.3f}"


def _sounds(reader: FingerprintReader, found: _Found) -> set[int]:
    """Add pairs that share their sound; the clips whose sound can be told from another."""
    spans, words = reader.sounds(reader.spans(lambda clip: clip.audio or clip.video))
    _add(found, "audio", [span.clips for span in spans], same_sounds(words))
    return {clip for span, word in zip(spans, words, strict=True) if is_telling(word) for clip in span.clips}


def _stills(reader: FingerprintReader, found: _Found) -> None:
    """Add pairs that share their picture."""
    spans, pictures = reader.stills(reader.spans(lambda clip: clip.image, timed=False))
    _add(found, "image", [span.clips for span in spans], same_stills(pictures))


def _films(reader: FingerprintReader, found: _Found, audible: set[int]) -> None:
    """Add pairs that share their frames; only films that can stand in such a pair are decoded."""
    spans = reader.spans(lambda clip: clip.video)
    _add(found, "frames", [span.clips for span in spans], ())
    heard = {(a, b) for a, b, kind in found if kind == "audio"}
    paired = {clip for pair in heard for clip in pair}
    silent = any(clip not in audible for span in spans for clip in span.clips)
    there, films = reader.films([span for span in spans if silent or not paired.isdisjoint(span.clips)])
    similar: _Found = {}
    _add(similar, "frames", [span.clips for span in there], same_films(films))
    for (a, b, kind), distance in similar.items():
        if (a, b) in heard or not (a in audible and b in audible):
            found.setdefault((a, b, kind), distance)


def _texts(clips: Sequence[Clip]) -> dict[str, list[int]]:
    """{what is left of a long text: clips that have nothing else}."""
    texts: dict[str, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        if clip.text is None or clip.audio or clip.video or clip.image or clip.features:
            continue
        words = _words(clip.text)
        characters = {c for word in words for c in _UNSPACED.findall(word)}
        others = {rest for word in words for rest in _UNSPACED.sub(" ", word).split()}
        if len(others) / LONG_WORDS + len(characters) / LONG_CHARACTERS >= 1:
            texts["".join(words)].append(index)
    return texts


def _words(text: str) -> list[str]:
    """Runs of letters, digits and their marks, in one form of Unicode and one case."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in plain).split()


def _add(found: _Found, kind: SharedKind, groups: Sequence[Sequence[int]], pairs: _Pairs) -> None:
    """Add every pair of clips inside a group (distance 0), and those between two groups that are alike."""
    for group in groups:
        for a, b in combinations(group, 2):
            found[a, b, kind] = 0.0
    for first, second, distance in pairs:
        for a in groups[first]:
            for b in groups[second]:
                found.setdefault((min(a, b), max(a, b), kind), distance)
