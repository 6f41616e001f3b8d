"""Compose utterances in English and Chinese from a grammar of everyday situations and graded emotional wordings.

An utterance is a situation plus a wording of its emotion: strong ("I am furious"), medium ("this annoys me") or faint
("not again"). The situations themselves are neutral. A neutral utterance adds a matter-of-fact remark, and sometimes
denies an emotion ("I'm not angry"), so that the mere presence of a cue word does not determine the label. Wordings
follow the appraisal themes of Lazarus 1991 (Emotion and Adaptation): a gain (happy), an irrevocable loss (sad), a
demeaning offence or an obstacle (angry), an uncertain threat (fearful).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class SyntheticUtterance:
    """The text of an utterance and its syllables.

    Args:
        text: the transcript.
        syllables: one integer per syllable, for :func:`multiemo.synthetic.voice.speak`.
        tones: one tone per syllable, 0..4.
    """

    text: str
    syllables: tuple[int, ...]
    tones: tuple[int, ...]


_SITUATIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("my sister", "the teacher", "our neighbour", "my boss", "the doctor", "a friend", "my brother", "grandma",
         "the new guy", "the driver", "my cousin", "the landlord"),
        ("called me", "came by", "sent a letter", "read the report", "moved the car", "changed the plan",
         "cooked dinner", "left the office", "opened the box", "talked about the trip", "took the dog", "wrote back"),
        ("this morning", "last night", "today", "at noon", "on Friday", "again", "after work", "before school",
         "an hour ago", "at the station"),
    ),
    "zh": (
        ("姐姐", "老师", "邻居", "老板", "医生", "朋友", "弟弟", "房东", "奶奶", "新同事", "司机", "表哥"),
        ("早上", "昨晚", "今天", "中午", "周五", "刚才", "下班后", "上学前", "一小时前", "在车站"),
        ("打来电话", "来过这里", "寄了一封信", "看了报告", "把车开走了", "改了计划", "做了晚饭", "离开办公室",
         "打开了盒子", "说起旅行", "带走了狗", "回了消息"),
    ),
}  # fmt: skip

#: {language: {emotion: (strong, medium, faint wordings)}}.
_WORDINGS: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "en": {
        "happy": (
            ("I am so happy", "this is wonderful", "what wonderful news", "I love it so much", "I'm so glad and happy"),
            ("I'm really glad", "that's great news", "it was fun, I love it", "great, that made me smile"),
            ("it was nice", "that's good", "lucky me"),
        ),
        "sad": (
            (
                "I am so sad",
                "I can't stop crying",
                "it broke my heart",
                "I miss her so much and I cry",
                "I feel so lonely and sad",
            ),
            ("I miss those days", "it makes me sad", "I feel lonely", "what a pity, I miss it"),
            ("it's not the same", "it's all gone", "if only"),
        ),
        "angry": (
            ("I am furious", "I hate this, damn it", "how dare they", "I'm so angry", "shut up, I hate it"),
            ("it makes me angry", "this is so unfair, damn", "how dare they do that", "I'm sick of it"),
            ("come on, not again", "stop it", "enough"),
        ),
        "fearful": (
            (
                "I am terrified",
                "I'm so scared",
                "help, I'm scared",
                "I'm afraid something terrible will happen",
                "I'm shaking, I'm so afraid",
            ),
            ("I'm afraid of it", "I'm really worried", "it scared me", "I'm worried, what if it happens"),
            ("what if it's bad", "I'm not sure it's safe", "be careful"),
        ),
        "neutral": (
            ("that is the usual plan", "it is on the list", "the number is on the table", "that's how it works"),
            ("I will check the time", "it takes ten minutes", "we can do it tomorrow", "the list is here"),
            ("okay", "I see", "as usual"),
        ),
    },
    "zh": {
        "happy": (
            ("我太高兴了", "真是太棒了", "我好开心啊", "太好了,我真喜欢", "开心得想跳起来"),
            ("我挺高兴的", "真是好消息", "我很喜欢", "让我笑了好久"),
            ("还不错", "挺好的", "运气真好"),
        ),
        "sad": (
            ("我太难过了", "我一直在哭", "我的心都碎了", "我好想她,想哭", "我好难过好孤单"),
            ("让我很难过", "我觉得很孤单", "真可惜,我好想念", "忍不住哭了"),
            ("再也不一样了", "都没有了", "要是还在就好了"),
        ),
        "angry": (
            ("我气死了", "真是太可恶了", "凭什么这样,气死我", "我非常生气", "滚开,我讨厌这样"),
            ("让我很生气", "太不公平了,可恶", "凭什么", "我讨厌这样"),
            ("怎么又这样", "够了", "别再来了"),
        ),
        "fearful": (
            ("我吓死了", "我好害怕", "救命,我好怕", "我怕会出大事", "我怕得发抖"),
            ("我有点害怕", "我很担心", "吓了我一跳", "我担心会出事"),
            ("万一不好呢", "不知道安不安全", "小心一点"),
        ),
        "neutral": (
            ("按原来的计划", "都在单子上", "号码在桌子上", "一般都是这样"),
            ("我看一下时间", "大概十分钟", "明天再办也行", "单子在这里"),
            ("好的", "知道了", "和平时一样"),
        ),
    },
}

_DENIALS: dict[str, tuple[str, ...]] = {
    "en": ("I'm not angry", "I'm not scared", "I'm not sad about it", "I'm neither happy nor sad"),
    "zh": ("我没有生气", "我不害怕", "我不难过", "我没什么高兴不高兴的"),
}
_OPENERS: dict[str, tuple[str, ...]] = {
    "en": ("well", "you know", "so", "listen", "oh", "look"),
    "zh": ("嗯", "你知道吗", "那个", "听我说", "哦", "你看"),
}
#: Probability that the emotion is expressed twice.
_REPEAT_CHANCE = 0.4
_TIME_SLOT: dict[str, int] = {"en": 2, "zh": 1}
#: {English vowel letters: index into ``cues.VOWELS``}.
_LETTERS: dict[str, int] = {"ee": 0, "ea": 0, "i": 1, "e": 2, "a": 3, "o": 5, "oo": 7, "ou": 6, "u": 8, "y": 1}


def make_utterance(emotion: str, strength: float, language: str, rng: np.random.Generator) -> SyntheticUtterance:
    """Compose an utterance.

    Args:
        emotion: the emotion that the words show.
        strength: of the emotion, 0..1. Above 0.7 strong wordings are likely, below 0.4 faint ones.
        language: ``en`` or ``zh``.
        rng: random number generator.

    Returns:
        Text and syllables.

    Example:
        >>> make_utterance("happy", 1.0, "zh", np.random.default_rng(0)).text.endswith("。")
        True
    """
    situation = [str(rng.choice(words)) for words in _SITUATIONS[language]]
    if rng.random() < 0.7:  # the time is often left out
        del situation[_TIME_SLOT[language]]
    if emotion == "neutral" and rng.random() < 0.12:
        wording = str(rng.choice(_DENIALS[language]))
    else:
        grade = int(np.digitize(1 - strength + rng.normal(0, 0.2), (0.3, 0.6)))
        wording = str(rng.choice(_WORDINGS[language][emotion][grade]))
        if rng.random() < _REPEAT_CHANCE:
            more = str(rng.choice(_WORDINGS[language][emotion][min(grade, 1)]))
            wording = wording if more == wording else f"{wording}, {more}"
    opener = str(rng.choice(_OPENERS[language])) if rng.random() < 0.25 else ""
    text = _join(opener, situation, wording, language, first=bool(rng.random() < 0.4))
    kinds, tones = _syllables(text, language)
    return SyntheticUtterance(text, kinds, tones)


def _join(opener: str, situation: list[str], wording: str, language: str, *, first: bool) -> str:
    """Join the parts to a sentence. ``first`` puts the wording before the situation."""
    if language == "zh":
        clause = "".join(situation)
        parts = [p for p in ((opener, wording, clause) if first else (opener, clause, wording)) if p]
        return "，".join(p.replace(", ", ",").replace(",", "，") for p in parts) + "。"
    clause = " ".join(situation)
    parts = [p for p in ((opener, wording, clause) if first else (opener, clause, wording)) if p]
    text = ", ".join(parts) + "."
    return text[0].upper() + text[1:]


def _syllables(text: str, language: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the syllables as numbers, and their tones: groups of vowel letters in English, characters in Chinese.

    In Chinese both are derived from the character code, not from its pronunciation: the voice is not intelligible.
    """
    if language == "zh":
        codes = [ord(c) for c in text if c.isalnum()]
        return tuple(c % 600 for c in codes), tuple(1 + c % 4 for c in codes)
    kinds = []
    for match in re.finditer(r"([^aeiouy\W]*)(ee|ea|oo|ou|[aeiouy])[aeiouy]*", text.lower()):
        onset = sum(ord(c) for c in match.group(1)) % 60 if match.group(1) else 4
        kinds.append(10 * onset + _LETTERS[match.group(2)])
    return tuple(kinds), (0,) * len(kinds)
