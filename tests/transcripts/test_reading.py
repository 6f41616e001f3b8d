"""SRT and WebVTT as found in practice, with their errors."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.errors import MediaError
from multiemo.transcripts import read_transcript
from tests.support.captions import SRT, times, write

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
        "1 cue(s) ended before their start and had both times swapped",
        "1 cue(s) began before 0 s and were moved to 0 s",
        "2 cue(s) were out of order and were sorted",
    )


def test_an_end_that_is_missing_is_the_next_start(tmp_path):
    text = (
        "1\n00:00:01,000 -->\none\n\n2\n00:00:03,000 --> 00:00:09,000\ntwo\n\n3\n00:00:03,500 --> 00:00:05,000\n3rd\n"
    )
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(1, 3, "one"), (3, 9, "two"), (3.5, 5, "3rd")]
    assert found.notes == ("1 cue(s) overlap the previous one and were kept",)
    assert found.between(3.0, 9.0) == "two 3rd"


def test_a_cue_given_twice_is_taken_once(tmp_path):
    found = read_transcript(write(tmp_path, "a.srt", SRT + "\n" + SRT))
    assert len(found.cues) == 2
    assert found.notes[-1] == "2 cue(s) were duplicates and were dropped"


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


def test_one_inline_time_costs_no_speaker_and_no_line(tmp_path):
    said = [("Anna", "No."), ("Bo", "No."), ("Bo", "No."), ("Anna", "Yes"), ("Anna", "Well <00:04.500>then")]
    lines = [f"00:0{n}.000 --> 00:0{n + 1}.000\n<v {who}>{text}\n" for n, (who, text) in enumerate(said)]
    found = read_transcript(write(tmp_path, "a.vtt", "\n".join(["WEBVTT\n", *lines])))
    assert [(c.speaker, c.text) for c in found.cues] == [*said[:4], ("Anna", "Well then")]


def test_cues_that_do_not_touch_repeat_their_words(tmp_path):
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nN<00:00.500>o.\n\n00:03.000 --> 00:04.000\nN<00:03.500>o.\n"
    assert read_transcript(write(tmp_path, "a.vtt", text)).text == "No. No."


def test_a_speaker_stays_where_the_line_that_names_him_is_repeated(tmp_path):
    lines = ["WEBVTT", "", "00:00.000 --> 00:01.000", "<v Anna>we <00:00.500>go", ""]
    lines += ["00:01.000 --> 00:02.000", "<v Anna>we go", "far <00:01.500>away", "<v Bo>no"]
    found = read_transcript(write(tmp_path, "a.vtt", "\n".join(lines)))
    assert [(c.speaker, c.text) for c in found.cues] == [("Anna", "we go"), ("Anna", "far away"), ("Bo", "no")]


@given(phrases=st.lists(st.sampled_from(["no", "we go", "far away", "no no", "okay"]), min_size=1, max_size=6))
def test_rolling_captions_give_every_phrase_once(tmp_path_factory, phrases):
    """As YouTube writes them: a phrase below the one before it, then alone for 10 ms."""
    lines = ["WEBVTT", "", "00:59.000 --> 01:00.000", "w<00:59.500>e", ""]
    before = "we"
    for n, phrase in enumerate(phrases):
        first, *rest = phrase.split(" ")
        shown = first + "".join(f"<01:{n:02}.500><c> {word}</c>" for word in rest)
        lines += [f"01:{n:02}.000 --> 01:{n:02}.990", before or " ", shown, ""]
        lines += [f"01:{n:02}.990 --> 01:{n + 1:02}.000", phrase, " ", ""]
        before = phrase
    found = read_transcript(write(tmp_path_factory.getbasetemp(), "rolling.vtt", "\n".join(lines)))
    assert found.text == " ".join(["we", *phrases])


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
        ("a.txt", " \n", "has no words"),
        ("a.srt", b"", "is empty"),
        ("a.srt", bytes(range(256)) * 4, "is not text|not plausible text"),
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
