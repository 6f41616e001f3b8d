"""The words that a person would use for the labels of the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from multiemo.errors import ConfigError

#: Languages that labels can be put into.
Language = Literal["en", "zh"]

#: Chinese words of labels in their canonical spelling.
CHINESE: Mapping[str, str] = {
    "neutral": "中性", "calm": "平静", "happy": "快乐", "sad": "悲伤", "angry": "愤怒", "fearful": "恐惧",
    "disgusted": "厌恶", "surprised": "惊讶", "bored": "无聊", "frustrated": "沮丧", "excited": "兴奋",
    "contemptuous": "轻蔑", "worried": "担忧", "joyful": "喜悦", "mad": "恼怒", "peaceful": "安宁", "powerful": "有力",
    "scared": "害怕", "negative": "消极", "positive": "积极", "very negative": "非常消极", "very positive": "非常积极",
    "strongly negative": "强烈消极", "weakly negative": "略微消极", "weakly positive": "略微积极",
    "strongly positive": "强烈积极",
    "admiration": "钦佩", "amusement": "好笑", "anger": "愤怒", "annoyance": "恼火", "approval": "赞同",
    "caring": "关心",
    "confusion": "困惑", "curiosity": "好奇", "desire": "渴望", "disappointment": "失望", "disapproval": "反对",
    "disgust": "厌恶", "embarrassment": "尴尬", "excitement": "兴奋", "fear": "恐惧", "gratitude": "感激",
    "grief": "悲痛", "joy": "喜悦", "love": "爱", "nervousness": "紧张", "optimism": "乐观", "pride": "自豪",
    "realization": "恍然大悟", "relief": "释然", "remorse": "懊悔", "sadness": "悲伤", "surprise": "惊讶",
}  # fmt: skip


def spoken(labels: Sequence[str], language: Language) -> tuple[str, ...]:
    """The word of each label.

    Args:
        labels: labels of one set. Hyphens and underscores become spaces; other English names stay as they are.
        language: ``en`` or ``zh``. A label of a user's own set stays as it is.

    Raises:
        ConfigError: two labels have the same word.

    Example:
        >>> spoken(["happy", "very_sad"], "en"), spoken(["happy", "eerie"], "zh")
        (('happy', 'very sad'), ('快乐', 'eerie'))
    """
    plain = (label.replace("_", " ").replace("-", " ") for label in labels)
    words = tuple(CHINESE.get(label, label) if language == "zh" else label for label in plain)
    for word in words:
        if words.count(word) > 1:
            both = ", ".join(label for label, own in zip(labels, words, strict=True) if own == word)
            raise ConfigError(f"label_set: the labels {both} have the same word, {word!r}; rename one of them")
    return words
