"""Extract the spoken words from captions: strip markup and descriptions of sounds."""

from __future__ import annotations

import html
import re

from multiemo.html_entities import undo_unambiguous_entities
from multiemo.transcripts.language import UNSPACED

#: The start tag of a speaker in WebVTT.
VOICE = re.compile(r"<v(?:\.[^\s>]{0,99})?[ \t]([^>]{0,200})>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>\n]{0,200}>|<\d[\d:.]*>|\{\\[^{}]*\}|\{[bui]\}|\{/[bui]\}", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_SONG = re.compile(r"[♪♫♬♩][^♪♫♬♩]*(?:[♪♫♬♩]+|$)")
#: Brackets of any content but the masks of anonymised words, which stand for spoken words.
_BRACKETS = re.compile(r"\[(?!(?:EMAIL|URL|HANDLE|PHONE|NUMBER|NAME)\])[^\[\]]*\]|【[^【】]*】")
_PARENTHESES = re.compile(r"\(([^()]*)\)|（([^（）]*)）")
#: Words in a parenthesised description of a sound. Other parentheses contain spoken words.
_SOUNDS = re.compile(
    r"\b(?:(?:laugh|sigh|gasp|cough|scream|groan|moan|sniff|cheer|bark|knock|beep|bang|whisper|yawn|snort|growl|sing|ring)"
    r"(?:s|ed|ing)?|(?:chuckl|giggl|sniffl|whistl|mumbl|snor)(?:e[sd]?|ing)|sob(?:s|bed|bing)?|clap(?:s|ped|ping)?"
    r"|hum(?:s|med|ming)?|thud(?:s|ded|ding)?|cr(?:y|ies|ied|ying)|applau(?:se|d(?:s|ed|ing)?)|laughter|music(?:al)?"
    r"|footsteps?|inaudible|indistinct|silence|noises?|clear(?:s|ing) throat|(?<!ly )speaking)\b",
    re.IGNORECASE,
)
_EAST_ASIAN_SOUND = (
    "(?:(?<![玩可好])笑|哭泣?|叹气|嘆氣|音乐|音樂|掌声|掌聲|鼓掌|尖叫|咳嗽|喘|啜泣|抽泣|沉默|铃声|鈴聲|敲门|敲門|歌|拍手"
    "|ため息|音楽|박수|웃음|음악)"
)
#: Descriptions of sounds in Chinese, Japanese and Korean: short ones name a sound, longer ones also end with it.
_EAST_ASIAN_SOUNDS = re.compile(
    rf"(?=.{{,3}}$).*{_EAST_ASIAN_SOUND}.*|.{{,3}}{_EAST_ASIAN_SOUND}(?:响起|響起)?"
    r"|.*(?:声|聲|(?<![玩可好])笑|鼓掌|の音|소리)(?:响起|響起)?"
)
#: Words of somebody who speaks or is spoken to, which descriptions of sounds do not have.
_SPEAKER = re.compile(r"\b(?:i|me|my|you|your|we|our)\b|[我你您咱]", re.IGNORECASE)
_WORDS = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
#: Number of words up to which parentheses that fill a line are taken as a description.
_MAX_DESCRIPTION = 3
#: Start of a vector drawing in ASS, whose letters and numbers are not words.
DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
_ENDS_SENTENCE = re.compile(r"[.!?。！？]\s*$")
_DASH = re.compile(r"^[-–—]\s*(?=[^\W\d]|\s)")


def split_speakers(text: str) -> list[tuple[str | None, str]]:
    """Split the text of a WebVTT cue by speaker (``<v Name>``), in order. An unnamed speaker is ``None``.

    Example:
        >>> split_speakers("<v Anna>Hi</v> <v.loud Bo>Hello")
        [('Anna', 'Hi</v> '), ('Bo', 'Hello')]
    """
    pieces = VOICE.split(text)
    named = [(html.unescape(name).strip() or None, text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    return [(None, pieces[0]), *named] if pieces[0].strip() or not named else named


def strip_markup(text: str) -> str:
    """Remove tags (``<i>``, ``{\\an8}``) from a caption. Entities stay, since they may spell out what looks like a tag.

    Example:
        >>> strip_markup("{\\\\an8}<i>Tom &amp; I</i> <3 this")
        'Tom &amp; I <3 this'
    """
    return _TAG.sub("", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


def strip_sounds(text: str) -> tuple[str, int]:
    """Remove entities, invisible characters and descriptions of sounds from a text.

    Descriptions of sounds are: text in square brackets, except masks of anonymised words such as ``[NAME]``; text
    between musical notes (♪), or from a note to the end; and parentheses that name a sound, or that fill a line with up
    to three words without ending a sentence. Parentheses with words such as "I" or "you" are spoken. The dash that
    marks a change of speaker is removed, too.

    Returns:
        The spoken words on one line, and the number of descriptions removed.

    Example:
        >>> strip_sounds("[music] - Oh no (sighs)\\n- I left (I think). ♪ la la ♪")
        ('Oh no I left (I think).', 3)
    """
    text = _INVISIBLE.sub("", undo_unambiguous_entities(text))
    text, songs = _SONG.subn(" ", text)
    text, brackets = _BRACKETS.subn(" ", text)
    lines = []
    parentheses = 0
    for line in text.split("\n"):
        bare = _DASH.sub("", line.strip())

        def without_sound(found: re.Match[str], fills_line: bool = _PARENTHESES.fullmatch(bare) is not None) -> str:
            return " " if _is_sound(found[1] or found[2] or "", fills_line) else found[0]

        kept = _PARENTHESES.sub(without_sound, bare)
        parentheses += len(_PARENTHESES.findall(bare)) - len(_PARENTHESES.findall(kept))
        lines.append(kept)
    return " ".join(" ".join(lines).split()), songs + brackets + parentheses


def _is_sound(inside: str, fills_line: bool) -> bool:
    """Whether the content of parentheses is a description of a sound, or empty.

    Args:
        inside: the content.
        fills_line: whether the line has nothing else.
    """
    inside = inside.strip()
    if not inside or _SPEAKER.search(inside):
        return not inside
    if _SOUNDS.search(inside) or _EAST_ASIAN_SOUNDS.fullmatch(inside.rstrip("。.…")):
        return True
    return fills_line and not _ENDS_SENTENCE.search(inside) and len(_WORDS.findall(inside)) <= _MAX_DESCRIPTION


def sounds_note(count: int) -> list[str]:
    """Return the note on descriptions of sounds that were left out, or nothing if there were none."""
    return [f"{count} description(s) of sounds such as [music] or (laughs) were left out"] if count else []
