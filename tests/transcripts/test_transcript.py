"""The words of a time span."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.transcripts import Cue, Transcript


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
