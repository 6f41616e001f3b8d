"""Captions in XML."""

from __future__ import annotations

from multiemo.preprocess.text import clean
from multiemo.transcripts import read_transcript
from tests.support.captions import ASS, times, write


def test_ttml_of_netflix_and_of_apple(tmp_path):
    """Times in ticks; and absolute times without a unit, in spans within paragraphs."""
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
