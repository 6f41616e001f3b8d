"""The fixed prompts of zero-shot branches, and the model's own chat format around them.

Their wording is part of the method: a change of it changes every result. A checkpoint stores the prompt that it was
made with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from multiemo.errors import ConfigError, first_line
from multiemo.labels.words import Language, spoken
from multiemo.types import Modality

#: Where the clip stands in a prompt.
SLOT = "<<clip>>"

#: {language: {modality: the request}}; ``{labels}`` are the words of the labels, in the order of the label set.
REQUESTS: Mapping[str, Mapping[Modality, str]] = {
    "en": {
        "text": (
            f"Read these lines of a conversation.\n\n{SLOT}\nWhich one of these words best describes the emotion that "
            "the speaker expresses in the last line: {labels}? Answer with this word only."
        ),
        "speech": (
            f"{SLOT}Listen to this voice. Which one of these words best describes the emotion that the speaker "
            "expresses: {labels}? Answer with this word only."
        ),
        "face": (
            f"{SLOT}Look at the face of this person. Which one of these words best describes the emotion that the face "
            "expresses: {labels}? Answer with this word only."
        ),
    },
    "zh": {
        "text": (
            f"请阅读下面的对话。\n\n{SLOT}\n说话人在最后一句话中表达的情绪，用下面哪一个词形容最合适：{{labels}}？"
            "只回答这个词。"
        ),
        "speech": f"{SLOT}请听这段语音。说话人表达的情绪，用下面哪一个词形容最合适：{{labels}}？只回答这个词。",
        "face": f"{SLOT}请看这个人的脸。这张脸表达的情绪，用下面哪一个词形容最合适：{{labels}}？只回答这个词。",
    },
}
#: {language: what stands before and after the words of the speaker, and of anyone else}.
TURNS: Mapping[str, Mapping[bool, tuple[str, str]]] = {
    "en": {True: ('Speaker: "', '"\n'), False: ('Other: "', '"\n')},
    "zh": {True: ("说话人：“", "”\n"), False: ("对方：“", "”\n")},
}
#: {language: what separates the labels of the list}.
_COMMA = {"en": ", ", "zh": "、"}
#: {language: what follows the request, and precedes the answer, for a model without a chat template}.
_PLAIN_END = {"en": ("\nAnswer:", " "), "zh": ("\n回答：", "")}
#: Some templates write today's date into every prompt, or ask for a chain of thought.
_TEMPLATE_OPTIONS = {"date_string": "26 Jul 2024", "enable_thinking": False}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in a model's own format.

    Args:
        before: everything before the clip.
        after: everything between the clip and the answer.
        answers: the answer that stands for each label.
        language: language of the prompt.
    """

    before: str
    after: str
    answers: tuple[str, ...]
    language: Language

    @property
    def digest(self) -> str:
        """SHA-256 of the prompt, in hexadecimal."""
        turns = [list(pair) for pair in TURNS[self.language].values()]
        return hashlib.sha256(json.dumps([asdict(self), turns], ensure_ascii=False).encode()).hexdigest()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Prompt:
        """The inverse of ``dataclasses.asdict``."""
        return cls(values["before"], values["after"], tuple(values["answers"]), values["language"])


def request(modality: Modality, labels: Sequence[str], language: Language) -> str:
    """The request for one modality, with :data:`SLOT` where the clip stands.

    Args:
        modality: what the clip consists of.
        labels: labels, in the order of the label set.
        language: language of the prompt.

    Raises:
        ConfigError: two labels have the same word.

    Example:
        >>> request("speech", ["happy", "sad"], "en").partition("? ")[0][-12:]
        ': happy, sad'
    """
    return REQUESTS[language][modality].format(labels=_COMMA[language].join(spoken(labels, language)))


def render(
    template: Any,
    modality: Modality,
    labels: Sequence[str],
    language: Language,
    *,
    placeholder: str = "",
    count: int = 1,
) -> Prompt:
    """Write the prompt in a model's own format.

    Args:
        template: the tokenizer or processor. Its chat template is used, if it has one.
        modality: what the clip consists of.
        labels: labels, in the order of the label set.
        language: language of the prompt.
        placeholder: ``audio`` or ``image`` for a clip that is not text. The prompt then begins with the model's own
            marks for it, which are a part of :attr:`Prompt.before`.
        count: number of such marks.

    Raises:
        ConfigError: two labels have the same word, the chat template does not work, or there is no mark.
    """
    words, asked = spoken(labels, language), request(modality, labels, language)
    if not getattr(template, "chat_template", None):
        end, space = _PLAIN_END[language]
        before, _, after = (asked + end).partition(SLOT)
        if placeholder:
            before = _mark(template, modality, placeholder) * count + "\n" + before
        return Prompt(before, after, tuple(space + word for word in words), language)
    content: Any = asked
    if placeholder:
        content = [*({"type": placeholder} for _ in range(count)), {"type": "text", "text": asked}]
    try:
        text = template.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True, **_TEMPLATE_OPTIONS
        )
    except Exception as error:  # templates are programs of the model's authors
        raise ConfigError(
            f"encoders.{modality}.model: its chat template does not take a single message of the user: "
            f"{first_line(error)}; name another model"
        ) from None
    before, slot, after = str(text).partition(SLOT)
    if not slot:
        raise ConfigError(f"encoders.{modality}.model: its chat template drops the prompt; name another model")
    return Prompt(before, after, words, language)


def _mark(template: Any, modality: Modality, placeholder: str) -> str:
    """The token that stands for a clip in a prompt without a chat template."""
    if not (mark := getattr(template, f"{placeholder}_token", None)):
        raise ConfigError(
            f"encoders.{modality}.model: its processor has neither a chat template nor a token for {placeholder}; name "
            "another model"
        )
    return str(mark)


def answer_ids(tokenizer: Any, prompt: Prompt) -> tuple[list[int], list[list[int]]]:
    """Token ids of what stands between the clip and the answer, and of each of the C answers.

    A token may reach across the border to the answer: everything from the first difference on is the answer.

    Args:
        tokenizer: tokenizer of the language model.
        prompt: the prompt.
    """
    whole = [token_ids(tokenizer, prompt.after + answer) for answer in prompt.answers]
    common = 0
    while common < min(map(len, whole)) - 1 and len({ids[common] for ids in whole}) == 1:
        common += 1
    return whole[0][:common], [ids[common:] for ids in whole]


def token_ids(tokenizer: Any, text: str, *, special: bool = False) -> list[int]:
    """Token ids of a part of the prompt.

    Args:
        tokenizer: the tokenizer.
        text: the part.
        special: add what the tokenizer puts before a text.
    """
    ids = list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])
    ends = special and len(ids) > 1 and ids[-1] in (tokenizer.eos_token_id, tokenizer.sep_token_id)
    return ids[:-1] if ends else ids
