"""The lists that come with the package, and VADER's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from multiemo.rules.lexicon.words import Entry, Lexicon, spread

_HEADER = re.compile(r"\[([^\]]*)\]")
_GROUP = re.compile(r"([a-z]+) ([\d.]+)")
#: Ends of English inflections, and what may stand in their place in the base form; "=" halves a double consonant.
_ENDINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("iness", ("y",)), ("ness", ("",)), ("iest", ("y",)), ("ier", ("y",)), ("ily", ("y",)), ("ies", ("y",)),
    ("ied", ("y",)), ("ingly", ("", "ing")), ("edly", ("ed",)), ("ly", ("", "le")), ("est", ("", "e", "=")),
    ("ing", ("", "e", "=")), ("ed", ("", "e", "=")), ("er", ("", "e", "=")), ("es", ("", "e")), ("s", ("",)),
    ("in", ("ing",)),
)  # fmt: skip
_VADER_RANGE = 4.0


def _read(name: str) -> str:
    return files("multiemo.rules.lexicon").joinpath(name).read_text("utf-8")


def _groups(text: str) -> Iterator[tuple[Entry, str]]:
    """(entry without a word, line of words) of each line of one of our files."""
    head = Entry("")
    for line in text.splitlines():
        header = _HEADER.fullmatch(line.strip())
        if header is not None:
            emotions = {emotion: float(strength) for emotion, strength in _GROUP.findall(header[1])}
            numbers = _GROUP.sub("", header[1]).split()
            valence, arousal = (float(numbers[0]), float(numbers[1])) if numbers else (None, None)
            head = Entry("", emotions, valence, arousal)
        elif line and not line.startswith("#"):
            yield head, line


def _entries(name: str, separator: str | None, source: str) -> Iterator[Entry]:
    """The entries of one of our files; an entry without emotions is a phrase that says nothing."""
    for head, line in _groups(_read(name)):
        for word in (part.strip() for part in line.split(separator)):
            if word:
                yield Entry(word, head.emotions, head.valence, head.arousal, source)


@cache
def chinese() -> Lexicon:
    """Our Chinese list."""
    return Lexicon.of("multiemo zh", _entries("zh.txt", ",", "multiemo zh"))


@cache
def symbols() -> Lexicon:
    """Our list of emoji and emoticons."""
    return Lexicon.of("multiemo symbols", _entries("symbols.txt", None, "multiemo symbols"))


@cache
def english() -> Lexicon:
    """Our English list. Questions such as "what?" have a space before the mark."""
    entries = _entries("en.txt", ",", "multiemo en")
    return Lexicon.of("multiemo en", (_spaced(entry) for entry in entries))


def _spaced(entry: Entry) -> Entry:
    return Entry(entry.word.replace("?", " ?"), entry.emotions, entry.valence, entry.arousal, entry.source)


@cache
def vader() -> Lexicon:
    """VADER's list (Hutto & Gilbert 2014), as the package ``vaderSentiment`` installs it: valence only."""
    lines = files("vaderSentiment").joinpath("vader_lexicon.txt").read_text("utf-8").splitlines()
    rated = ((line.split("\t")[0], float(line.split("\t")[1]) / _VADER_RANGE) for line in lines if "\t" in line)
    return Lexicon.of("VADER", (Entry(word, spread(value), value, None, "VADER") for word, value in rated))


def base_forms(word: str) -> Iterator[str]:
    """The word, then what it may be an inflection of, in the order in which to look them up.

    Example:
        >>> list(base_forms("happily")), "hug" in base_forms("hugging"), "annoy" in base_forms("annoys")
        (['happily', 'happy', 'happi', 'happile'], True, True)
    """
    yield word
    for ending, bases in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: -len(ending)]
            for base in bases:
                if base != "=":
                    yield stem + base
                elif stem[-1] == stem[-2]:
                    yield stem[:-1]


@cache
def english_entry(word: str) -> Entry | None:
    """What our list and VADER's say about an English word or phrase in lower case; ``None`` if it is in neither.

    Emotions come from our list, which also finds inflections, and valence from VADER's where it rates the word with the
    same sign. An entry of our list without emotions overrides VADER's.
    """
    rated = vader().entries.get(word)
    own = next((english().entries[form] for form in base_forms(word) if form in english().entries), None)
    if own is None or rated is None or not own.emotions:
        return own or rated
    assert own.valence is not None
    assert rated.valence is not None
    agrees = own.valence * rated.valence > 0
    return Entry(
        word,
        own.emotions,
        rated.valence if agrees else own.valence,
        own.arousal,
        f"{own.source}, VADER" if agrees else own.source,
    )
