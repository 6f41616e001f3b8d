"""Emotion words that a description attributes to a person: "she sounds irritated, not angry, and a bit sad".

Words come from :mod:`multiemo.labels.wheel`. Cleaning, inflections, degrees and negations are those of the text rules.
Only words of the wheel count: the lexicon of the text rules is made for what people say, not for what is said of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from multiemo.labels.wheel import WheelPlace, emotion_wheel
from multiemo.rules.cleaning import clean
from multiemo.rules.context import Feeling, apply_context
from multiemo.rules.grammar import Function
from multiemo.rules.lexicon.builtin import base_forms
from multiemo.rules.lexicon.words import Entry, Lexicon
from multiemo.rules.matching import KnownWord, WordLists

#: Negations of descriptions, besides those of :mod:`multiemo.rules.grammar`.
_NEGATIONS = dict.fromkeys(("rather than", "instead of", "free of", "absence of", "devoid of"), Function("negation"))
#: Words that continue a negated list after commas ("no anger, fear or sadness").
_OR = ("or", "nor")


@dataclass(frozen=True, slots=True)
class EmotionWord:
    """An emotion word of a text that is not negated.

    Args:
        text: as written.
        place: its place in the wheel.
        strength: 1; more after "very", less after "a bit".
    """

    text: str
    place: WheelPlace
    strength: float


@dataclass(slots=True)
class _WheelLists(WordLists):
    """The words of the wheel in place of the lexicons of the text rules."""

    def entry(self, word: str, *, han: bool) -> Entry | None:
        assert self.own is not None
        forms = (word,) if han else base_forms(word)
        return next((self.own.entries[form] for form in forms if form in self.own.entries), None)

    def function(self, word: str, *, han: bool) -> Function | None:
        return _NEGATIONS.get(word) or WordLists.function(self, word, han=han)


@cache
def _lexicon(names: tuple[str, ...]) -> Lexicon:
    places = {**{name.strip().lower(): WheelPlace(name, name, name) for name in names}, **emotion_wheel()}
    entries = (Entry(word, {} if place is None else {_key(place): 1.0}) for word, place in places.items())
    return Lexicon.of("wheel", entries)


def _key(place: WheelPlace) -> str:
    """The name of a place as an emotion of the lexicon; no rule knows it."""
    return "\t".join((place.basic, place.cluster, place.word))


def emotion_words(text: str, names: tuple[str, ...] = ()) -> list[EmotionWord]:
    """The emotion words of a description in English, Chinese or both, in order, without negated ones.

    Args:
        text: the description.
        names: further words to find; the place of each is its name on every level.

    Example:
        >>> [(w.text, w.place.basic, w.strength) for w in emotion_words("She is irritated, not angry, and a bit sad.")]
        [('irritated', 'anger', 1.0), ('sad', 'sadness', 0.6)]
        >>> [w.text for w in emotion_words("No anger, fear or sadness, rather curious.")]
        ['curious']
        >>> [w.place.word for w in emotion_words("他听起来很生气,但并不难过")]
        ['anger']
    """
    cleaned = clean(text)
    lists = _WheelLists(english=True, chinese=True, own=_lexicon(names))
    items = [item for item in lists.items(cleaned) if not item.symbol]
    found = []
    negated: set[int] = set()
    for feeling in apply_context(items, cleaned):
        place = _place(feeling)
        if _key(place) not in feeling.emotions or _continues(feeling.item, items, negated, cleaned.text):
            negated.add(feeling.item.first)
        else:
            found.append(EmotionWord(feeling.item.text, place, _strength(feeling)))
    return found


def _strength(feeling: Feeling) -> float:
    """The product of the degrees of a word; contrasts and questions do not change what a description attributes."""
    words = (part.function for _, part, _, _ in feeling.steps if part.does("degree", "after"))
    return round(math.prod((word.strength for word in words if word is not None), start=1.0), 3)


def _place(feeling: Feeling) -> WheelPlace:
    assert feeling.item.entry is not None
    return WheelPlace(*next(iter(feeling.item.entry.emotions)).split("\t"))


def _continues(item: KnownWord, items: Sequence[KnownWord], negated: set[int], text: str) -> bool:
    """Whether a word continues a list with "or" or "nor" whose word before it is negated.

    Args:
        item: an emotion word.
        items: known words and marks of the text.
        negated: where the negated words before it begin.
        text: the cleaned text.
    """
    at = next(i for i, known in enumerate(items) if known.first == item.first)
    before = at - 1
    while before >= 0 and _separates(items[before]):
        before -= 1
    if before < 0 or items[before].first not in negated:
        return False
    end = at
    while end < len(items) and (_separates(items[end]) or items[end].entry is not None):
        end += 1
    listed = items[before:end]
    gaps = (text[a.last : b.first] for a, b in pairwise(listed[: at - before + 1]))
    return any(known.text.lower() in _OR for known in listed) and not any(gap.strip() for gap in gaps)


def _separates(item: KnownWord) -> bool:
    return item.mark == "," or item.does("join")
