"""Extract the spoken words from captions: strip markup and descriptions of sounds."""

from __future__ import annotations

import html
import re

from multiemo.html_entities import undo_unambiguous_entities

_VOICE = re.compile(r"<v(?:\.[^\s>]{0,99})?[ \t]([^>]{0,200})>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>\n]{0,200}>|<\d[\d:.]*>|\{\\[^{}]*\}|\{[bui]\}|\{/[bui]\}", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_SONG = re.compile(r"[♪♫♬♩][^♪♫♬♩]*(?:[♪♫♬♩]+|$)")
#: Brackets of any content but the masks of anonymised words, which stand for spoken words.
_BRACKETS = re.compile(r"\[(?!(?:EMAIL|URL|HANDLE|PHONE|NUMBER|NAME)\])[^\[\]]*\]|【[^【】]*】")
_PARENTHESES = re.compile(r"\(([^()]*)\)|（([^（）]*)）")
#: Words in a parenthesised description of a sound. Other parentheses contain spoken words.
_SOUNDS = re.compile(
    r"\b(?:laugh|chuckl|giggl|sigh|gasp|cough|sob|cry|crie|scream|groan|moan|sniff|cheer|applau|clap|music|sing|hum|"
    r"whistl|bark|knock|ring|beep|bang|thud|footsteps|inaudible|indistinct|silence|noise|whisper|mumbl|yawn|snor|growl|"
    r"clear(?:s|ing) throat|speaking)"
    r"|笑|哭|叹气|嘆氣|音乐|音樂|掌声|掌聲|鼓掌|尖叫|咳嗽|喘|啜泣|抽泣|沉默|铃声|鈴聲|敲门|敲門|歌|拍手|ため息|音楽|박수|웃음|음악",
    re.IGNORECASE,
)
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
    pieces = _VOICE.split(text)
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
    between musical notes (♪), or from a note to the end; and parentheses that name a sound, or that fill a line without
    ending a sentence. The dash that marks a change of speaker is removed, too.

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
            inside = found[1] or found[2] or ""
            is_sound = (
                _SOUNDS.search(inside) or (fills_line and not _ENDS_SENTENCE.search(inside)) or not inside.strip()
            )
            return " " if is_sound else found[0]

        kept = _PARENTHESES.sub(without_sound, bare)
        parentheses += len(_PARENTHESES.findall(bare)) - len(_PARENTHESES.findall(kept))
        lines.append(kept)
    return " ".join(" ".join(lines).split()), songs + brackets + parentheses


def sounds_note(count: int) -> list[str]:
    """Return the note on descriptions of sounds that were left out, or nothing if there were none."""
    return [f"{count} description(s) of sounds such as [music] or (laughs) were left out"] if count else []
