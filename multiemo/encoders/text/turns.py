"""Takes the sequences of a text input apart again, into the utterance and the earlier turns of its dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from multiemo.inputs.base import of_type
from multiemo.preprocess.text import TextPreprocessor, clean
from multiemo.types import TextSpec


class TurnSplitter:
    """The inverse of a :class:`~multiemo.preprocess.text.TextPreprocessor` with the layout ``utterance_first``.

    Args:
        spec: input specification of the encoder.
        tokenizer: tokenizer of a pretrained model.
    """

    def __init__(self, spec: TextSpec, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        reader = TextPreprocessor(replace(spec, context=1, max_tokens=64), tokenizer)
        own, earlier = self.tokens("a"), self.tokens("b")
        alone = of_type(reader("a"), Tensor).tolist()
        at = next(i for i in range(len(alone)) if alone[i : i + len(own)] == own)
        self._start, self._end = at, alone[at + len(own) :]
        self._marks: dict[bool, list[int]] = {}
        for same_speaker in (True, False):
            laid = of_type(reader("a", [(same_speaker, "b")]), Tensor).tolist()[len(alone) :]
            self._marks[same_speaker] = laid[: len(laid) - len(earlier) - len(self._end)]

    def tokens(self, text: str) -> list[int]:
        """Token ids of a cleaned text; the names of special tokens are ordinary text."""
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        return list(self._tokenizer(clean(text), **options)["input_ids"])

    def split(self, ids: Sequence[int]) -> tuple[list[int], list[tuple[bool, list[int]]]]:
        """Split a sequence, of which tokens other than marks may be missing.

        Args:
            ids: token ids.

        Returns:
            The tokens of the utterance; and for each earlier turn, latest first, whether the same speaker said it, and
            its tokens.
        """
        width, left = len(self._end), list(ids[self._start :])
        found: list[list[int]] = []
        while left:
            end = next((i for i in range(len(left)) if left[i : i + width] == self._end), len(left))
            found.append(left[:end])
            left = left[end + width :]
        turns = []
        for part in found[1:]:
            own = part[: len(self._marks[True])] == self._marks[True]
            turns.append((own, part[len(self._marks[own]) :]))
        return (found[0] if found else []), turns
