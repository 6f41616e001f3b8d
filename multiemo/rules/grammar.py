"""Words that change what a feeling word says: degree, negation, contrast and questions, in English and Chinese.

The English degrees and negations are the usual ones of sentiment rules (Hutto & Gilbert 2014, section 3.3); the Chinese
ones are written from general knowledge of the language. A strength is a factor for the feeling word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: ``degree`` precedes a feeling and ``after`` follows it; ``contrast`` weighs what comes after it more than what comes
#: before; ``concession`` opens a clause that is set aside; ``join`` lets a negation reach the next feeling; ``asks``
#: ends a question; ``softens`` makes a sentence tentative; ``other`` is a fixed phrase that contains such a word
#: without meaning it. ``never`` is a negation that strengthens a feeling which is compared ("never been so happy").
Role: TypeAlias = Literal[
    "degree", "after", "negation", "never", "contrast", "concession", "join", "asks", "softens", "other"
]


@dataclass(frozen=True, slots=True)
class Function:
    """What a word does to the feeling words around it.

    Args:
        role: see :data:`Role`.
        strength: factor of a degree, or of a negation that is weak ("不怎么", not very).
    """

    role: Role
    strength: float = 1.0


def _words(role: Role, words: str, strength: float = 1.0) -> dict[str, Function]:
    """{word: function} of words that are separated by commas."""
    return dict.fromkeys((word.strip() for word in words.split(",")), Function(role, strength))


_ENGLISH = {
    **_words(
        "degree",
        "very, really, so, too, totally, completely, absolutely, extremely, incredibly, deeply, truly, "
        "super, terribly, awfully, utterly, entirely, highly, particularly, especially, such, quite, "
        "pretty, damn, freaking, fucking, most, more, real, way, hella, insanely, crazy, seriously, "
        "unbelievably, remarkably, exceptionally, greatly, couldn't be more, could not be more, can't be more, "
        "cannot be more",
        1.3,
    ),
    **_words(
        "degree",
        "a bit, a little, a little bit, little, slightly, somewhat, kind of, kinda, sort of, sorta, "
        "fairly, rather, almost, nearly, partly, less, mildly, more or less, just a little",
        0.6,
    ),
    **_words(
        "negation",
        "not, no, none, nothing, nobody, nowhere, neither, cannot, without, hardly, barely, "
        "scarcely, rarely, seldom, aint, arent, cant, couldnt, didnt, doesnt, dont, hadnt, hasnt, havent, "
        "isnt, mustnt, shouldnt, wasnt, werent, wont, wouldnt, ain't, aren't, can't, couldn't, didn't, "
        "doesn't, don't, hadn't, hasn't, haven't, isn't, mustn't, needn't, shouldn't, wasn't, weren't, "
        "won't, wouldn't, anything but, far from, no longer, lack of, stop, stopped, quit",
    ),
    **_words("never", "never"),
    **_words(
        "contrast",
        "but, however, yet",
    ),
    **_words(
        "concession",
        "although, though, even though, even if, despite",
    ),
    **_words(
        "join",
        "or, nor, and, &",
    ),
    **_words(
        "other",
        "not only, no doubt, without a doubt, without doubt, no wonder, can't help, cannot help, "
        "can't help but, nothing but, can't stop, couldn't stop, even so, so that, so what, so far, "
        "so long, so much for, not to mention, why not, why don't you, why don't we, all but, no one, "
        "such as, no matter, more than, and so, so i, so you, so he, so she, so we, so they, so what's, "
        "so how, so then, so uh, so um, so anyway, no no, i don't know, don't know, dunno",
    ),
}
_CHINESE = {
    **_words(
        "degree",
        "极其, 极度, 极, 无比, 万分, 最, 超级, 超, 特别, 非常, 格外, 分外, 十分, 异常, 相当, 巨, 爆, 贼, 老, 不能更",
        1.5,
    ),
    **_words(
        "degree",
        "很, 太, 好, 真, 真的, 真是, 蛮, 挺, 更, 更加, 越来越, 这么, 那么, 多么, 如此, 实在, 确实, 简直, "
        "完全, 那样, 可, 满心, 满, 充满, 深感, 颇, 颇为, 都",
        1.25,
    ),
    **_words(
        "degree",
        "有点, 有点儿, 有些, 一点, 一点儿, 稍微, 略微, 略, 稍, 些许, 几乎, 差点, 比较, 还算, 微微",
        0.6,
    ),
    **_words(
        "after",
        "死了, 极了, 坏了, 透了, 爆了, 到爆, 得不得了, 得要命, 得很, 得要死, 疯了, 惨了, 死我了, 翻了, "
        "爆棚, 不已, 万分",
        1.5,
    ),
    **_words(
        "negation",
        "不, 没, 没有, 未, 别, 勿, 莫, 甭, 非, 无, 并不, 并没有, 并非, 毫不, 毫无, 绝不, 决不, 从不, "
        "从来不, 不是, 不再, 不会, 不能, 不可能, 不要, 不必, 不用, 不该, 不想, 没什么, 没什么好, 别再, 不够, "
        "不觉得, 没法, 无法, 难以, 谈不上, 缺乏, 哪有, 一点都不, 一点也不, 一点儿也不",
    ),
    **_words(
        "never",
        "从没, 从没有, 从未, 从未有, 从来没, 从来没有, 从来都没, 从来都没有, 从来就没, 从来就没有, 没见过, 没有见过",
    ),
    **_words("negation", "不怎么, 没怎么, 不大, 不甚, 不算, 算不上", 0.6),
    **_words(
        "contrast",
        "但是, 但, 可是, 不过, 然而, 却, 反而, 只可惜",
    ),
    **_words(
        "concession",
        "虽然, 尽管, 虽说, 虽, 即使, 就算, 哪怕",
    ),
    **_words(
        "join",
        "和, 与, 及, 以及, 、, 或, 或者",
    ),
    **_words(
        "asks",
        "吗, 么, 嘛",
    ),
    **_words(
        "softens",
        "吧, 好像, 似乎, 可能, 也许, 大概, 如果, 要是, 假如",
    ),
    **_words(
        "other",
        "不仅, 不但, 不只, 不管, 不论, 不如, 差不多, 忍不住, 禁不住, 不由得, 不得不, 说不定, 不断, 不同, "
        "不久, 来不及, 不少, 不一定, 要不, 要不是, 不光, 不一样, 不然, 特别的人, 非得, 非要, 除非, 别人, "
        "别的, 告别, 区别, 个别, 性别, 级别, 特别行政, 分别, 无论, 无数, 无线, 无意, 无关, 未来, 未必, "
        "没准, 沉没, 淹没, 可以, 可能性, 可见, 可口, 最近, 最后, 最终, 最初, 太阳, 太太, 老师, 老板, 老婆, "
        "老公, 老人, 老子, 老大, 爆炸, 爆发, 巨大, 真正, 更新, 好久, 好几, 好人, 好事, 好友, 好处, 好意思, "
        "极端, 挺身, 很多, 满意度, 只不过, 对不起来, 不客气, 要不要, 是不是, 能不能, 会不会, 有没有, "
        "可不可以, 好不好, 行不行, 对不对, 想不想, 知不知道, 什么, 怎么, 多么多, 要么, 为什么, 那么多, "
        "这么多, 没有比, 没有什么比, 没什么比, 没有谁比, 没有人比, 没人比, 和谐, 和平, 暖和, 与其, 参与, 以及时, 都是",
    ),
}
#: {language: {word: function}}
FUNCTIONS: dict[str, dict[str, Function]] = {"en": _ENGLISH, "zh": _CHINESE}
