"""Find the words of a text that rules know: feelings, degrees, negations, contrasts, marks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from multiemo.rules.cleaning import Cleaned
from multiemo.rules.grammar import FUNCTIONS, Function
from multiemo.rules.lexicon.builtin import chinese, english_entry, symbols, vader
from multiemo.rules.lexicon.words import Entry, Lexicon
from multiemo.transcripts.language import UNSPACED

#: Longest English phrase, in words.
_PHRASE_WORDS = 5
_TOKEN = re.compile(
    rf"(?P<han>[{UNSPACED}、]+)|(?P<word>[^\W\d_{UNSPACED}]+(?:['-][^\W\d_{UNSPACED}]+)*'?)|(?P<mark>[.!?\n]+|[,;:—~]+|&)"
)

#: What stands before the verb "like", which is a preposition elsewhere: a subject or an auxiliary, and adverbs. "You"
#: is a subject at the start of a clause or after words that introduce one. "Are you like this" asks what somebody is.
_SUBJECTS = frozenset({"i", "we", "they", "who"})
_AUXILIARIES = frozenset({
    "do", "does", "did", "don't", "doesn't", "didn't", "dont", "doesnt", "didnt", "will", "won't", "might", "may",
    "wouldn't",
})  # fmt: skip
_ADVERBS = frozenset({
    "really", "also", "still", "always", "so", "quite", "actually", "totally", "definitely", "truly", "both", "all",
    "even", "kinda", "sorta", "kind", "sort", "of", "not", "never", "ever",
})  # fmt: skip
_BEFORE_YOU = frozenset({"hope", "think", "know", "because"}) | _AUXILIARIES
_WHAT_LIKE = frozenset({"am", "are", "was", "were", "aren't", "wasn't", "weren't"})
#: How many words before "like" are looked at.
_NEAR = 6


@dataclass(frozen=True, slots=True)
class KnownWord:
    """A known word, or a mark.

    Args:
        text: as written in the cleaned text.
        first, last: its span in the cleaned text.
        entry: what the lexicon says, for a feeling.
        function: what it does, for a word of grammar.
        mark: the characters of a mark.
        position: number of words (of Chinese: characters) before it.
        english: whether it is a word of an alphabet.
        symbol: whether it is an emoji or an emoticon.
    """

    text: str
    first: int
    last: int
    position: int
    entry: Entry | None = None
    function: Function | None = None
    mark: str = ""
    english: bool = False
    symbol: bool = False

    def does(self, *roles: str) -> bool:
        """Whether it is a word of grammar with one of the roles."""
        return self.function is not None and self.function.role in roles

    @property
    def negates(self) -> bool:
        """Whether it is a negation."""
        return self.does("negation", "never")

    @property
    def ends_sentence(self) -> bool:
        """Whether it is a mark that ends a sentence."""
        return self.mark != "" and self.mark[0] in ".!?\n"


@dataclass(slots=True)
class WordLists:
    """The words to look for in one text.

    Args:
        english: look up English words.
        chinese: look up Chinese words.
        own: a user's lexicon, which applies to any language and takes precedence.
    """

    english: bool
    chinese: bool
    own: Lexicon | None = None
    _longest: int = field(init=False)

    def __post_init__(self) -> None:
        known = max(chinese().longest, max(map(len, FUNCTIONS["zh"]))) if self.chinese else 1
        self._longest = max(known, self.own.longest if self.own is not None else 0)

    def entry(self, word: str, *, han: bool) -> Entry | None:
        """What the lexicons say about a word; ``None`` if none has it."""
        listed = None
        if han and self.chinese:
            listed = chinese().entries.get(word)
        elif not han and self.english:
            listed = english_entry(word)
        own = None if self.own is None else self.own.entries.get(word)
        return listed if own is None else own.over(listed)

    def function(self, word: str, *, han: bool) -> Function | None:
        """What a word of grammar does; ``None`` if it is none."""
        if han:
            return FUNCTIONS["zh"].get(word) if self.chinese else None
        return FUNCTIONS["en"].get(word) if self.english else None

    def items(self, cleaned: Cleaned) -> list[KnownWord]:
        """The known words and the marks of a text, in order."""
        found: list[KnownWord] = []
        position = 0
        at = 0
        for symbol in [*_symbol_pattern().finditer(cleaned.text), None]:
            end = len(cleaned.text) if symbol is None else symbol.start()
            for item in self._words(cleaned, at, end, position):
                found.append(item)
                position = item.position + 1
            if symbol is not None:
                entry = _symbol_entry(symbol[0])
                found.append(KnownWord(symbol[0], symbol.start(), symbol.end(), position, entry=entry, symbol=True))
                at = symbol.end()
        return found

    def _words(self, cleaned: Cleaned, first: int, last: int, position: int) -> Iterator[KnownWord]:
        tokens = list(_TOKEN.finditer(cleaned.text, first, last))
        skip = 0
        for i, token in enumerate(tokens):
            if skip:
                skip -= 1
                position += 1
                continue
            if token["han"]:
                yield from self._han(token[0], token.start(), position)
                position += len(token[0])
                continue
            item, used = self._phrase(cleaned, tokens, i, position)
            if item is not None:
                yield item
            skip = used - 1
            position += 1

    def _phrase(
        self, cleaned: Cleaned, tokens: list[re.Match[str]], i: int, position: int
    ) -> tuple[KnownWord | None, int]:
        """The longest known phrase that starts at a token, and its number of tokens."""
        here = tokens[i]
        for count in range(min(_PHRASE_WORDS, len(tokens) - i) if here["word"] else 1, 0, -1):
            part = tokens[i : i + count]
            if any(token["han"] for token in part):
                continue
            first, last = part[0].start(), part[-1].end()
            for form in _forms(part, cleaned.drawn_out):
                function, entry = self.function(form, han=False), self.entry(form, han=False)
                if form == "like" and entry is not None and not entry.emotions and _is_verb(tokens, i):
                    entry = self.entry("to like", han=False)
                if function is not None or entry is not None:
                    entry = None if function is not None else entry
                    text = cleaned.text[first:last]
                    return KnownWord(text, first, last, position, entry, function, english=True), count
        return (KnownWord(here[0], here.start(), here.end(), position, mark=here[0]) if here["mark"] else None), 1

    def _han(self, run: str, offset: int, position: int) -> Iterator[KnownWord]:
        """The known words of a run of unspaced characters, longest match first."""
        at = 0
        previous: KnownWord | None = None
        while at < len(run):
            either = run[at] == "不" and 0 < at < len(run) - 1 and run[at - 1] == run[at + 1]  # as in 喜不喜欢
            for size in range(1 if either else min(self._longest, len(run) - at), 0, -1):
                word = run[at : at + size]
                function, entry = self.function(word, han=True), self.entry(word, han=True)
                if function is not None and function.role == "after":
                    follows = previous is not None and previous.entry is not None and previous.last == offset + at
                    function = function if follows else None
                if function is not None or entry is not None:
                    entry = None if function is not None else entry
                    previous = KnownWord(word, offset + at, offset + at + size, position + at, entry, function)
                    yield previous
                    break
            at += size


def _is_verb(tokens: Sequence[re.Match[str]], i: int) -> bool:
    """Whether "like", token ``i``, is a verb: "I really like this", but not "why are you like this"."""
    words = ["", "", *(token[0].lower() for token in tokens[max(0, i - _NEAR) : i])]
    while words[-1] in _ADVERBS:
        words.pop()
    *_, earlier, word = words
    if word == "you":
        return not earlier[:1].isalpha() or earlier in _BEFORE_YOU
    return word in _AUXILIARIES or (word in _SUBJECTS and earlier not in _WHAT_LIKE)


def _forms(part: Sequence[re.Match[str]], drawn_out: Collection[int]) -> Iterator[str]:
    """The forms under which to look up an English word or phrase: lower case, then without repeated letters."""
    yield " ".join(t[0][0] if t["mark"] else t[0].lower().rstrip("'") for t in part)
    first, last = part[0].start(), part[-1].end()
    if any(first <= place < last for place in drawn_out):
        shortened = ("".join(c for k, c in enumerate(t[0], t.start()) if k not in drawn_out) for t in part)
        yield " ".join(shortened).lower()


@cache
def _symbol_pattern() -> re.Pattern[str]:
    """Our symbols anywhere, and VADER's emoticons between spaces."""
    own = sorted(symbols().entries, key=len, reverse=True)
    lettered = [s for s in own if s[0].isascii() and s[0].isalnum()]
    plain = [s for s in own if s not in lettered]
    theirs = [w for w in sorted(vader().entries, key=len, reverse=True) if not any(c.isalpha() for c in w[:1] + w[-1:])
              and not w.isalnum() and w not in symbols().entries and "'" not in w[:1]]  # fmt: skip
    return re.compile(
        f"(?:{'|'.join(map(re.escape, plain))})(?![A-Za-z0-9])"
        f"|(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, lettered))})(?![A-Za-z0-9])"
        f"|(?<!\\S)(?:{'|'.join(map(re.escape, theirs))})(?!\\S)"
    )


def _symbol_entry(symbol: str) -> Entry | None:
    entries: Mapping[str, Entry] = symbols().entries
    return entries.get(symbol) or vader().entries.get(symbol)
