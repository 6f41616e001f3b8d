"""Transcripts whose times do not fit the media file."""

from __future__ import annotations

import json
import math

from multiemo.transcripts import Cue, Transcript, fit_to_media, read_transcript, why_not_placed, words_after_end
from tests.support.captions import times, write


def test_pictures_are_counted_by_those_of_the_film(tmp_path):
    found = read_transcript(write(tmp_path, "a.sub", "{30}{60}Hello.\n"))
    assert times(fit_to_media(found, 60.0, fps=30.0)) == [(1.0, 2.0, "Hello.")]
    assert fit_to_media(found, 60.0).notes == (
        "the times of a.sub are frame numbers; 25 frames per second were assumed",
    )


# --- times that are not the film's
def spoken(*times: tuple[float, float]) -> Transcript:
    return Transcript.of([Cue(start, end, "I did not know that.") for start, end in times], "a.srt")


def test_times_in_milliseconds(tmp_path):
    data = [
        {"start": 500, "end": 2500, "text": "I did not know that."},
        {"start": 3000, "end": 5000, "text": "Well, I did."},
    ]
    found = fit_to_media(read_transcript(write(tmp_path, "a.json", json.dumps(data))), 20.0)
    assert times(found) == [(0.5, 2.5, "I did not know that."), (3.0, 5.0, "Well, I did.")]
    assert found.notes == ("the times of a.json are milliseconds, and were divided by 1000",)
    table = read_transcript(write(tmp_path, "a.tsv", "start\tend\ttext\n500\t2500\tI did not know that.\n"))
    assert fit_to_media(table, 2.0).cues[0].end == 2.5
    starts = [{"start": 500 + 2000 * i, "text": "I did not know that."} for i in range(4)]
    found = read_transcript(write(tmp_path, "b.json", json.dumps(starts)))
    assert [c.start for c in fit_to_media(found, 9.0).cues] == [
        0.5, 2.5, 4.5, 6.5,
    ]  # fmt: skip


def test_seconds_stay_seconds():
    """Captions of a long film beside a short clip, a long caption, and a file that contains all captions."""
    for words, length in [
        (spoken((0, 2), (500, 502)), 20.0),
        (spoken((0, 30), (500, 530)), 20.0),
        (spoken((0, 2000)), 3000.0),
    ]:
        assert fit_to_media(words, length) == words


def test_times_that_begin_at_an_hour():
    found = fit_to_media(spoken((3601, 3603), (3610, 3612)), 20.0)
    assert [(c.start, c.end) for c in found.cues] == [(1.0, 3.0), (10.0, 12.0)]
    assert found.notes == ("the times of a.srt begin at 01:00:00, which was taken as the beginning of the file",)
    assert fit_to_media(spoken((36000.5, 36002)), 20.0).cues[0].start == 0.5
    long = [(3605 + 60 * i, 3607 + 60 * i) for i in range(90)]  # to 02:30 in a film of 91 minutes
    assert fit_to_media(spoken(*long), 5460.0).cues[0].start == 5.0
    late = spoken(*[(3605 + 60 * i, 3607 + 60 * i) for i in range(40)])
    assert fit_to_media(late, 7200.0) == late
    assert fit_to_media(spoken((3601, 3603), (3700, 3702)), 20.0).notes == ()  # longer than the film


def test_words_outside_the_film_are_counted():
    words = spoken((1, 3), (90, 92))
    assert why_not_placed(words, 20.0) is None
    assert words_after_end(words, 20.0) == [
        "5 of 10 words of a.srt lie after the file's end (20.0 s) and were left out"
    ]
    assert "run from 90.0 to 92.0 s, and the file ends at 20.0 s" in str(why_not_placed(spoken((90, 92)), 20.0))
    assert words_after_end(spoken((18, 21.5)), 20.0) == []
    assert fit_to_media(spoken((754, 756)), 4.0, whole=True).cues[0].start == 0.0
    assert why_not_placed(Transcript.untimed("Hello.", "given"), 1.0) is None


def test_a_transcript_without_words_is_not_placed():
    for empty in (Transcript.of([], "a.srt"), Transcript.untimed(" ", "a.srt")):
        assert why_not_placed(empty, 1.0) == "the transcript (a.srt) has no words and was not used"
    assert why_not_placed(spoken((1, 3)), math.inf) is None
