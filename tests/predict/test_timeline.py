"""A film of some length: turns of speech, pauses, words with times, faces, and the same from a stream."""

from __future__ import annotations

import json

import numpy as np
import pytest

import multiemo
from multiemo.data.media import Playback, PlayedSound, read_media
from multiemo.data.transcripts import Cue, Transcript
from multiemo.errors import ConfigError, MediaError
from multiemo.predict import Item, Predictor, Stream
from multiemo.predict.reader import Options
from multiemo.predict.segments import TRACK_FPS
from multiemo.types import Clip
from tests.support.documents import check_record

#: Of the film, Hz.
RATE = 16000


def spans(entry):
    """All segments and skipped spans of an entry, in order of time."""
    return sorted([*entry["segments"], *entry["skipped"]], key=lambda s: s["start"])


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
        ({"hop": 1.0}, "hop: only windows overlap"),
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


# ------------------------------------------------------------------------------------------------------------- streams
def pieces(talk, seconds, rate=RATE):
    """The film as pieces of sound with the pictures that came before each ended."""
    playback = Playback(talk, rate=rate, fps=TRACK_FPS)
    heard, pictures = [], []
    for piece in playback.pieces():
        if isinstance(piece, PlayedSound):
            heard.append(piece.samples)
        else:
            pictures.append(piece)
    sound = np.concatenate(heard)
    step = round(seconds * rate)
    for start in range(0, len(sound), step):
        edge = (start + step) / rate
        yield sound[start : start + step], [p for p in pictures if p.time < edge]
        pictures = [p for p in pictures if p.time >= edge]
    yield np.zeros(0, np.float32), pictures


def stream_all(stream, talk, seconds):
    said, delays = [], []
    now = 0.0
    for sound, pictures in pieces(talk, seconds):
        for picture in pictures:
            said += stream.push(frame=picture.frame, time=picture.time)
        got = stream.push(audio=sound)
        now += len(sound) / RATE
        delays += [now - e["end"] for e in got]
        said += got
    return said + stream.close(), delays


@pytest.mark.parametrize("seconds", [0.05, 0.7, 6.0])
def test_a_stream_in_pieces_of_any_size_says_what_the_file_says(model, talk, entry, seconds):
    said, _ = stream_all(model.stream(), talk, seconds)
    whole = spans(entry)
    assert [(s["start"], s["kind"], s.get("label")) for s in said] == [
        (s["start"], s["kind"], s.get("label")) for s in whole
    ]
    for a, b in zip(said, whole, strict=True):
        if "probs" in b:
            assert a["probs"] == pytest.approx(b["probs"], abs=2e-3)
            assert a["smoothed"]["label"] == b["smoothed"]["label"]


def test_a_stream_answers_while_it_runs(model, talk):
    said, delays = [], []
    stream = model.stream(video=False)
    for n, (sound, _) in enumerate(pieces(talk, 0.25)):
        got = stream.push(audio=sound)
        said += got
        delays += [0.25 * (n + 1) - e["end"] for e in got]
    assert len(delays) >= 6
    said += stream.close()
    longest = max(s["end"] - s["start"] for s in said)
    assert max(delays) < 3 * longest + 2  # its own end, and the two segments that smoothing waits for


def test_a_stream_takes_words_and_another_rate(model, talk):
    sound = read_media(talk, rate=44100).audio
    assert sound is not None
    with model.stream(rate=44100, video=False) as stream:
        said = stream.push(words=[Cue(0.2, 1.0, "hello")])
        for start in range(0, len(sound), 4410):
            said += stream.push(audio=sound[start : start + 4410])
        said += stream.close()
    for segment in said:
        check_record(segment)
    assert said[0]["text"] == "hello"
    assert {"text", "speech"} <= set(said[0]["present"])
    assert all(s["absent"]["face"] == "there are no pictures" for s in said)


def test_a_stream_without_sound_goes_by_windows(model):
    face = np.full((96, 128, 3), 90, np.uint8)
    stream = model.stream(audio=False, window=2.0)
    said = [e for n in range(61) for e in stream.push(frame=face, time=n / 10)]
    said += stream.close()
    assert [s["end"] for s in said] == [2.0, 4.0, 6.0]
    assert all("no face found" in s["absent"]["face"] for s in said)


def test_memory_of_a_stream_is_bounded(model):
    rng = np.random.default_rng(0)
    stream = model.stream(video=False, segments="windows", window=1.0)
    sizes = []
    for _ in range(40):
        stream.push(audio=rng.normal(0, 0.1, RATE // 2).astype(np.float32))
        sizes.append(sum(map(len, stream._stream._sound._blocks)))
    assert max(sizes) <= 3 * RATE
    stream.close()


def test_what_a_stream_cannot_use_is_an_error_that_says_so(model):
    silence = np.zeros(1600, np.float32)
    with model.stream(video=False) as stream:
        with pytest.raises(MediaError, match="video=False"):
            stream.push(frame=np.zeros((4, 4, 3), np.uint8), time=0.0)
        with pytest.raises(MediaError, match=r"\[N\] floats"):
            stream.push(audio=np.zeros((2, 10), np.float32))
        with pytest.raises(MediaError, match=r"\[N\] floats"):
            stream.push(audio=np.zeros(10, np.int16))
        with pytest.raises(MediaError, match="not finite"):
            stream.push(audio=np.array([np.nan], np.float32))
    with pytest.raises(MediaError, match="is closed"):
        stream.push(audio=silence)
    with model.stream(audio=False) as stream:
        with pytest.raises(MediaError, match="audio=False"):
            stream.push(audio=silence)
        with pytest.raises(MediaError, match="needs its time"):
            stream.push(frame=np.zeros((4, 4, 3), np.uint8))
        with pytest.raises(MediaError, match=r"\[H, W, 3\] uint8"):
            stream.push(frame=np.zeros((4, 4), np.uint8), time=0.0)
        with pytest.raises(MediaError, match="times are seconds from the beginning"):
            stream.push(frame=np.zeros((4, 4, 3), np.uint8), time=1e9)


def test_public_names(tiny_run):
    assert multiemo.stream is not None
    stream = multiemo.stream(tiny_run, video=False)
    assert isinstance(stream, Stream)
    assert isinstance(multiemo.load(tiny_run), Predictor)
    stream.close()


# ---------------------------------------------------------------------------------------------------------------- files
def test_predict_writes_timelines(cli, tiny_run, talk, tmp_path):
    out = tmp_path / "timelines"
    code, printed, _ = cli("predict", tiny_run, talk, "--timeline", out, "--json", tmp_path / "p.json")
    assert code == 0
    assert sorted(p.name for p in out.iterdir()) == [
        f"talk.{s}" for s in ("TextGrid", "csv", "eaf", "html", "json", "png", "srt", "vtt")
    ]
    assert "over time: " in printed or "timeline: " in printed
    entry = json.loads((tmp_path / "p.json").read_text("utf-8"))["inputs"][0]
    assert json.loads((out / "talk.json").read_text("utf-8"))["inputs"][0] == entry
    page = (out / "talk.html").read_text("utf-8")
    assert "data:image/jpeg;base64" in page  # a face


def test_two_inputs_of_one_name_do_not_overwrite_each_other(cli, tiny_run, talk, tmp_path):
    other = tmp_path / "other" / talk.name
    other.parent.mkdir()
    other.write_bytes(talk.read_bytes())
    out = tmp_path / "out"
    assert cli("predict", tiny_run, talk, other, "--timeline", out, "--format", "srt")[0] == 0
    assert sorted(p.name for p in out.iterdir()) == ["talk-2.srt", "talk.srt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "srt"], "give --timeline DIR too"),
        (["--timeline", "T", "--format", "xyz"], "no timeline format 'xyz'"),
        (["--out", "O", "--hop", "1"], "--out takes the files as they are"),
        (["--segments", "words"], "is not one of auto, whole"),
        (["--transcript", "missing.srt"], "missing.srt"),
    ],
)
def test_wrong_options_are_one_line(cli, tiny_run, talk, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = cli("predict", tiny_run, talk, *options)
    assert code in (1, 2)
    assert message in error
    assert error.count("\n") == 1


def test_live_replays_a_file_at_the_speed_of_life(cli, tiny_run, small_corpus, tmp_path):
    clip = next(small_corpus.parent.glob("media/*.mp4"))
    code, out, _ = cli("live", tiny_run, "--replay", clip, "--no-microphone", "--json", tmp_path / "l.json")
    assert code == 0
    said = json.loads((tmp_path / "l.json").read_text("utf-8"))["segments"]
    assert said
    assert out.count("\n") == len(said)
