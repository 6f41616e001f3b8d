"""Layouts of an utterance and the earlier turns of its dialogue in one sequence of token ids.

``utterance_first``, for models that read in both directions::

    [CLS] the utterance [SEP] [OTHER] the turn before it [SEP] [SELF] the turn before that [SEP] ...

``utterance_last``, for models in which a token sees only those before it::

    ... [SELF] the turn before that [SEP] [OTHER] the turn before it [SEP] the utterance [SEP]

``chat`` has the same order, with the marks of the tokenizer's chat template. In all of them the oldest turns are cut
first. An utterance that is too long by itself loses its end in the first layout, and its beginning in the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from multiemo.errors import ConfigError
from multiemo.preprocess.chat import ChatTemplate
from multiemo.preprocess.pieces import Pieces, PretrainedPieces
from multiemo.types import TextSpec

#: Token ids with the turn of each: 0 for the utterance, k for the k-th turn before it, -1 for marks.
Laid = list[tuple[int, int]]
#: Earlier turns as (same speaker, token ids), oldest first.
Turns = Sequence[tuple[bool, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class UtterancePlace:
    """Where the utterance lies in a sequence, so that an encoder finds it by the ids alone.

    Args:
        start: number of marks at the beginning of every sequence.
        prefix: number of ids of the prefix, directly before the utterance.
        before: where the utterance is last, the ids after whose last occurrence the prefix begins; if they do not
            occur, it begins after ``start``.
        after: number of marks after an utterance that is last.
    """

    start: int = 0
    prefix: int = 0
    before: tuple[int, ...] = ()
    after: int = 0

    def begin(self, ids: Sequence[int]) -> int:
        """Position at which the prefix begins, or without one the utterance, in the ids of one sequence."""
        width = len(self.before)
        places = range(len(ids) - self.after - width, self.start - 1, -1) if width else ()
        return next((i + width for i in places if tuple(ids[i : i + width]) == self.before), self.start)

    def to_json(self) -> dict[str, int | list[int]]:
        """Plain JSON values; :meth:`from_json` is the inverse."""
        return {"start": self.start, "prefix": self.prefix, "before": list(self.before), "after": self.after}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> UtterancePlace:
        """The inverse of :meth:`to_json`."""
        return cls(values["start"], values["prefix"], tuple(values["before"]), values["after"])


class SequenceLayout(Protocol):
    """One layout.

    Attributes:
        place: where the utterance lies.
        around: number of ids in the shortest sequence that are not the utterance.
        keeps_end: whether an utterance that is too long keeps its end, and not its beginning.
        marks: ids that the layout adds to the texts.
    """

    place: UtterancePlace
    around: int
    keeps_end: bool
    marks: frozenset[int]

    def lay(self, own: Sequence[int], turns: Turns, size: int) -> Laid:
        """Lay out an utterance and earlier turns in at most ``size`` ids.

        Args:
            own: ids of the utterance.
            turns: earlier turns; one without ids is skipped.
            size: largest number of ids, more than ``around``.
        """
        ...


def make_layout(spec: TextSpec, pieces: Pieces, prefix: Sequence[int]) -> SequenceLayout:
    """The layout that a spec names.

    Args:
        spec: input specification of a text encoder.
        pieces: its tokenizer.
        prefix: ids of the prefix.

    Raises:
        ConfigError: the spec requires a chat template that the tokenizer does not have, or a broken one.
    """
    if spec.layout == "utterance_first":
        return _UtteranceFirst(pieces, prefix)
    if spec.layout == "utterance_last":
        return _UtteranceLast(pieces, prefix)
    if not isinstance(pieces, PretrainedPieces):
        raise ConfigError("encoders.text: only the tokenizer of a pretrained model has a chat template")
    return _ChatTurns(ChatTemplate(pieces, spec.tokenizer), prefix)


def _of_turn(ids: Sequence[int], turn: int) -> Laid:
    return [(i, turn) for i in ids]


class _UtteranceFirst:
    keeps_end = False

    def __init__(self, pieces: Pieces, prefix: Sequence[int]) -> None:
        self._pieces, self._prefix = pieces, prefix
        self.place = UtterancePlace(start=len(pieces.start), prefix=len(prefix))
        self.around = len(pieces.start) + len(prefix) + len(pieces.end)
        self.marks = frozenset([*pieces.start, *pieces.end])

    def lay(self, own: Sequence[int], turns: Turns, size: int) -> Laid:
        pieces = self._pieces
        laid = _of_turn([*pieces.start, *self._prefix], -1)
        laid += [*_of_turn(own[: size - self.around], 0), *_of_turn(pieces.end, -1)]
        for number, (same_speaker, ids) in enumerate(reversed(turns), start=1):
            if ids and len(laid) < size:
                laid += [*_of_turn(pieces.mark(same_speaker), -1), *_of_turn(ids, number), *_of_turn(pieces.end, -1)]
        return laid[:size]


class _UtteranceLast:
    keeps_end = True

    def __init__(self, pieces: Pieces, prefix: Sequence[int]) -> None:
        self._pieces, self._prefix = pieces, prefix
        self.place = UtterancePlace(len(pieces.start), len(prefix), tuple(pieces.end), len(pieces.end))
        self.around = len(pieces.start) + len(prefix) + len(pieces.end)
        self.marks = frozenset([*pieces.start, *pieces.end])

    def lay(self, own: Sequence[int], turns: Turns, size: int) -> Laid:
        pieces = self._pieces
        laid = [*_of_turn(self._prefix, -1), *_of_turn(own[-(size - self.around) :], 0), *_of_turn(pieces.end, -1)]
        for number, (same_speaker, ids) in enumerate(reversed(turns), start=1):
            mark = pieces.mark(same_speaker)
            room = size - len(pieces.start) - len(laid) - len(mark) - len(pieces.end)
            if room < 1:
                break
            if ids:
                turn = [*_of_turn(mark, -1), *_of_turn(ids[-room:], number), *_of_turn(pieces.end, -1)]
                laid = [*turn, *laid]
        return [*_of_turn(pieces.start, -1), *laid]


class _ChatTurns:
    keeps_end = True

    def __init__(self, template: ChatTemplate, prefix: Sequence[int]) -> None:
        self._template, self._prefix = template, prefix
        alone = template.frame(())
        self.place = UtterancePlace(len(alone.around[0]), len(prefix), template.before, len(template.after))
        self.around = alone.size + len(prefix)
        self.marks = frozenset(i for ids in alone.around for i in ids)

    def lay(self, own: Sequence[int], turns: Turns, size: int) -> Laid:
        numbered = [(number, same, ids) for number, (same, ids) in enumerate(reversed(turns), start=1) if ids][::-1]
        while numbered:
            frame = self._template.frame([same for _, same, _ in numbered])
            length = frame.size + len(self._prefix) + len(own) + sum(len(ids) for _, _, ids in numbered)
            if length <= size:
                break
            numbered = numbered[1:]
        frame = self._template.frame([same for _, same, _ in numbered])
        laid: Laid = []
        for marks, (number, _, ids) in zip(frame.around, numbered, strict=False):
            laid += [*_of_turn(marks, -1), *_of_turn(ids, number)]
        laid += _of_turn([*frame.around[-2], *self._prefix], -1)
        return [*laid, *_of_turn(own[-(size - self.around) :], 0), *_of_turn(frame.around[-1], -1)]
