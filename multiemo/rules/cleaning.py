"""Normalise a text before its words are looked up, and keep where each character came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from multiemo.html_entities import undo_entities

_REPLACED = re.compile(
    r"(?P<entities>(?:&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)+)"
    r"|(?P<gone>(?:https?://|www\.)[^\s<>\u4e00-\u9fff]+|(?<![\w.])@[\w.\-]+|[\ufe0e\ufe0f\u200b-\u200f\u2060\ufeff]"
    r"|[\U0001f3fb-\U0001f3ff]|[#＃])",
    re.IGNORECASE,
)
#: Traditional characters that occur in our Chinese words or beside them, and their simplified forms, in the same order.
_TRADITIONAL = (
    "開興樂歡憤氣難過傷無煩悶討厭噁惡驚嚇愛滿驕動謝慶輕鬆釋靜鎮從還關係隨湊馬慘淒涼觀絕淚鬱嗚頭喪萬後懺責"
    "獨單憐憶懷戀敗輸嘆惱發虛沒膩勁義雙壞閉講話臉恥該滾媽罵諷議騙謊權負脅廢鬧麼懼膽戰髮顫擔憂慮緊張躊齪猶"
    "尷醜險壓夢嘔髒賤態偽爛評貪訝詫標異嘖喲這個嗎現實覺們說對來會點帶極為於與給讓聽見變師學買賣東車長門問"
    "間風飛體國語裡臺灣歲時應願樣種誰總錯麗優厲讚幫運順寵著鐘賞別紅顏兒經濟獎勵穩隻處慣當擊並誇奧樸幾號擇"
    "廣場檢舉雖卻臥捨藍鬥寫讀錢請誤認"
)
_SIMPLIFIED = (
    "开兴乐欢愤气难过伤无烦闷讨厌恶恶惊吓爱满骄动谢庆轻松释静镇从还关系随凑马惨凄凉观绝泪郁呜头丧万后忏责"
    "独单怜忆怀恋败输叹恼发虚没腻劲义双坏闭讲话脸耻该滚妈骂讽议骗谎权负胁废闹么惧胆战发颤担忧虑紧张踌龊犹"
    "尴丑险压梦呕脏贱态伪烂评贪讶诧标异啧哟这个吗现实觉们说对来会点带极为于与给让听见变师学买卖东车长门问"
    "间风飞体国语里台湾岁时应愿样种谁总错丽优厉赞帮运顺宠着钟赏别红颜儿经济奖励稳只处惯当击并夸奥朴几号择"
    "广场检举虽却卧舍蓝斗写读钱请误认"
)
_SINGLE = {
    **dict(zip(_TRADITIONAL, _SIMPLIFIED, strict=True)),
    "\u3000": " ",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "。": ".",
    "…": ".",
}
#: Letters repeated more often are written twice; words spelt with three of one letter are rare in both languages.
_MOST_REPEATS = 2


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A normalised text.

    Args:
        text: the text.
        spans: (position of the first original character, position after the last) of each character of ``text``.
        drawn_out: positions in ``text`` at which repeated letters were left out ("sooo").
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    drawn_out: frozenset[int]

    def original(self, first: int, last: int) -> tuple[int, int]:
        """The span in the original text of the characters from ``first`` up to ``last`` (exclusive)."""
        return self.spans[first][0], self.spans[last - 1][1]


def clean(text: str) -> Cleaned:
    """Normalise a text: undo HTML entities, full-width forms, curly quotes, traditional characters and drawn-out words.

    Links, mentions (``@name``), signs of hashtags and variants of emoji are left out.

    Example:
        >>> cleaned = clean("@bo I&#39;m soooo 開心！ https://x.org")
        >>> cleaned.text, cleaned.original(1, 4), cleaned.drawn_out
        (" I'm soo 开心! ", (4, 11), frozenset({7}))
    """
    kept: list[str] = []
    spans: list[tuple[int, int]] = []
    drawn_out: set[int] = set()
    for character, first, last in _characters(text):
        repeats = (
            len(kept) >= _MOST_REPEATS
            and character.isalpha()
            and all(k.lower() == character.lower() for k in kept[-_MOST_REPEATS:])
        )
        if repeats:
            drawn_out.add(len(kept) - 1)
            spans[-1] = (spans[-1][0], last)
            continue
        kept.append(character)
        spans.append((first, last))
    return Cleaned("".join(kept), tuple(spans), frozenset(drawn_out))


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    """The characters of the normalised text with their original spans, before repeats are left out."""
    at = 0
    for found in _REPLACED.finditer(text):
        yield from ((_normal(text[i]), i, i + 1) for i in range(at, found.start()))
        if found["entities"]:
            yield from ((_normal(c), found.start(), found.end()) for c in undo_entities(found[0]))
        at = found.end()
    yield from ((_normal(text[i]), i, i + 1) for i in range(at, len(text)))


def _normal(character: str) -> str:
    """One character in its normal form."""
    if "\uff01" <= character <= "\uff5e":
        return chr(ord(character) - 0xFEE0)
    return _SINGLE.get(character, character)
