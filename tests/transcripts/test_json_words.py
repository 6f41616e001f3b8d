"""Words with times in JSON."""

from __future__ import annotations

import json
import math

import pytest

from multiemo.errors import MediaError
from multiemo.transcripts import read_transcript
from tests.support.captions import times, write


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
    assert found.notes == ("3 entries without times or text were left out; the first is no. 0",)


def test_json_with_clocks(tmp_path):
    data = [{"start_time": "00:00:01.5", "end_time": "0:02", "text": "Hello."}, {"start": "1:02:03,5", "text": "Bye."}]
    found = times(read_transcript(write(tmp_path, "a.json", json.dumps(data))))
    assert found == [(1.5, 2.0, "Hello."), (3723.5, 3723.5, "Bye.")]
