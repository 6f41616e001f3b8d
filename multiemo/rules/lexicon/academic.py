"""Formats of academic lexicons: how each is recognised, and what a line of it says about a word.

The lexicons themselves are not part of this package, because their licences do not allow it.

- DUTIR (Xu et al. 2008, 情感词汇本体的构造): 21 classes with strengths 1, 3, 5, 7, 9.
- HowNet sentiment word lists (知网情感分析用词语集): lists of positive and negative words.
- CVAW (Yu et al. 2016, Building Chinese affective resources in valence-arousal dimensions, NAACL): ratings of 1 to 9.
- NRC EmoLex (Mohammad & Turney 2013): words, emotions, and 0 or 1.
- VADER's format (Hutto & Gilbert 2014): words and mean ratings of -4 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from multiemo.rules.lexicon.words import Entry, spread

#: {class of DUTIR: what it means in our emotions}. Of its seven groups, 好 (respect, praise, trust, love, wishes)
#: counts as weaker happiness, and 恶 as disgust, with anger or sadness where the class is mixed.
DUTIR: dict[str, dict[str, float]] = {
    "PA": {"happy": 1.0}, "PE": {"happy": 0.5, "neutral": 0.3}, "PD": {"happy": 0.4}, "PH": {"happy": 0.5},
    "PG": {"happy": 0.4}, "PB": {"happy": 0.8}, "PK": {"happy": 0.5},
    "NA": {"angry": 1.0},
    "NB": {"sad": 1.0}, "NJ": {"sad": 0.8}, "NH": {"sad": 0.7}, "PF": {"sad": 0.6},
    "NI": {"fearful": 0.8}, "NC": {"fearful": 1.0}, "NG": {"fearful": 0.6},
    "NE": {"disgusted": 0.5, "sad": 0.3, "angry": 0.2}, "ND": {"disgusted": 1.0},
    "NN": {"disgusted": 0.7, "angry": 0.3},
    "NK": {"disgusted": 0.5, "angry": 0.4}, "NL": {"disgusted": 0.5, "fearful": 0.3},
    "PC": {"surprised": 1.0},
}  # fmt: skip
#: {value of DUTIR's column 极性: sign of the valence}: neutral, positive, negative, both.
_DUTIR_POLARITY = {"0": 0.0, "1": 1.0, "2": -1.0, "3": 0.0}
_DUTIR_STRONGEST = 9.0
#: {emotion of EmoLex: what it means in our emotions}. Anticipation has no counterpart.
EMOLEX: dict[str, dict[str, float]] = {
    "anger": {"angry": 0.8}, "disgust": {"disgusted": 0.8}, "fear": {"fearful": 0.8}, "joy": {"happy": 0.8},
    "sadness": {"sad": 0.8}, "surprise": {"surprised": 0.8}, "trust": {"happy": 0.2}, "anticipation": {},
}  # fmt: skip
_EMOLEX_SIGNS = {"positive": 0.5, "negative": -0.5}
#: Valence of a word of HowNet's lists, which do not rate it.
_HOWNET_VALENCE = 0.5
_CVAW_MIDDLE, _CVAW_RANGE = 5.0, 4.0
_VADER_RANGE = 4.0


class BadLineError(Exception):
    """A line does not fit the format; the message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file.

    Args:
        number: number of the line, from 1.
        cells: its cells, stripped.
    """

    number: int
    cells: tuple[str, ...]


class Format(Protocol):
    """A format of lexicons."""

    @classmethod
    def recognise(cls, name: str, head: Sequence[Line]) -> Format | None:
        """The format with what is known about this file, or ``None`` if the file is in another format."""
        ...

    def entry(self, line: Line) -> Entry | None:
        """The entry of a line; ``None`` for a header and for a line that says nothing.

        Raises:
            BadLineError: the line does not fit the format.
        """
        ...


@dataclass(frozen=True, slots=True)
class HowNet:
    """A list of HowNet: one word a line under a title.

    Args:
        valence: sign of the list, and strength.
    """

    valence: float
    NAME: ClassVar[str] = "HowNet"

    @staticmethod
    def sign(name: str) -> float:
        """1 for the name of a positive list, -1 for a negative one, 0 for another name."""
        return 1.0 if "正面" in name else -1.0 if "负面" in name else 0.0

    @classmethod
    def recognise(cls, name: str, head: Sequence[Line]) -> Format | None:
        """As :meth:`Format.recognise`."""
        sign = cls.sign(name)
        return cls(_HOWNET_VALENCE * sign) if sign else None

    def entry(self, line: Line) -> Entry | None:
        """As :meth:`Format.entry`."""
        word = line.cells[0]
        if line.number == 1 and self.sign(word):
            return None
        return Entry(word, spread(self.valence), self.valence, None, self.NAME)


@dataclass(frozen=True, slots=True)
class Dutir:
    """The Chinese affective lexicon ontology of DUTIR.

    Args:
        columns: positions of 词语, 情感分类, 强度 and 极性.
    """

    columns: tuple[int, int, int, int]
    NAME: ClassVar[str] = "DUTIR"

    @classmethod
    def recognise(cls, name: str, head: Sequence[Line]) -> Format | None:
        """As :meth:`Format.recognise`."""
        names = ("词语", "情感分类", "强度", "极性")
        if not head or not set(names) <= set(head[0].cells):
            return None
        word, kind, strength, polarity = (head[0].cells.index(column) for column in names)
        return cls((word, kind, strength, polarity))

    def entry(self, line: Line) -> Entry | None:
        """As :meth:`Format.entry`."""
        if line.number == 1:
            return None
        word, kind, strength, polarity = (_cell(line, at) for at in self.columns)
        if kind not in DUTIR:
            raise BadLineError(f"情感分类: {kind!r} is none of {', '.join(DUTIR)}")
        share = _number(strength, "强度", 0, _DUTIR_STRONGEST) / _DUTIR_STRONGEST
        if polarity not in _DUTIR_POLARITY:
            raise BadLineError(f"极性: {polarity!r} is none of {', '.join(_DUTIR_POLARITY)}")
        emotions = {emotion: value * (0.4 + 0.6 * share) for emotion, value in DUTIR[kind].items()}
        return Entry(word, emotions, _DUTIR_POLARITY[polarity] * (0.3 + 0.5 * share), None, self.NAME)


@dataclass(frozen=True, slots=True)
class Cvaw:
    """Chinese valence-arousal words.

    Args:
        columns: positions of the word, mean valence and mean arousal.
    """

    columns: tuple[int, int, int]
    NAME: ClassVar[str] = "CVAW"

    @classmethod
    def recognise(cls, name: str, head: Sequence[Line]) -> Format | None:
        """As :meth:`Format.recognise`."""
        names = [cell.lower() for cell in head[0].cells] if head else []
        if not {"word", "valence_mean", "arousal_mean"} <= set(names):
            return None
        return cls((names.index("word"), names.index("valence_mean"), names.index("arousal_mean")))

    def entry(self, line: Line) -> Entry | None:
        """As :meth:`Format.entry`."""
        if line.number == 1:
            return None
        word, valence, arousal = (_cell(line, at) for at in self.columns)
        pleasant = (_number(valence, "Valence_Mean", 1, 9) - _CVAW_MIDDLE) / _CVAW_RANGE
        aroused = (_number(arousal, "Arousal_Mean", 1, 9) - _CVAW_MIDDLE) / _CVAW_RANGE
        return Entry(word, spread(pleasant, aroused), pleasant, aroused, self.NAME)


@dataclass(frozen=True, slots=True)
class EmoLex:
    """The NRC word-emotion association lexicon, one association a line."""

    NAME: ClassVar[str] = "NRC EmoLex"

    @classmethod
    def recognise(cls, name: str, head: Sequence[Line]) -> Format | None:
        """As :meth:`Format.recognise`."""
        known = {*EMOLEX, *_EMOLEX_SIGNS}
        return cls() if any(len(line.cells) == 3 and line.cells[1] in known for line in head) else None

    def entry(self, line: Line) -> Entry | None:
        """As :meth:`Format.entry`. Associations of one word are joined when the entries are."""
        if len(line.cells) != 3:
            raise BadLineError(f"has {len(line.cells)} cells; expected a word, an emotion, and 0 or 1")
        word, emotion, flag = line.cells
        if emotion not in EMOLEX and emotion not in _EMOLEX_SIGNS:
            raise BadLineError(f"{emotion!r} is none of {', '.join((*EMOLEX, *_EMOLEX_SIGNS))}")
        if flag not in ("0", "1"):
            raise BadLineError(f"the association must be 0 or 1, not {flag!r}")
        if flag == "0":
            return None
        return Entry(word, EMOLEX.get(emotion, {}), _EMOLEX_SIGNS.get(emotion), None, self.NAME)


@dataclass(frozen=True, slots=True)
class VaderList:
    """A list of words and mean ratings."""

    NAME: ClassVar[str] = "VADER format"

    @classmethod
    def recognise(cls, name: str, head: Sequence[Line]) -> Format | None:
        """As :meth:`Format.recognise`."""
        return cls() if head and all(len(line.cells) >= 2 and _is_number(line.cells[1]) for line in head) else None

    def entry(self, line: Line) -> Entry | None:
        """As :meth:`Format.entry`."""
        value = _number(_cell(line, 1), "the mean rating", -_VADER_RANGE, _VADER_RANGE) / _VADER_RANGE
        return Entry(_cell(line, 0), spread(value), value, None, self.NAME)


#: The formats, in the order in which they are tried.
FORMATS: tuple[type[HowNet] | type[Dutir] | type[Cvaw] | type[EmoLex] | type[VaderList], ...] = (
    HowNet,
    Dutir,
    Cvaw,
    EmoLex,
    VaderList,
)


def _cell(line: Line, at: int) -> str:
    """A cell of a line.

    Raises:
        BadLineError: it is missing or empty.
    """
    if at >= len(line.cells) or not line.cells[at]:
        raise BadLineError(f"column {at + 1} is empty")
    return line.cells[at]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, what: str, least: float, most: float) -> float:
    """A cell as a number.

    Raises:
        BadLineError: it is none, or outside of the range.
    """
    if not _is_number(cell) or not least <= float(cell) <= most:
        raise BadLineError(f"{what}: must be a number within {least:g} and {most:g}, got {cell!r}")
    return float(cell)
