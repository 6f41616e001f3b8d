"""Captions other than SRT and WebVTT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiemo.predict.formats.subtitles import srt
from multiemo.transcripts import read_transcript
from tests.support.captions import ASS, beside, times, write

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


def test_a_timeline_of_ours_is_no_transcript(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    entry = {"start": 0.0, "end": 2.0, "label": "happy", "best": "happy", "probs": {"happy": 0.9}, "text": "So happy!"}
    made = srt({"input": "clip.mp4", "duration": 2.0, "segments": [entry], "skipped": []})
    assert "So happy!" in made
    write(tmp_path, "clip.srt", made)
    assert beside(media, notes := []) is None
    assert notes == ["clip.srt beside the media is a timeline of emotions and was ignored"]


def test_notes_of_captions(tmp_path):
    assert read_transcript(write(tmp_path, "a.ass", ASS)).notes == (
        "1 line(s) whose times cannot be read were left out",
    )
    found = read_transcript(write(tmp_path, "a.smi", SAMI))
    assert found.notes == ("it has several languages; ENCC was read, not KRCC",)


@pytest.mark.parametrize(
    ("content", "starts"),
    [
        ("[00:00:01] Anna: hello\n[00:01:05] Bo: bye\n", [1.0, 65.0]),
        ("[1:00:05]a\n[01:00:59.5]b\n[01:01:00]c\n", [3605.0, 3659.5, 3660.0]),
        ("[00:01:50]a\n[00:02:75]b\n", [1.5, 2.75]),
        ("[00:01:500]a\n[00:02:000]b\n", [1.5, 2.0]),
        ("[ti:Song]\n[00:01:50]a\n[00:02:25]b\n", [1.5, 2.25]),
        ("[00:01]a\n[01:02.50]b\n", [1.0, 62.5]),
    ],
)
def test_three_fields_are_hours_minutes_seconds_unless_they_are_lyrics(tmp_path, content, starts):
    assert [cue.start for cue in read_transcript(write(tmp_path, "a.txt", content)).cues] == starts


@given(seconds=st.lists(st.integers(0, 99 * 3600), min_size=1, max_size=6, unique=True))
def test_clock_times_in_brackets_are_what_they_say(tmp_path_factory, seconds):
    lines = [f"[{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}] word" for s in sorted(seconds)]
    path = write(tmp_path_factory.getbasetemp(), "clock.txt", "\n".join(lines))
    assert [cue.start for cue in read_transcript(path).cues] == sorted(seconds)
