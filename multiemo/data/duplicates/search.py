"""Find clips that are copies of each other under different files, names or encodings, and copies across parts.

A corpus collected from the web, or a combination of corpora, may contain a recording, picture or text several times.
If one copy is trained on and another tested, the test measures memorisation. The search finds byte-identical spans;
audio that was re-encoded, resampled, amplified or trimmed (:mod:`multiemo.data.duplicates.sounds`); pictures and films
that were re-encoded, rescaled or mirrored (:mod:`multiemo.data.duplicates.pictures`); and long texts with the same
words.
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
from multiemo.data.duplicates.sounds import is_distinctive, same_sounds
from multiemo.data.splits.split import Split
from multiemo.progress import Progress
from multiemo.types import Clip

#: What two clips share.
SharedKind: TypeAlias = Literal["audio", "frames", "image", "text"]
_Found: TypeAlias = dict[tuple[int, int, SharedKind], float]
_Pairs: TypeAlias = Iterable[tuple[int, int, float]]

#: Minimum number of different words of a text that counts as a copy rather than a common phrase, and of different
#: characters in scripts that put no space between words. The recurrent word sequences of English
#: conversation have 3 to 6 words (Biber et al. 1999, Longman Grammar of Spoken and Written English, ch. 13); a Chinese
#: word has about 1.5 characters.
MIN_WORDS, MIN_CHARACTERS = 8, 12
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two clips that are copies of each other.

    Args:
        first, second: clip ids, in the order of the clips.
        kind: what they share; two videos may share their audio, their frames, or both (one duplicate each).
        distance: 0 for identical spans and for texts; the share of differing fingerprint bits for ``audio``;
            1 - correlation for ``frames`` and ``image``.
    """

    first: str
    second: str
    kind: SharedKind
    distance: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """A duplicate whose clips are in different parts.

    Args:
        duplicate: the pair of clips.
        parts: part of the first and of the second clip.
    """

    duplicate: Duplicate
    parts: tuple[str, str]


def find_duplicates(
    clips: Sequence[Clip], folder: Path, *, cache: Path | None = None, progress: Progress | None = None
) -> list[Duplicate]:
    """Find all pairs of clips with the same audio, frames, picture or text.

    - ``audio``: the same recording, or one contained in the other, regardless of codec, sample rate and gain. Two takes
      of a sentence by one speaker are different recordings.
    - ``frames``: the same film, also rescaled, re-encoded, mirrored or up to 0.5 s longer or shorter. If both clips
      have audible sound, it must match too. Only the first 12 s of a film are compared.
    - ``image``: the same picture, also rescaled, re-encoded, mirrored or cropped a few per cent tighter. Stills taken
      from a film a moment apart count as the same picture.
    - ``text``: for clips that have only text: the same letters and digits, ignoring case, punctuation and spaces, with
      at least 8 different words (12 different characters in Chinese). A sentence read by many speakers is not a
      duplicate.

    Media without distinctive content are only compared byte by byte: silence, audio shorter than about 0.8 s, blank
    pictures and static films.

    Args:
        clips: clips of one or several corpora.
        folder: the manifest's folder.
        cache: folder of the tensor cache, which then stores the fingerprints too; ``None`` does not store them.
        progress: updated with the number of spans read, of those to read; films are added when they are needed.

    Returns:
        Duplicates in the order of the clips, then by kind.

    Raises:
        MediaError: media cannot be read; the message names the clip.
    """
    found: _Found = {}
    with FingerprintReader(clips, folder, cache, progress) as reader:
        audible = _add_sounds(reader, found)
        _add_stills(reader, found)
        _add_films(reader, found, audible)
    _add(found, "text", list(_texts(clips).values()), ())
    return [Duplicate(clips[a].id, clips[b].id, kind, distance) for (a, b, kind), distance in sorted(found.items())]


def across_parts(duplicates: Sequence[Duplicate], split: Split) -> list[Crossing]:
    """Return the duplicates whose clips are in different parts; clips that the split leaves out are ignored."""
    part_of = split.part_of()
    crossings = []
    for duplicate in duplicates:
        parts = part_of.get(duplicate.first), part_of.get(duplicate.second)
        if parts[0] is not None and parts[1] is not None and parts[0] != parts[1]:
            crossings.append(Crossing(duplicate, (parts[0], parts[1])))
    return crossings


def to_leave_out(crossings: Sequence[Crossing]) -> tuple[str, ...]:
    """Return the clips of train and val to leave out, so that no duplicate crosses parts.

    The test part is unchanged: of a pair with a test clip, the other clip is left out. Of each remaining pair of train
    and val, the train clip is left out.

    Args:
        crossings: result of :func:`across_parts`.

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
    """Format duplicates as lines for a message or a report: the counts, then the pairs, those with a test clip first.

    Args:
        crossings: result of :func:`across_parts`.
        most: number of pairs to list; the others are only counted.

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
        lines.append(f"{first} {duplicate.first!r} = {second} {duplicate.second!r}: {_similarity(duplicate)}")
    pairs = len({(c.duplicate.first, c.duplicate.second) for c in crossings})
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    count = "1 pair of clips in different parts is" if pairs == 1 else f"{pairs} pairs of clips in different parts are"
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return [f"{count} the same ({counts})", *lines[:most], *more]


def _similarity(duplicate: Duplicate) -> str:
    if duplicate.distance == 0:
        return f"{duplicate.kind}, identical"
    if duplicate.kind == "audio":
        return f"audio, {duplicate.distance:.1%} of bits differ"
    return f"{duplicate.kind}, correlation {1 - duplicate.distance:.3f}"


def _add_sounds(reader: FingerprintReader, found: _Found) -> set[int]:
    """Add pairs with the same audio; return the clips whose audio is distinctive enough to compare."""
    spans, words = reader.sounds(reader.spans(lambda clip: clip.audio or clip.video))
    _add(found, "audio", [span.clips for span in spans], same_sounds(words))
    return {clip for span, word in zip(spans, words, strict=True) if is_distinctive(word) for clip in span.clips}


def _add_stills(reader: FingerprintReader, found: _Found) -> None:
    """Add pairs with the same picture."""
    spans, pictures = reader.stills(reader.spans(lambda clip: clip.image, timed=False))
    _add(found, "image", [span.clips for span in spans], same_stills(pictures))


def _add_films(reader: FingerprintReader, found: _Found, audible: set[int]) -> None:
    """Add pairs with the same frames. Only films that can be part of such a pair are decoded."""
    spans = reader.spans(lambda clip: clip.video)
    _add(found, "frames", [span.clips for span in spans], ())
    same_audio = {(a, b) for a, b, kind in found if kind == "audio"}
    paired = {clip for pair in same_audio for clip in pair}
    silent = any(clip not in audible for span in spans for clip in span.clips)
    film_spans, films = reader.films([span for span in spans if silent or not paired.isdisjoint(span.clips)])
    similar: _Found = {}
    _add(similar, "frames", [span.clips for span in film_spans], same_films(films))
    for (a, b, kind), distance in similar.items():
        if (a, b) in same_audio or not (a in audible and b in audible):
            found.setdefault((a, b, kind), distance)


def _texts(clips: Sequence[Clip]) -> dict[str, list[int]]:
    """Return {normalised long text: clips that have only text}."""
    texts: dict[str, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        if clip.text is None or clip.audio or clip.video or clip.image or clip.features:
            continue
        words = _words(clip.text)
        characters = {c for word in words for c in _UNSPACED.findall(word)}
        others = {rest for word in words for rest in _UNSPACED.sub(" ", word).split()}
        if len(others) / MIN_WORDS + len(characters) / MIN_CHARACTERS >= 1:
            texts["".join(words)].append(index)
    return texts


def _words(text: str) -> list[str]:
    """Split a text into runs of letters, digits and combining marks, normalised to NFKC and case-folded."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in plain).split()


def _add(found: _Found, kind: SharedKind, groups: Sequence[Sequence[int]], pairs: _Pairs) -> None:
    """Add every pair of clips within a group (distance 0), and every pair between two matching groups."""
    for group in groups:
        for a, b in combinations(group, 2):
            found[a, b, kind] = 0.0
    for first, second, distance in pairs:
        for a in groups[first]:
            for b in groups[second]:
                found.setdefault((min(a, b), max(a, b), kind), distance)
