"""Texts made worse: the errors of a speech recogniser, and slips of the keyboard."""

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
#: Rows of a QWERTY keyboard and how far each is shifted to the right, in keys.
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
_NEAR = 1.3


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of running text, each as often as it occurs, so that a draw follows their frequency.

    Args:
        words: of scripts that part them by spaces.
        characters: Chinese ones.
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
        """The words of the script of a unit."""
        return self.characters if _IS_HAN.match(unit) else self.words


@dataclass(frozen=True, slots=True)
class Wording(Utterance):
    """What is said in one clip, and which words there are.

    Args:
        text, earlier: see :class:`multiemo.inputs.material.Utterance`; both get errors of the same kind.
        vocabulary: words to draw wrong ones from; where it has none of a script, the text's own are drawn.
    """

    vocabulary: Vocabulary = field(default_factory=Vocabulary)


def asr_errors(wording: Wording, rate: float, draw: Generator) -> Wording:
    """Errors of a speech recogniser: words (in Chinese, characters) substituted, deleted and inserted.

    Each word is hit with the chance ``rate``; wrong words are drawn by their frequency in the vocabulary, so they sound
    less alike than those of a real recogniser. One utterance gets either deletions or insertions, never both, so that
    no cheaper edit undoes two of them: the expected word error rate is ``rate``. Punctuation stays.

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
    """Slips of the keyboard, of the kinds of Damerau (1964): a letter beside the right one, swapped, or left out.

    A letter that is hit becomes one of its neighbours on a QWERTY keyboard, changes places with the next, or is
    dropped, with equal chances. Letters that are on no such key are swapped or dropped; for Chinese, which is typed
    by sound, that leaves out what is commonest there, a wrong character of the same sound.

    Args:
        wording: the clip.
        rate: share of the letters that are hit, 0..1.
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
    return replace(wording, text=text, earlier=tuple((same, change(said)) for same, said in wording.earlier))


def _another(choices: tuple[str, ...], unit: str, share: float) -> str | None:
    """The word at a share of the list, or the first after it that is not ``unit``."""
    first = int(share * len(choices))
    plain = unit.lower()
    words = (choices[(first + i) % len(choices)] for i in range(len(choices)))
    return next((word for word in words if word.lower() != plain), None)


def _neighbours() -> dict[str, str]:
    """{letter: those on the keys that touch its key}."""
    at = {key: (x + shift, float(y)) for y, (row, shift) in enumerate(_ROWS) for x, key in enumerate(row)}
    return {
        a: "".join(b for b in at if b != a and (at[a][0] - at[b][0]) ** 2 + (at[a][1] - at[b][1]) ** 2 <= _NEAR**2)
        for a in at
    }


_NEIGHBOURS = _neighbours()
