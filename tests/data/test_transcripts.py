"""Transcripts as they are found: formats, encodings, damage; and which words a span holds."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import time
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.data.subtitles import embedded_subtitles
from multiemo.data.transcripts import (
    Cue,
    Transcript,
    fitted,
    language_of,
    left_over,
    read_transcript,
    side_transcripts,
    unplaced,
)
from multiemo.errors import MediaError
from multiemo.predict.outputs.subtitles import srt
from multiemo.preprocess.text import clean

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>I can't</i> believe it!

2
00:00:03,000 --> 00:00:04,000
{\\an8}Tom &amp; I
left.
"""
VTT = """WEBVTT - made by hand

STYLE
::cue { color: red }

NOTE not said

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Anna>I can't <b>believe</b> it!</v>

00:00:03.000 --> 00:00:04.000
<v.loud Bo>Tom &amp; I left.
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def times(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [(c.start, c.end, c.text) for c in transcript.cues]


def test_srt(tmp_path):
    found = read_transcript(write(tmp_path, "a.srt", SRT))
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert (found.timed, found.language, found.source, found.notes) == (True, "en", "a.srt", ())
    assert found.text == "I can't believe it! Tom & I left."


def test_vtt_with_speakers(tmp_path):
    found = read_transcript(write(tmp_path, "a.vtt", VTT))
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert [c.speaker for c in found.cues] == ["Anna", "Bo"]
    assert found.notes == ()


def test_two_voices_in_one_cue_share_its_time(tmp_path):
    text = "WEBVTT\n\n00:00.000 --> 00:04.000\n<v A>one</v>\n<v B>two three</v>\n"
    first, second = read_transcript(write(tmp_path, "a.vtt", text)).cues
    assert (first.speaker, first.text, second.speaker, second.text) == ("A", "one", "B", "two three")
    assert (first.start, first.end, second.end) == (0.0, pytest.approx(1.0), 4.0)
    assert second.start == first.end


def test_the_content_counts_not_the_name(tmp_path):
    assert times(read_transcript(write(tmp_path, "srt.txt", SRT)))[0][:2] == (1.0, 2.5)
    assert times(read_transcript(write(tmp_path, "vtt.srt", VTT)))[0][:2] == (1.0, 2.5)
    data = json.dumps([{"start": 1, "end": 2, "text": "hi"}])
    assert times(read_transcript(write(tmp_path, "json.txt", data))) == [(1.0, 2.0, "hi")]
    plain = read_transcript(write(tmp_path, "plain.txt", "No name: it goes\n1 --> 2, {or} so.\n"))
    assert (plain.text, plain.timed) == ("No name: it goes 1 --> 2, {or} so.", False)


def test_whisper_prints_times_in_brackets(tmp_path):
    text = "[00:00.000 --> 00:02.000]  Hello there.\n[00:02.000 --> 01:03:04.500]  Bye.\n"
    assert times(read_transcript(write(tmp_path, "a.txt", text))) == [(0, 2, "Hello there."), (2, 3784.5, "Bye.")]


# --- JSON


def test_whisper_json_by_word(tmp_path):
    words = [{"word": " I", "start": 0.0, "end": 0.2}, {"word": " know,", "start": 1.0, "end": 1.2}]
    words.append({"word": " right?", "start": 1.8, "end": 2.0})
    data = {
        "text": " I know, right?",
        "language": "en",
        "segments": [{"start": 0, "end": 2, "text": " I know, right?"}],
    }
    assert times(read_transcript(write(tmp_path, "a.json", json.dumps(data)))) == [(0.0, 2.0, "I know, right?")]
    data["segments"][0]["words"] = words
    found = read_transcript(write(tmp_path, "b.json", json.dumps(data)))
    assert times(found) == [(0.0, 0.2, "I"), (1.0, 1.2, "know,"), (1.8, 2.0, "right?")]
    assert found.text == "I know, right?"
    assert found.between(0.5, 9.0) == "know, right?"


def test_chinese_words_are_joined(tmp_path):
    words = [{"word": w, "start": i, "end": i + 1} for i, w in enumerate(["我", "知道", "了", "。"])]
    whisperx = {"segments": [{"start": 0, "end": 4, "text": "我知道了。", "words": words, "speaker": "SPEAKER_01"}]}
    found = read_transcript(write(tmp_path, "a.json", json.dumps(whisperx)))
    assert (found.text, len(found.cues), found.cues[2].speaker) == ("我知道了。", 4, "SPEAKER_01")
    assert found.between(0.0, 2.0) == "我知道"
    assert read_transcript(write(tmp_path, "b.json", json.dumps({"word_segments": words}))).text == "我知道了。"


def test_a_word_without_time_stays_with_the_one_before(tmp_path):
    words = [{"word": "in", "start": 0, "end": 1}, {"word": "2024"}, {"word": "she", "start": 3, "end": 4}]
    data = {"segments": [{"start": 0, "end": 4, "text": "in 2024 she", "words": words}]}
    assert times(read_transcript(write(tmp_path, "a.json", json.dumps(data)))) == [(0, 1, "in 2024"), (3, 4, "she")]


@pytest.mark.parametrize(
    "data",
    [
        {"chunks": [{"timestamp": [0.0, 2.0], "text": " Hello."}, {"timestamp": [3.0, None], "text": " Bye."}]},
        {"transcription": [{"offsets": {"from": 0, "to": 2000}, "text": " Hello."},
                           {"offsets": {"from": 3000, "to": 3000}, "text": " Bye."}]},
        [{"start": "0", "end": "2", "text": "Hello."}, {"start": 3, "text": "Bye."}],
    ],
)  # fmt: skip
def test_other_json(tmp_path, data):
    found = read_transcript(write(tmp_path, "a.json", json.dumps(data)))
    assert times(found) == [(0.0, 2.0, "Hello."), (3.0, 3.0, "Bye.")]


def test_json_without_times_or_words(tmp_path):
    assert read_transcript(write(tmp_path, "a.json", '{"text": "Oh no."}')).timed is False
    assert read_transcript(write(tmp_path, "b.json", '{"text": "", "segments": []}')).cues == ()
    with pytest.raises(MediaError, match=r"c\.json.*no transcript"):
        read_transcript(write(tmp_path, "c.json", '{"boxes": [1, 2]}'))
    with pytest.raises(MediaError, match=r"d\.json: is not valid JSON"):
        read_transcript(write(tmp_path, "d.json", '{"text": "Oh'))
    entries = [{"start": math.nan, "end": 1, "text": "a"}, {"start": 1, "end": 2, "text": "b"}, {"start": 1}, "x"]
    found = read_transcript(write(tmp_path, "e.json", json.dumps(entries)))
    assert times(found) == [(1.0, 2.0, "b")]
    assert found.notes == ("3 entries without times or text were left out, the first is no. 0",)


# --- damage


def test_broken_cues_are_mended_and_counted(tmp_path):
    text = """00:00:05,000 --> 00:00:04,000
turned

2
-00:00:01,000 --> 00:00:01,000
below

3
00:00:09,000 --> 00:00:09,900
late
4
00:00:02.5 -> 0:3,000
early

and more

5
00:00:0x --> 00:00:07,000
lost
"""
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(0, 1, "below"), (2.5, 3, "early and more"), (4, 5, "turned"), (9, 9.9, "late")]
    assert found.notes == (
        "1 cue(s) whose times cannot be read were left out, the first in line 18",
        "1 line(s) after an empty line were taken as part of the cue before it",
        "1 cue(s) ended before they began and were turned round",
        "1 cue(s) began below zero and now begin at it",
        "2 cue(s) were out of order and were sorted",
    )


def test_an_end_that_is_missing_is_the_next_start(tmp_path):
    text = (
        "1\n00:00:01,000 -->\none\n\n2\n00:00:03,000 --> 00:00:09,000\ntwo\n\n3\n00:00:03,500 --> 00:00:05,000\n3rd\n"
    )
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(1, 3, "one"), (3, 9, "two"), (3.5, 5, "3rd")]
    assert found.notes == ("1 cue(s) overlap the one before and were left so",)
    assert found.between(3.0, 9.0) == "two 3rd"


def test_a_cue_given_twice_is_taken_once(tmp_path):
    found = read_transcript(write(tmp_path, "a.srt", SRT + "\n" + SRT))
    assert len(found.cues) == 2
    assert found.notes[-1] == "2 cue(s) stood there twice and were taken once"


def test_nothing_readable_names_the_line(tmp_path):
    with pytest.raises(MediaError, match=r"a\.srt.*line 2 are '00:0x --> oops'"):
        read_transcript(write(tmp_path, "a.srt", "1\n00:0x --> oops\nHello\n"))
    with pytest.raises(MediaError, match="no caption can be read"):
        read_transcript(write(tmp_path, "b.srt", "Hello\n"))
    assert read_transcript(write(tmp_path, "d.vtt", "WEBVTT\n")).cues == ()
    only_music = read_transcript(write(tmp_path, "c.srt", "1\n00:00:01,000 --> 00:00:02,000\n[music]\n"))
    assert only_music.cues == ()
    assert "1 description(s) of sounds" in only_music.notes[0]


def test_text_that_looks_like_times_and_names(tmp_path):
    text = "Subtitles by X\n\n1\n00:00:01,000 --> 00:00:02,000\nfrom 1 -> 2\n\nNOTEBOOK\n\n2\n00:03 --> 00:04\n2011\n"
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(1, 2, "from 1 -> 2 NOTEBOOK"), (3, 4, "2011")]
    assert found.notes[0] == "1 line(s) before the first cue were left out"


def test_rolling_captions_are_shown_once(tmp_path):
    lines = ["WEBVTT", "Kind: captions", ""]
    lines += ["00:00:00.000 --> 00:00:02.000", " ", "we<00:00:00.500><c> go</c>", ""]
    lines += ["00:00:02.000 --> 00:00:02.010", "we go", " ", ""]
    lines += ["00:00:02.010 --> 00:00:04.000", "we go", "far<00:00:03.000><c> away</c>", ""]
    found = read_transcript(write(tmp_path, "a.en.vtt", "\n".join(lines)))
    assert (found.text, found.notes) == ("we go far away", ())


def test_sounds_are_no_words(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\n♪ la la\nla ♪\n- No! [door] (sighs)\n- (I know.) Yes (I think).\n（笑）\n"
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert found.text == "No! (I know.) Yes (I think)."
    assert found.notes == ("4 description(s) of sounds such as [music] or (laughs) were left out",)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.ass", "[Script Info]\nTitle: x\n", "is ASS, but no caption in it can be read; correct it"),
        ("a.xml", '<?xml version="1.0"?><tt></tt>', "is TTML, but no caption"),
        ("a.ttml", '<!DOCTYPE tt [<!ENTITY a "b">]><tt><p begin="1s">&a;</p></tt>', "is TTML, but no caption"),
        ("a.txt", " \n", "holds no words"),
        ("a.srt", b"", "is empty"),
        ("a.srt", bytes(range(256)) * 4, "is not text|do its bytes make sense"),
        ("a.srt", "x" * (65 * 2**20), "larger than"),
    ],
)
def test_what_is_no_transcript(tmp_path, name, content, reason):
    with pytest.raises(MediaError, match=reason) as caught:
        read_transcript(write(tmp_path, name, content))
    assert name in str(caught.value)


def test_missing_folder_and_url(tmp_path):
    for path, reason in [(tmp_path / "no.srt", "no such file"), (tmp_path, "is a folder"), ("http://x/a.srt", "URL")]:
        with pytest.raises(MediaError, match=reason):
            read_transcript(path)


PIECES = ["00:00:01,000", " --> ", "-->", "\n", "\n\n", "1", "WEBVTT\n", "<v A>", "</v>", "(", "[", "♪", "{\\an8}"]
PIECES += ["&amp;", "好", "\ufeff", "\x00", "NOTE", '{"text":', "<00:01.0>", "-", "9" * 5000 + ":00:00", "\u2028"]
PIECES += [
    "[Events]\n",
    "Dialogue: 0,",
    "0:00:01.00,",
    "<SAMI>",
    "<SYNC Start=1000>",
    "<P Class=A>",
    "{1}{2}",
    "[1][2]",
]
PIECES += [
    "[00:01.00]",
    "<tt>",
    '<p begin="1s">',
    "</p>",
    "</tt>",
    "0:00:01.000,0:00:02.000\n",
    "start,end,text\n",
    "1,2,",
]
PIECES += ["<transcript>", '<text start="1">', "</text></transcript>", "0:00:01:", "{1}{1}" + "9" * 500, "nan", "1e999"]


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_anything_is_read_or_refused(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.srt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        words = read_transcript(path)
    except MediaError:
        return
    assert all(0 <= c.start <= c.end and c.text == c.text.strip() != "" for c in words.cues)


@pytest.mark.parametrize("begin", ["[Events]\n", "<SAMI>", "<tt>", "{1}{2}", "[00:01.00]", "0:00:01.0,0:00:02.0\n"])
@pytest.mark.parametrize(
    "unit", ["<sync ", "<p ", "<!--", ".a {", "{y:", "[", "1:", "{\\", "<sync start=1><p class=a>x"]
)
def test_long_captions_are_read_in_time(tmp_path, begin, unit):
    path = write(tmp_path, "a.sub", begin + unit * (100_000 // len(unit)))
    began = time.perf_counter()
    with contextlib.suppress(MediaError):
        read_transcript(path)
    assert time.perf_counter() - began < 5.0


@pytest.mark.parametrize(
    "unit", [" ", "1", "(", "[", "<v ", "<", "♪", "1:", "-", "“", "1 -", "&", "{", "\n1", "\n", "好("]
)
def test_long_lines_are_read_in_time(tmp_path, unit):
    body = unit * (200_000 // len(unit))
    path = write(tmp_path, "a.srt", f"1\n00:00:01,000 --> 00:00:02,000\nx{body}x\n{body}\n")
    began = time.perf_counter()
    words = read_transcript(path)
    words.between(0.0, 1.5)
    assert time.perf_counter() - began < 5.0


# --- encodings

LINES = {
    "gb18030": "我不知道你在说什么。\n你怎么来了？",
    "big5": "我不知道你在說什麼。\n這個人很好！",
    "shift_jis": "何を言っているのか分からない。\nありがとう",
    "cp949": "무슨 말을 하는지 모르겠어요.\n나도 그래",
    "cp1251": "Я не знаю, что ты говоришь.\nДа, конечно!",
    "cp1252": "I don’t know “what” you mean…\nÇa va, déjà été à Übersee?",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", *LINES])
def test_encodings(tmp_path, encoding):
    text = LINES.get(encoding, "我不知道 what “it” é.\n好")
    body = f"1\r\n00:00:01,000 --> 00:00:02,000\r\n{text}\r\n"
    for name, content in (("a.srt", body), ("a.txt", text)):
        found = read_transcript(write(tmp_path, name, content.encode(encoding)))
        assert found.text == text.replace("\n", " ")
        assert any(f"read as {encoding}" in n for n in found.notes) == (encoding in LINES)


@pytest.mark.parametrize(("line", "encoding"), [("你好", "gb18030"), ("你好嗎", "big5"), ("café", "cp1252")])
def test_short_texts(tmp_path, line, encoding):
    assert read_transcript(write(tmp_path, "a.txt", line.encode(encoding))).text == line


def test_chinese_of_real_people_in_gb18030(tmp_path, real_data):
    import polars

    rows = polars.read_csv(real_data / "emotiontalk" / "emotiontalk.csv")["text"].drop_nulls().to_list()
    texts = [t for t in rows if len(t) >= 4][::40]
    from multiemo.data.transcripts.encoding import _decode

    wrong = [t for t in texts if _decode(t.encode("gb18030"), tmp_path)[0] != t]
    assert len(texts) > 300
    assert len(wrong) <= 0.01 * len(texts), wrong[:5]


def test_damaged_utf8_is_still_utf8(tmp_path):
    content = ("我不知道你在说什么。" * 20).encode()[:-1] + b"\xff ok"
    found = read_transcript(write(tmp_path, "a.txt", content))
    assert found.text.startswith("我不知道你在说什么。")
    assert found.notes == ("3 byte(s) that are not UTF-8 were left out of a.txt",)


# --- spans


def test_between_keeps_words_whole_and_spacing():
    words = Transcript.of([Cue(0, 10, "我的iPhone呢？ Well,  I lost it")], "t")
    assert words.between(0, 100) == "我的iPhone呢？ Well,  I lost it"
    assert words.between(0, 2.0) == "我的iPhone"
    assert words.between(2.0, 5.5) == "呢？ Well,"
    assert words.between(11, 12) is None
    assert Transcript.of([Cue(1, 1, "now")], "t").between(1, 2) == "now"


def test_untimed_words_must_be_spread():
    words = Transcript.untimed("  one two three four \n", "--text")
    assert (words.timed, words.text, words.language) == (False, "one two three four", None)
    with pytest.raises(ValueError, match="spread"):
        words.between(0, 1)
    spread = words.spread([(0.0, 8.0)])
    assert (spread.between(0, 4), spread.between(4, 8)) == ("one two", "three four")
    assert "have no times" in spread.notes[0]
    assert spread.spread([(0.0, 3.0)]) is spread
    assert Transcript.untimed(" ", "t").spread([(0.0, 3.0)]).between(0, 3) is None


LETTERS = st.text(alphabet="ab, .!é我你好。，“”(ア한", min_size=1, max_size=30).map(lambda t: " ".join(t.split()))
CUES = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0, 5), LETTERS.filter(bool)).map(lambda c: Cue(c[0], c[0] + c[1], c[2])),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(cues=CUES, cuts=st.lists(st.floats(0, 26), max_size=8))
def test_spans_that_tile_the_time_give_every_word_once(cues, cuts):
    words = Transcript.of(cues, "t")
    edges = [0.0, *sorted(cuts), math.inf]
    parts = [words.between(a, b) for a, b in itertools.pairwise(edges)]
    letters = sorted("".join(p for p in parts if p).replace(" ", ""))
    assert letters == sorted("".join(c.text for c in cues).replace(" ", ""))
    tokens = {w for c in cues for w in re.findall("[a-bé]+", c.text)}
    assert {w for p in parts if p for w in re.findall("[a-bé]+", p)} <= tokens, "a Latin word was cut"


# --- language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I don't know what you mean by that.", "en"),
        ("Ich weiß nicht, was du damit meinst.", "de"),
        ("Je ne sais pas ce que vous voulez dire.", "fr"),
        ("No sé lo que quieres decir con eso.", "es"),
        ("Não sei o que você quer dizer com isso.", "pt"),
        ("Non so cosa vuoi dire con questo.", "it"),
        ("Ik weet niet wat je daarmee bedoelt.", "nl"),
        ("Jag vet inte vad du menar med det.", "sv"),
        ("Nie wiem, co masz przez to na myśli.", "pl"),
        ("Bununla ne demek istediğini bilmiyorum ama bu çok iyi.", "tr"),
        ("Tôi không biết anh muốn nói gì.", "vi"),
        ("Я не знаю, что ты имеешь в виду.", "ru"),
        ("Я не знаю, що ти маєш на увазі.", "uk"),
        ("我不知道你是什么意思，OK？", "zh"),
        ("どういう意味か分かりません", "ja"),
        ("무슨 뜻인지 모르겠어요", "ko"),
        ("أنا لا أعرف ما هذا", "ar"),
        ("Δεν ξέρω τι εννοείς", "el"),
        ("Hmm... Barcelona!", None),
        ("42 :-)", None),
        ("", None),
    ],
)
def test_language_of(text, code):
    assert language_of(text) == code


# --- beside the media


def beside(media: Path, notes: list[str] | None = None) -> str | None:
    """The name of the transcript that is taken."""
    found = next(side_transcripts(media, [] if notes is None else notes), None)
    return None if found is None else found.source


def test_the_order_of_what_lies_beside(tmp_path):
    """From what is taken last to what is taken first."""
    media = write(tmp_path, "my clip.v2.mp4", "x")
    assert beside(media) is None
    names = ["my clip.v2.English.forced.srt", "my clip.v2.txt", "my clip.v2.json", "my clip.v2.zh-CN.sdh.srt"]
    names += ["my clip.v2.zh-CN.srt", "my clip.v2.en.vtt", "My Clip.v2.VTT", "my clip.v2.mp4.srt"]
    for name in names:
        content = '{"segments": [{"start": 0, "end": 1, "text": "hi"}]}' if name.endswith("json") else SRT
        write(tmp_path, name, content)
        assert beside(media) == name
    write(tmp_path, "my clip.srt", SRT)
    write(tmp_path, "my clip.v2.part2.srt", SRT)
    assert beside(media) == name
    assert beside(tmp_path / "nowhere" / "clip.mp4") is None


NAMES = [
    ("film.mp4.srt", None),
    ("film.English.srt", "en"),
    ("film.eng.forced.srt", "en"),
    ("film.en-US.vtt", "en"),
    ("film.zh-Hans.srt", "zh"),
    ("film.es-419.cc.srt", "es"),
    ("film.2_English.srt", "en"),
    ("film.Deutsch (SDH).srt", "de"),
    ("film.mp4.pt-BR.srt", "pt"),
    ("film.简体中文.srt", "zh"),
]


@pytest.mark.parametrize(("name", "language"), NAMES)
def test_tags_in_the_name_of_a_transcript(tmp_path, name, language):
    media = write(tmp_path, "film.mp4", "x")
    write(tmp_path, name, "00:01 --> 00:02\nBarcelona\n")
    found = next(side_transcripts(media, []))
    assert (found.source, found.language) == (name, language)


def test_what_is_chosen_and_what_is_not_is_said(tmp_path):
    media = write(tmp_path, "film.mp4", "x")
    write(tmp_path, "film.directors cut.srt", SRT)
    notes: list[str] = []
    assert beside(media, notes) is None
    assert notes == [
        "film.directors cut.srt lies beside it and was not read; if it holds its words, give --transcript FILE"
    ]
    write(tmp_path, "film.en.forced.srt", SRT)
    assert beside(media, notes := []) == "film.en.forced.srt"
    assert notes == ["by its name film.en.forced.srt holds only a part of the words, or others"]
    for name in ("film.de.srt", "film.en.srt", "film.de.json"):
        write(tmp_path, name, SRT)
    assert beside(media, notes := []) == "film.de.srt"
    assert notes == ["film.de.srt was read, not film.en.srt, film.en.forced.srt; --transcript FILE chooses another"]


def test_a_transcript_belongs_to_the_file_with_the_longest_name(tmp_path):
    for name in ("a.mp4", "a.en.mp4", "a.wav"):
        write(tmp_path, name, "x")
    write(tmp_path, "a.en.srt", SRT)
    write(tmp_path, "a.wav.srt", SRT)
    assert [beside(tmp_path / name) for name in ("a.mp4", "a.en.mp4", "a.wav")] == [None, "a.en.srt", "a.wav.srt"]


def test_one_that_cannot_be_read_does_not_hide_the_next(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    write(tmp_path, "clip.srt", "no times here\n")
    write(tmp_path, "clip.csv", "frame,face\n1,2\n")
    write(tmp_path, "clip.sub", bytes(range(256)) * 9)
    write(tmp_path, "clip.tsv", "start\tend\ttext\n0.5\t1.5\tHello.\n")
    notes: list[str] = []
    assert beside(media, notes) == "clip.tsv"
    assert [note.split(":")[0] for note in notes] == ["the words beside it were left out"] * 2
    assert [name in note for name, note in zip(["clip.srt", "clip.sub"], notes, strict=True)] == [True, True]


def test_json_that_is_something_else_is_left_alone(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    write(tmp_path, "clip.json", '{"faces": []}')
    notes: list[str] = []
    assert beside(media, notes) is None
    assert notes == ["clip.json beside the media is not a transcript and was left alone"]
    write(tmp_path, "clip.txt", "Hello.")
    assert beside(media) == "clip.txt"


# --- other formats of captions

ASS = """[Script Info]
; made by hand
[V4+ Styles]
Format: Name, Fontname
[Events]
Format: Layer, Start, End, Style, Actor, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,,not said
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Anna,,{\\an8}Well, {\\i1}Tom{\\i0}{check} &amp; I\\Nleft.
Dialogue: 0,0:00:01.00,0:00:02.50,Sign,,,{\\p1}m 0 0 l 10 10
Dialogue: 0,soon,0:00:02.50,Default,,,Lost.
"""
SAMI = """<SAMI><HEAD><STYLE TYPE="text/css"><!-- .ENCC {Name: English; lang: en-US;} .KRCC {lang: ko-KR;} --></STYLE>
</HEAD><BODY><SYNC Start=1000><P Class=ENCC>Well, Tom &amp; I<br>left.
<SYNC Start=1000><P Class=KRCC>\uac14\uc5b4
<SYNC Start="2500"><P Class=ENCC>&nbsp;
</BODY></SAMI>"""
TTML = """<?xml version="1.0" encoding="utf-8"?>
<tt:tt xmlns:tt="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata"
 xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="24" xml:lang="en"><tt:head><tt:metadata>
<ttm:agent xml:id="a"><ttm:name>Anna</ttm:name></ttm:agent></tt:metadata></tt:head>
<tt:body><tt:div begin="1s"><tt:p begin="00:00:00:00" end="00:00:01:12" ttm:agent="a"><ttm:desc/>Well, <tt:span>Tom
 &amp; I</tt:span><tt:br/>left.</tt:p></tt:div></tt:body></tt:tt>"""
LRC = "[ti:Song]\n[offset:+500]\n[00:01.50]Well, <00:02.00>Tom & I left.\n[00:03.00]\n"
FORMATS = [
    ("a.ass", ASS),
    ("a.ssa", ASS.replace("V4+", "V4").replace("Layer", "Marked").replace("Dialogue: 0", "Dialogue: Marked=0")),
    ("a.smi", SAMI),
    ("a.ttml", TTML),
    ("a.dfxp", TTML.replace("tt:", "").replace("xmlns:tt=", "xmlns=")),
    ("a.sbv", "0:00:01.000,0:00:02.500\nWell, Tom & I\nleft.\n"),
    ("a.sub", "[INFORMATION]\n[END INFORMATION]\n00:00:01.00,00:00:02.50\nWell, Tom & I[br]left.\n"),
    ("b.sub", "{1}{1}20\n{20}{50}{y:i}Well, Tom & I|/left.\n"),
    ("c.sub", "[10][25]Well, Tom & I|/left.\n"),
    ("a.lrc", LRC),
    ("a.srt", LRC),
    ("a.txt", "00:00:01:Well, Tom & I|left.\n00:00:02.5:\n"),
    (
        "a.srv1",
        '<?xml version="1.0"?><transcript><text start="1" dur="1.5">Well, Tom &amp;amp; I\nleft.</text></transcript>',
    ),
    (
        "a.srv3",
        '<timedtext format="3"><body><p t="1000" d="1500"><s>Well, Tom</s><s> &amp; I left.</s></p></body></timedtext>',
    ),
    ("a.tsv", "start\tend\ttext\n1.0\t2.5\tWell, Tom & I left.\n"),
    ("a.csv", 'start,end,text\n1.0,2.5,"Well, Tom & I left."\n'),
    (
        "a.json3",
        '{"events": [{"tStartMs": 1000, "dDurationMs": 1500,'
        ' "segs": [{"utf8": "Well,"}, {"utf8": " Tom & I left."}]}]}',
    ),
]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("name", "content"), FORMATS)
def test_formats_of_captions(tmp_path, name, content, encoding):
    media = write(tmp_path, "a.mp4", "x")
    path = write(tmp_path, name, content.encode(encoding))
    assert times(found := read_transcript(path)) == [(1.0, 2.5, "Well, Tom & I left.")]
    assert found.cues[0].speaker == ("Anna" if name in ("a.ass", "a.ssa", "a.ttml", "a.dfxp") else None)
    assert beside(media) == (name if name.startswith("a.") else None)


def test_json_with_clocks(tmp_path):
    data = [{"start_time": "00:00:01.5", "end_time": "0:02", "text": "Hello."}, {"start": "1:02:03,5", "text": "Bye."}]
    found = times(read_transcript(write(tmp_path, "a.json", json.dumps(data))))
    assert found == [(1.5, 2.0, "Hello."), (3723.5, 3723.5, "Bye.")]


def test_ttml_of_netflix_and_of_apple(tmp_path):
    """Ticks; times without a unit, all of them from the beginning of the file, in spans within paragraphs."""
    ticks = (
        '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:p="http://www.w3.org/ns/ttml#parameter" p:tickRate="10000000">'
        '<body><div><p begin="10000000t" end="25000000t">I said &lt;b&gt; &amp;amp; you</p><p begin="3s" dur="1s"/>'
        "</div></body></tt>"
    )
    assert times(read_transcript(write(tmp_path, "a.ttml", ticks))) == [(1.0, 2.5, "I said <b> & you")]
    apple = (
        '<tt xmlns="http://www.w3.org/ns/ttml"><body dur="3:00.0"><div begin="9.1" end="1:20.0">'
        '<p begin="9.1" end="10.5"><span begin="9.1" end="9.5">Hello</span> <span begin="9.6" end="10.2">you</span></p>'
        '<p begin="1:01.5" end="1:02.5">Bye</p></div></body></tt>'
    )
    found = times(read_transcript(write(tmp_path, "b.ttml", apple)))
    assert found == [(9.1, 9.5, "Hello"), (9.6, 10.2, "you"), (61.5, 62.5, "Bye")]


def test_a_timeline_of_ours_is_no_transcript(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    entry = {"start": 0.0, "end": 2.0, "label": "happy", "best": "happy", "probs": {"happy": 0.9}, "text": "So happy!"}
    made = srt({"input": "clip.mp4", "duration": 2.0, "segments": [entry], "skipped": []})
    assert "So happy!" in made
    write(tmp_path, "clip.srt", made)
    assert beside(media, notes := []) is None
    assert notes == ["clip.srt beside the media is a timeline of emotions and was left alone"]


def test_notes_of_captions(tmp_path):
    assert read_transcript(write(tmp_path, "a.ass", ASS)).notes == (
        "1 line(s) whose times cannot be read were left out",
    )
    found = read_transcript(write(tmp_path, "a.smi", SAMI))
    assert found.notes == ("it holds several languages; ENCC was read, not KRCC",)


def test_pictures_are_counted_by_those_of_the_film(tmp_path):
    found = read_transcript(write(tmp_path, "a.sub", "{30}{60}Hello.\n"))
    assert times(fitted(found, 60.0, fps=30.0)) == [(1.0, 2.0, "Hello.")]
    assert fitted(found, 60.0).notes == ("the times of a.sub count pictures; 25 a second were taken",)


# --- times that are not the film's


def spoken(*times: tuple[float, float]) -> Transcript:
    return Transcript.of([Cue(start, end, "I did not know that.") for start, end in times], "a.srt")


def test_times_in_milliseconds(tmp_path):
    data = [
        {"start": 500, "end": 2500, "text": "I did not know that."},
        {"start": 3000, "end": 5000, "text": "Well, I did."},
    ]
    found = fitted(read_transcript(write(tmp_path, "a.json", json.dumps(data))), 20.0)
    assert times(found) == [(0.5, 2.5, "I did not know that."), (3.0, 5.0, "Well, I did.")]
    assert found.notes == ("the times of a.json are milliseconds, and were divided by 1000",)
    table = read_transcript(write(tmp_path, "a.tsv", "start\tend\ttext\n500\t2500\tI did not know that.\n"))
    assert fitted(table, 2.0).cues[0].end == 2.5
    starts = [{"start": 500 + 2000 * i, "text": "I did not know that."} for i in range(4)]
    assert [c.start for c in fitted(read_transcript(write(tmp_path, "b.json", json.dumps(starts))), 9.0).cues] == [
        0.5, 2.5, 4.5, 6.5,
    ]  # fmt: skip


def test_seconds_stay_seconds():
    """A caption of a long film beside a short clip, one that lasts long, and a film that holds all of it."""
    for words, length in [
        (spoken((0, 2), (500, 502)), 20.0),
        (spoken((0, 30), (500, 530)), 20.0),
        (spoken((0, 2000)), 3000.0),
    ]:
        assert fitted(words, length) == words


def test_times_that_begin_at_an_hour():
    found = fitted(spoken((3601, 3603), (3610, 3612)), 20.0)
    assert [(c.start, c.end) for c in found.cues] == [(1.0, 3.0), (10.0, 12.0)]
    assert found.notes == ("the times of a.srt begin at 01:00:00, which was taken as the beginning of the file",)
    assert fitted(spoken((36000.5, 36002)), 20.0).cues[0].start == 0.5
    long = [(3605 + 60 * i, 3607 + 60 * i) for i in range(90)]  # to 02:30 in a film of 91 minutes
    assert fitted(spoken(*long), 5460.0).cues[0].start == 5.0
    late = spoken(*[(3605 + 60 * i, 3607 + 60 * i) for i in range(40)])
    assert fitted(late, 7200.0) == late
    assert fitted(spoken((3601, 3603), (3700, 3702)), 20.0).notes == ()  # longer than the film


def test_words_outside_the_film_are_counted():
    words = spoken((1, 3), (90, 92))
    assert unplaced(words, 20.0) is None
    assert left_over(words, 20.0) == ["5 of 10 words of a.srt lie after the file's end (20.0 s) and were left out"]
    assert "run from 90.0 to 92.0 s, and the file ends at 20.0 s" in str(unplaced(spoken((90, 92)), 20.0))
    assert left_over(spoken((18, 21.5)), 20.0) == []
    assert fitted(spoken((754, 756)), 4.0, whole=True).cues[0].start == 0.0
    assert unplaced(Transcript.untimed("Hello.", "given"), 1.0) is None


# --- entities


def test_entities_in_transcripts_are_undone_once(tmp_path):
    raw = "1\n00:00:01,000 --> 00:00:02,000\nI&#39;m &lt;b&gt;here&lt;/b&gt; &amp;lt; AT&T &#9834; la &#9834;\n"
    shown = "I'm <b>here</b> &amp;lt; AT&T"
    for name, content in [
        ("a.srt", raw),
        ("a.txt", raw.split("\n")[2]),
        ("a.ass", ASS[: ASS.index("Dialogue")] + ("Dialogue: 0,0:00:01.00,0:00:02.50,Default,,," + raw.split("\n")[2])),
    ]:
        words = read_transcript(write(tmp_path, name, content)).text
        assert words == shown
        assert clean(words) == "I'm <b>here</b> &lt; AT&T"


def test_the_name_tells_a_language_that_the_words_do_not(tmp_path):
    assert read_transcript(write(tmp_path, "a.fra.srt", "00:01 --> 00:02\nBarcelona\n")).language == "fr"
    assert read_transcript(write(tmp_path, "b.fr.srt", SRT)).language == "en"


# --- inside the media

STYLES = b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize\r\nStyle: Default,Arial,16\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"  # noqa: E501


def film(path: Path, *tracks: tuple[str, str, str, list[tuple[float, float, str]]]) -> Path:
    """Five seconds of grey with subtitle tracks of (codec, language, disposition, captions)."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for codec, language, disposition, _ in tracks:
            stream = container.add_stream(codec)
            stream.metadata["language"] = language
            stream.codec_context.subtitle_header = STYLES
            stream.disposition = getattr(av.stream.Disposition, disposition) if disposition else 0
            streams.append(stream)
        container.start_encoding()
        for stream, (_, _, _, captions) in zip(streams, tracks, strict=True):
            for start, end, text in captions:
                ticks = 1 / stream.time_base
                event = f"0,0,Default,,0,0,0,,{text}".encode()
                made = SubtitleSet.create(text=event, start=0, end=int((end - start) * ticks), pts=int(start * ticks))
                packet = stream.codec_context.encode_subtitle(made)
                packet.stream, packet.time_base = stream, stream.time_base
                container.mux(packet)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), "rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


SAID = [(1.0, 2.5, "I can't <b>believe</b> it!"), (3.0, 4.0, "{\\an8}Tom & I\\Nleft. [door]")]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mov_text"), ("a.mkv", "subrip"), ("b.mkv", "ass"), ("c.mkv", "webvtt")]
)
def test_embedded_subtitles(tmp_path, name, codec):
    found = embedded_subtitles(film(tmp_path / name, (codec, "eng", "default", SAID)))
    assert found is not None
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert (found.language, found.timed) == ("en", True)
    assert found.source.startswith("subtitle track")
    assert found.notes == ("1 description(s) of sounds such as [music] or (laughs) were left out",)


def test_the_default_track_is_read_and_forced_ones_last(tmp_path):
    captions = {word: [(0.0, 1.0, word)] for word in ("uno", "zwei", "three")}
    forced = ("subrip", "spa", "forced", captions["uno"])
    plain = ("subrip", "ger", "", captions["zwei"])
    default = ("subrip", "eng", "default", captions["three"])
    for number, (tracks, wanted) in enumerate([((forced, plain, default), "three"), ((forced, plain), "zwei")]):
        found = embedded_subtitles(film(tmp_path / f"{number}.mkv", *tracks))
        assert found is not None
        assert found.text == wanted
    assert found.language == "de"  # one word does not tell, so the track does


def test_a_track_whose_language_is_not_utf_8(tmp_path):
    path = film(tmp_path / "a.mkv", ("subrip", "ger", "", SAID))
    path.write_bytes(path.read_bytes().replace(b"ger", b"g\xe9r"))
    found = embedded_subtitles(path)
    assert found is not None
    assert found.source.endswith(", g\ufffdr)")


def test_no_subtitles_and_what_is_not_text(tmp_path):
    notes: list[str] = []
    assert embedded_subtitles(film(tmp_path / "a.mp4"), notes) is None
    assert notes == []
    assert embedded_subtitles(film(tmp_path / "b.mkv", ("subrip", "eng", "", [(0, 1, "[music]")])), notes) is None
    assert notes == ["the subtitle track holds no words"]
    drawing = film(tmp_path / "d.mkv", ("ass", "eng", "", [(0, 1, "{\\an7\\p1}m 0 0 l 9 9"), (1, 2, "Hi.")]))
    assert times(embedded_subtitles(drawing)) == [(1.0, 2.0, "Hi.")]
    with pytest.raises(MediaError, match="not a media file"):
        embedded_subtitles(write(tmp_path, "c.mp4", "words"))


def test_subtitles_that_are_pictures(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("dvdsub")
        container.start_encoding()
        packet = av.Packet(b"\x00\x10" + bytes(14))
        packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base = stream, 0, 0, 1000, stream.time_base
        container.mux(packet)
    notes: list[str] = []
    assert embedded_subtitles(tmp_path / "a.mkv", notes) is None
    assert notes == ["the subtitles are pictures (dvdsub), not text, so they give no words"]


def test_a_cut_off_file_gives_the_captions_that_are_there(tmp_path):
    whole = film(tmp_path / "a.mkv", ("subrip", "eng", "default", SAID)).read_bytes()
    for share in (0.3, 0.5, 0.7, 0.9):
        cut = write(tmp_path, "cut.mkv", whole[: int(share * len(whole))])
        found = embedded_subtitles(cut)
        assert found is None or found.text in ("I can't believe it!", "I can't believe it! Tom & I left.")
