"""Words beside a film, and what becomes of those whose times are not its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiemo.applications.calls import analyse_call
from multiemo.errors import MediaError
from multiemo.predict import Item, Predictor, load
from multiemo.transcripts import Cue, read_transcript
from tests.support.media_files import grid, tone, write

LINES = ["I am so happy today.", "This makes me very angry.", "I am sad now."]


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    return load(tiny_run, segments="windows")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of sound: three windows."""
    path = tmp_path_factory.mktemp("film") / "talk.wav"
    return write(path, audio=tone(12.0, 16000), rate=16000, audio_codec="pcm_s16le")


@pytest.fixture
def talk(film: Path, tmp_path: Path) -> Path:
    (tmp_path / "talk.wav").symlink_to(film)
    return tmp_path / "talk.wav"


def words_of(start: float = 0.0, unit: float = 1.0) -> str:
    """Whisper's JSON of a line in each window."""
    times = [(start + 4 * i + 0.5, start + 4 * i + 3.5) for i in range(3)]
    lines = [{"start": a * unit, "end": b * unit, "text": text} for (a, b), text in zip(times, LINES, strict=True)]
    return json.dumps({"segments": lines})


def said(entry: dict) -> list[str | None]:
    parts = sorted([*entry["segments"], *entry["skipped"]], key=lambda segment: segment["start"])
    return [segment.get("text") for segment in parts]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (words_of(), None),
        (words_of(unit=1000.0), "the times of talk.json are milliseconds, and were divided by 1000"),
        (words_of(unit=1e6), "the times of talk.json are microseconds, and were divided by 1000000"),
        (words_of(3600), "the times of talk.json begin at 01:00:00, which was taken as the beginning of the file"),
        (
            words_of(36000, 1000.0),
            "the times of talk.json begin at 10:00:00, which was taken as the beginning of the file",
        ),
    ],
)
def test_times_that_can_be_understood(predictor, talk, content, note):
    talk.with_suffix(".json").write_text(content)
    entry = predictor.predict(talk)
    assert said(entry) == LINES
    assert entry["words"]["source"] == "talk.json"
    assert [line for line in entry["notes"] if "talk.json" in line and "divided by" not in str(line)] == (
        [note] if note and "divided" not in note else []
    )
    assert note is None or note in entry["notes"]
    given = predictor.predict_item(Item("talk", talk, transcript=read_transcript(talk.with_suffix(".json"))))
    assert said(given) == LINES


def test_words_of_which_none_can_be_placed(predictor, talk):
    """They are not called used, whether they lay beside it or were given, and the next best are read instead."""
    talk.with_suffix(".json").write_text(words_of(754.0))
    for item in (Item("talk", talk), Item("talk", talk, transcript=read_transcript(talk.with_suffix(".json")))):
        entry = predictor.predict_item(item)
        assert said(entry) == [None] * len(said(entry))
        assert list(entry["words"]) == ["absent"]
        assert "no word of talk.json could be placed: its times run from 754.5 to 765.5 s" in entry["words"]["absent"]
        assert entry["words"]["absent"] in entry["notes"]
    talk.with_suffix(".txt").write_text(" ".join(LINES))
    entry = predictor.predict(talk)
    assert entry["words"]["source"] == "talk.txt"
    assert "no word of talk.json could be placed" in " ".join(entry["notes"])


def test_words_after_the_end_are_counted(predictor, talk, tmp_path):
    talk.with_suffix(".json").write_text(words_of(8.0))
    entry = predictor.predict(talk)
    assert said(entry)[2] == LINES[0]
    assert "9 of 14 words of talk.json lie after the file's end (12.0 s) and were left out" in entry["notes"]
    talk.with_suffix(".json").write_text(json.dumps([{"start": 11.0, "end": 13.5, "text": LINES[0]}]))
    entry = predictor.predict(talk)
    assert said(entry)[-1] == LINES[0]
    assert not [note for note in entry["notes"] if "left out" in note]


def test_a_short_clip_takes_the_words_of_its_length(tiny_run, tmp_path):
    clip = write(tmp_path / "clip.wav", audio=tone(3.0, 16000), rate=16000, audio_codec="pcm_s16le")
    (tmp_path / "clip.json").write_text(json.dumps([{"start": 754.0, "end": 756.0, "text": LINES[0]}]))
    model = load(tiny_run)
    assert said(entry := model.predict(clip)) == [LINES[0]]
    assert "the times of clip.json begin at 754.0 s, after the file's end; all of it was read" in entry["notes"]
    long = [{"start": 2.0 * i, "end": 2.0 * i + 1.5, "text": line} for i, line in enumerate(LINES * 20)]
    (tmp_path / "clip.json").write_text(json.dumps(long))
    assert said(model.predict(clip)) == [" ".join(LINES[:2])]  # to the end of the one that is being spoken


def test_pictures_of_the_film_count_those_of_its_subtitles(predictor, tmp_path):
    film = write(tmp_path / "film.mp4", stamps=grid(100, 10.0), audio=tone(10.0))
    (tmp_path / "film.sub").write_text("{5}{35}I am so happy today.\n{45}{75}I am sad now.\n")
    entry = predictor.predict(film)
    assert said(entry)[:2] == ["I am so happy today.", "I am sad now."]
    assert "the times of film.sub are frame numbers; 10" in " ".join(entry["notes"])


def test_a_still_takes_the_words_that_are_given(predictor, small_corpus, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 120, 90)).save(tmp_path / "a.png")
    (tmp_path / "w.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nSo happy!\n")
    entry = predictor.predict_item(Item("a", tmp_path / "a.png", transcript=read_transcript(tmp_path / "w.srt")))
    assert "text" in entry["present"]


def test_a_call_goes_on_without_words_that_cannot_be_read(tiny_run, talk):
    talk.with_suffix(".srt").write_text("no times\n")
    talk.with_suffix(".json").write_text(words_of(754.0))
    notes = " ".join(analyse_call(tiny_run, talk)["notes"])
    assert "the transcript beside it was ignored" in notes
    assert "no word of talk.json could be placed" in notes
    talk.with_suffix(".json").write_text(words_of(3600.0))
    found = analyse_call(tiny_run, talk)
    assert [line["text"] for line in found["timelines"]["call"]] == [" ".join(LINES)] or "words: talk.json" in found[
        "notes"
    ]
    assert "the times of talk.json begin at 01:00:00" in " ".join(found["notes"])


def test_words_in_a_stream_are_in_seconds(predictor):
    with predictor.stream(video=False) as stream:
        with pytest.raises(MediaError, match=r"last from 500 to 2500 s; give times in seconds, not milliseconds"):
            stream.push(words=[Cue(500, 2500, "So happy!")])
        with pytest.raises(MediaError, match="have no times; give both in seconds"):
            stream.push(words=[Cue(1.0, float("nan"), "So happy!")])
        stream.push(words=[Cue(0.5, 2.5, "So happy!"), Cue(3.0, 90.0, "a long story " * 20)])


def test_entities_change_no_answer(predictor):
    plain, escaped = (
        predictor.predict(text=text)["segments"][0]["probs"]
        for text in ("I'm so <b>happy</b> & glad", "I&#39;m so &lt;b&gt;happy&lt;/b&gt; &amp; glad")
    )
    assert plain == escaped


def test_awkward_words(real_data, predictor):
    """The inputs that showed it."""
    folder = real_data / "awkward"
    if not folder.is_dir():
        pytest.skip("the awkward inputs are not there")
    entry = predictor.predict(folder / "spoken.mp4")
    assert (entry["words"]["source"], "text" in entry["present"]) == ("spoken.mp4.srt", True)
    entry = predictor.predict(folder / "long.mp4")
    assert "the times of long.json are milliseconds, and were divided by 1000" in entry["notes"]
    assert " ".join(filter(None, said(entry))) == "I am so happy today this makes me very angry I am sad"
