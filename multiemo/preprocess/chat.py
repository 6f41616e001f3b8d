"""Chat templates: the marks that a language model expects around the turns of a conversation.

A template is rendered with placeholders, once for each order of speakers, and never sees a text. Templates run in the
sandbox of transformers' ``apply_chat_template``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from multiemo.errors import ConfigError, first_line
from multiemo.preprocess.pieces import PretrainedPieces

#: Roles of the person who speaks the utterance and of everyone else, by "same speaker".
_ROLES = {True: "user", False: "assistant"}
#: Message where a template demands a turn that nobody spoke.
_FILLER = "..."
#: Put before templates that print the date: a fixed one, so that the same text gives the same ids on any day.
_FIXED_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"


@dataclass(frozen=True, slots=True)
class ChatMarks:
    """The marks of one order of speakers.

    Args:
        around: ids before each turn, in order, and those after the last.
    """

    around: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of marks."""
        return sum(map(len, self.around))


class ChatTemplate:
    """The chat template of a tokenizer, applied to the turns of a dialogue.

    The speaker of the utterance is the ``user``, everyone else the ``assistant``, and the utterance is the last
    message. A template that accepts only alternating roles gets neighbouring turns of one role as one message, one turn
    a line, and ``...`` in place of a turn that is missing for the alternation: at the beginning, or between an earlier
    turn of the speaker and the utterance.

    Args:
        pieces: tokenizer with a chat template.
        model: name of its model, for messages.

    Raises:
        ConfigError: the template cannot be rendered, or loses, repeats or reorders turns.

    Attributes:
        before: ids that directly precede the utterance, whatever the context.
        after: ids that follow the utterance.
    """

    def __init__(self, pieces: PretrainedPieces, model: str) -> None:
        self._pieces, self._model = pieces, model
        self._alternating = False
        self._frames: dict[tuple[bool, ...], ChatMarks] = {}
        orders = [order for length in range(3) for order in product((True, False), repeat=length)]
        try:
            frames = [self.frame(order) for order in orders]
        except ConfigError:
            self._alternating = True
            self._frames.clear()
            frames = [self.frame(order) for order in orders]
        self.before = _common_end([frame.around[-2] for frame in frames])
        self.after = frames[0].around[-1]
        if not self.before or any(frame.around[-1] != self.after for frame in frames):
            raise self._broken("it does not mark where the last message begins and ends")

    def frame(self, speakers: Sequence[bool]) -> ChatMarks:
        """The marks around earlier turns and the utterance after them.

        Args:
            speakers: for each earlier turn, oldest first, whether the speaker of the utterance said it.

        Raises:
            ConfigError: the template cannot be rendered in this order, or loses, repeats or reorders turns.
        """
        key = tuple(speakers)
        if key not in self._frames:
            self._frames[key] = self._render(key)
        return self._frames[key]

    def _render(self, speakers: tuple[bool, ...]) -> ChatMarks:
        places = [f"\ue000{number}\ue001" for number in range(len(speakers) + 1)]
        messages = self._messages([*speakers, True], places)
        tokenizer = self._pieces.tokenizer
        try:
            template = tokenizer.get_chat_template()
            if "strftime_now" in template:
                template = _FIXED_DATE + template
            rendered = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
        except Exception as error:  # a template may raise anything
            raise self._broken(first_line(error)) from None
        around: list[str] = []
        for place in places:
            before, found, rendered = rendered.partition(place)
            if not found or place in rendered:
                raise self._broken("it loses, repeats or reorders messages")
            around.append(before)
        return ChatMarks(tuple(tuple(self._pieces.encode_marks(text)) for text in (*around, rendered)))

    def _messages(self, speakers: Sequence[bool], texts: Sequence[str]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        last = len(texts) - 1
        for number, (same, text) in enumerate(zip(speakers, texts, strict=True)):
            role = _ROLES[same]
            before = messages[-1]["role"] if messages else _ROLES[False]
            if self._alternating and role == before:
                if messages and number < last:
                    messages[-1]["content"] += "\n" + text
                    continue
                messages.append({"role": _ROLES[not same], "content": _FILLER})
            messages.append({"role": role, "content": text})
        return messages

    def _broken(self, reason: str) -> ConfigError:
        return ConfigError(
            f"encoders.text.context: the chat template of {self._model!r} cannot show earlier turns ({reason}); set "
            "context to 0, or remove the template from the tokenizer"
        )


def _common_end(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest sequence with which all end."""
    size = 0
    while all(len(s) > size for s in sequences) and len({s[-1 - size] for s in sequences}) == 1:
        size += 1
    return sequences[0][len(sequences[0]) - size :]
