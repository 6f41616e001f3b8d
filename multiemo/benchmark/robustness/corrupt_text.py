"""Corruptions of text: errors of a speech recogniser, and typing errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from numpy.random import Generator

from multiemo.inputs.material import Utterance

#: Shares of substitutions, deletions and insertions among the word errors of a recogniser of conversations: 10.1, 4.6
#: and 1.8 of 100 words on the NIST 2000 set (Switchboard and CallHome), as published with Kaldi's recipe ``swbd/s5c``
#: (Povey et al. 2011; LSTM, Fisher language model, 16.5% word errors).
SUBSTITUTED, DELETED, INSERTED = 0.61, 0.28, 0.11

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{_HAN}]|(?:(?![{_HAN}])[\w'’])+")
_IS_HAN = re.compile(f"[{_HAN}]")
#: Rows of a QWERTY keyboard, and the shift of each to the right, in keys.
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
#: Largest distance of neighbouring keys, in keys.
_NEIGHBOUR_DISTANCE = 1.3


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of running text with their repetitions, so that draws follow their frequency.

    Args:
        words: words of scripts that separate them by spaces.
        characters: Chinese characters.
    """

    words: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The vocabulary of some texts.

        Example:
            >>> Vocabulary.of(["good day", "你好, good!"])
            Vocabulary(words=('good', 'day', 'good'), characters=('你', '好'))
        """
        units = [unit for text in texts for unit in _UNIT.findall(text)]
        return cls(
            tuple(u for u in units if not _IS_HAN.match(u)),
            tuple(u for u in units if _IS_HAN.match(u)),
        )

    def like(self, unit: str) -> tuple[str, ...]:
        """The words in the script of a unit."""
        return self.characters if _IS_HAN.match(unit) else self.words


@dataclass(frozen=True, slots=True)
class Wording(Utterance):
    """The text of one clip, and the words from which errors are drawn.

    Args:
        text, earlier, language: see :class:`multiemo.inputs.material.Utterance`; the first two get errors of one kind.
        vocabulary: words from which wrong words are drawn; for a script that it lacks, the words of the text are used.
    """

    vocabulary: Vocabulary = field(default_factory=Vocabulary)


def asr_errors(wording: Wording, rate: float, draw: Generator) -> Wording:
    """Substitute, delete and insert words (in Chinese, characters), as a speech recogniser does.

    Each word is affected with probability ``rate``. Wrong words are drawn by their frequency in the vocabulary, so they
    sound less similar than the errors of a real recogniser. An utterance gets either deletions or insertions, since a
    cheaper edit could undo a pair of both; the expected word error rate is therefore ``rate``. Punctuation is kept.

    Args:
        wording: the clip.
        rate: word error rate, 0..1.
        draw: source of randomness.
    """

    def misheard(text: str) -> str:
        units = list(_UNIT.finditer(text))
        own = Vocabulary.of([text])
        hit, kind, pick = draw.random((3, len(units)))
        inserts = draw.random() < INSERTED / (INSERTED + DELETED)
        pieces, end = [], 0
        for number, found in enumerate(units):
            pieces.append(text[end : found.start()])
            unit, end = found.group(), found.end()
            choices = wording.vocabulary.like(unit) or own.like(unit)
            other = _another(choices, unit, pick[number])
            if hit[number] >= rate:
                pieces.append(unit)
            elif kind[number] < SUBSTITUTED and other is not None:
                pieces.append(other)
            elif inserts and other is not None:
                pieces.append(unit + ("" if _IS_HAN.match(unit) else " ") + other)
            elif text[end : end + 1] == " ":
                end += 1  # a deleted word takes its space with it
        return "".join([*pieces, text[end:]])

    return _each(wording, misheard)


def typos(wording: Wording, rate: float, draw: Generator) -> Wording:
    """Add typing errors of the kinds of Damerau (1964): neighbouring keys, transpositions and omissions.

    An affected letter is replaced by a neighbour on a QWERTY keyboard, swapped with the next letter, or dropped, with
    equal probability. Letters without a key are swapped or dropped. For Chinese, which is typed by sound, this leaves
    out the most common error, a wrong character with the same sound.

    Args:
        wording: the clip.
        rate: share of the letters that are affected, 0..1.
        draw: source of randomness.
    """

    def mistyped(text: str) -> str:
        hit, kind, pick = draw.random((3, len(text)))
        pieces, place = [], 0
        while place < len(text):
            letter, following = text[place], text[place + 1 : place + 2]
            near = _NEIGHBOURS.get(letter.lower(), "")
            kinds = ("near", "swap", "drop") if near else ("swap", "drop")
            chosen = kinds[int(kind[place] * len(kinds))]
            if hit[place] >= rate or not letter.isalpha():
                pieces.append(letter)
            elif chosen == "near":
                wrong = near[int(pick[place] * len(near))]
                pieces.append(wrong.upper() if letter.isupper() else wrong)
            elif chosen == "swap" and following.isalpha() and following != letter:
                pieces.append(following + letter)
                place += 1
            place += 1
        return "".join(pieces)

    return _each(wording, mistyped)


def _each(wording: Wording, change: Callable[[str], str]) -> Wording:
    text = change(wording.text)
    return replace(wording, text=text, earlier=tuple((same, change(line)) for same, line in wording.earlier))


def _another(choices: tuple[str, ...], unit: str, share: float) -> str | None:
    """The word at position ``share`` (0..1) of the choices, or the next one that differs from ``unit``."""
    first = int(share * len(choices))
    plain = unit.lower()
    words = (choices[(first + i) % len(choices)] for i in range(len(choices)))
    return next((word for word in words if word.lower() != plain), None)


def _neighbours() -> dict[str, str]:
    """{letter: the letters on neighbouring keys}."""
    at = {key: (x + shift, float(y)) for y, (row, shift) in enumerate(_ROWS) for x, key in enumerate(row)}
    return {
        a: "".join(
            b
            for b in at
            if b != a and (at[a][0] - at[b][0]) ** 2 + (at[a][1] - at[b][1]) ** 2 <= _NEIGHBOUR_DISTANCE**2
        )
        for a in at
    }


_NEIGHBOURS = _neighbours()
