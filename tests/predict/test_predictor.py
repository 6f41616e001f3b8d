"""A film of some length: turns of speech, pauses, words with times, faces."""

from __future__ import annotations

import numpy as np
import pytest

import multiemo
from multiemo.errors import ConfigError
from multiemo.predict import Item, Predictor, Stream
from multiemo.predict.reader import Options
from multiemo.transcripts import Cue, Transcript
from multiemo.types import Clip
from tests.support.answers import spans
from tests.support.documents import check_record


def test_a_long_film_is_cut_into_turns_and_pauses_that_tile_it(entry, talk):
    found = spans(entry)
    assert found[0]["start"] == 0
    assert found[-1]["end"] == pytest.approx(entry["duration"], abs=0.01)
    assert [a["end"] for a in found[:-1]] == [b["start"] for b in found[1:]]
    kinds = [s["kind"] for s in found]
    assert set(kinds) == {"speech", "pause"}
    assert kinds.count("speech") >= 5
    for segment in entry["segments"]:
        assert ("speech" in segment["present"]) == (segment["kind"] == "speech")
        assert segment["absent"].get("speech") == (None if segment["kind"] == "speech" else "nobody speaks here")
    assert entry["words"] == {"absent": "no transcript was given, beside the file or in it"}


def test_every_segment_is_smoothed_over_time_and_sums_to_one(entry, model):
    for segment in entry["segments"]:
        smoothed = segment["smoothed"]
        assert list(smoothed["probs"]) == list(model.labels)
        assert sum(smoothed["probs"].values()) == pytest.approx(1, abs=1e-5)
        assert smoothed["label"] == max(smoothed["probs"], key=smoothed["probs"].get)
    raw = np.array([list(s["probs"].values()) for s in entry["segments"]])
    smooth = np.array([list(s["smoothed"]["probs"].values()) for s in entry["segments"]])
    assert np.abs(raw - smooth).max() > 1e-3


def test_a_segment_says_what_training_would_have_read_there(entry, model, talk):
    """The same span as a row of a manifest: read anew, faces looked for in every picture."""
    compared = 0
    for segment in entry["segments"]:
        clip = Clip(id="s", corpus="c", video=talk.name, start=segment["start"], end=segment["end"])
        (row,) = model.reader.open(Item("s", clip=clip, folder=talk.parent)).segments
        row.inputs = {m: x for m, x in row.inputs.items() if m in segment["present"]}
        assert list(row.inputs) == segment["present"]
        (slow, _) = model.classify([row])[0]
        for m in segment["present"]:
            for label, p in slow["by_modality"][m].items():
                assert p == pytest.approx(segment["by_modality"][m][label], abs=0.05)
        compared += 1
    assert compared >= 5


def test_words_go_to_the_segment_in_which_they_are_said(model, talk):
    whole = [s for s in spans(model.predict(talk)) if s["kind"] == "speech"]
    cues = [Cue(s["start"] + 0.1, s["end"] - 0.1, f"word{n} 真的{n}") for n, s in enumerate(whole)]
    transcript = Transcript.of(cues, "talk.srt", language="en")
    entry = model.predict_item(Item("talk", talk, transcript=transcript))
    assert entry["words"] == {"source": "talk.srt", "language": "en"}
    said = [s for s in entry["segments"] if s["kind"] == "speech"]
    assert [s["text"] for s in said] == [f"word{n} 真的{n}" for n in range(len(whole))]
    assert all("text" in s["present"] for s in said)
    pauses = [s for s in spans(entry) if s["kind"] == "pause"]
    assert pauses
    assert all(s["absent"]["text"] == "no words in this segment" for s in pauses)


def test_words_without_times_are_spread_and_said_to_be(model, talk):
    entry = model.predict(talk, text=" ".join(f"w{n}" for n in range(60)))
    said = " ".join(s["text"] for s in spans(entry) if "text" in s)
    assert said.split() == [f"w{n}" for n in range(60)]
    assert any("spread evenly over" in note for note in entry["notes"])
    assert all(("text" in s) == (s["kind"] == "speech") for s in spans(entry))
    short = model.predict(text="hello there")
    assert short["segments"][0]["present"] == ["text"]


def test_a_transcript_beside_the_file_is_read(model, talk, tmp_path):
    film = tmp_path / "other.mp4"
    film.write_bytes(talk.read_bytes())
    film.with_suffix(".srt").write_text("1\n00:00:00,200 --> 00:00:01,500\nHello you\n", "utf-8")
    entry = model.predict(film)
    assert entry["words"]["source"] == "other.srt"
    assert spans(entry)[0]["text"] == "Hello you"


@pytest.mark.parametrize(("options", "starts"), [({"window": 4.0}, 4.0), ({"window": 3.0, "hop": 1.5}, 1.5)])
def test_fixed_windows_when_asked_for(tiny_run, talk, options, starts):
    entry = multiemo.load(tiny_run, segments="windows", **options).predict(talk)
    found = spans(entry)
    assert {s["kind"] for s in found} == {"window"}
    assert [s["start"] for s in found] == [pytest.approx(starts * n) for n in range(len(found))]
    assert found[-1]["end"] == pytest.approx(entry["duration"], abs=0.01)


def test_one_segment_when_asked_for(tiny_run, talk):
    entry = multiemo.load(tiny_run, segments="whole").predict(talk)
    (segment,) = entry["segments"]
    assert (segment["kind"], segment["start"]) == ("whole", 0)
    assert segment["probs"] == segment["smoothed"]["probs"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segments": "words"}, "segments: 'words' is not one of"),
        ({"window": 0.1}, "window: 0.1 s; it must lie between"),
        ({"hop": 9.0, "segments": "windows"}, "hop: 9.0 s; it must lie between"),
        ({"hop": 1.0}, "hop: it applies to windows only"),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Options(**options)


def test_several_people_are_kept_apart_and_the_choice_is_reported(model, pair):
    entry = model.predict(pair)
    check_record(entry)
    (segment,) = entry["segments"]
    assert segment["face"]["chosen"] == "largest and steadiest"
    said = {person["person"]: person["probs"] for person in segment["face"]["people"]}
    assert len(said) == 2
    assert said[segment["face"]["person"]] == segment["by_modality"]["face"]
    assert all(sum(probs.values()) == pytest.approx(1, abs=1e-5) for probs in said.values())
    assert [lane["person"] for lane in entry["people"]] == sorted(said)
    assert any("2 faces found" in note for note in entry["notes"])


def test_public_names(tiny_run):
    assert multiemo.stream is not None
    stream = multiemo.stream(tiny_run, video=False)
    assert isinstance(stream, Stream)
    assert isinstance(multiemo.load(tiny_run), Predictor)
    stream.close()
