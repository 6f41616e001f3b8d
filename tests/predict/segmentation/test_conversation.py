"""A dialogue by every way in: the model reads of each turn what it reads of a manifest's row in training."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from multiemo.applications import texts
from multiemo.applications.calls import analyse_call
from multiemo.applications.texts import predict_texts
from multiemo.bulk import plan as bulk_plan
from multiemo.bulk import predict_bulk
from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError
from multiemo.inputs.dataset import ClipDataset
from multiemo.inputs.text import TextInput
from multiemo.media.reading import read_media
from multiemo.predict import Item, Predictor, expand, load
from multiemo.predict.live import in_real_time, listen, replay
from multiemo.predict.reader import Options
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.transcripts import Cue, Transcript, read_transcript
from tests.support.media_files import wav

RATE, WINDOW, WIDTH = 16000, 2.0, 3
#: Who says what; a turn without words is none.
TURNS = [
    ("ann", "I got the job today"),
    ("bob", "no way, what was that"),
    ("ann", None),
    ("bob", "so happy for you"),
    ("bob", "all is well then"),
    ("ann", "leave me alone"),
    ("ann", "I am sad"),
    ("bob", "what is it now"),
]
SAID = [(speaker, text) for speaker, text in TURNS if text is not None]


def save_rows(path: Path, turns: list[tuple[str | None, str | None]], labels: str = "happy sad angry") -> Path:
    """A manifest of conversations of eight turns; rows without words have a picture."""
    names = labels.split()
    rows = [
        {"id": f"u{i}", "corpus": "x", "speaker": speaker, "group": f"d{i // len(TURNS)}", "text": text,
         "image": None if text else "none.png", "label_set": "demo5", "label": names[i % len(names)]}
        for i, (speaker, text) in enumerate(turns)
    ]  # fmt: skip
    lines = [json.dumps({k: v for k, v in row.items() if v is not None}) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def run(tiny_config: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of words that reads three earlier turns."""
    folder = tmp_path_factory.mktemp("talk")
    turns = [(f"{speaker}{i // 4 % 6}", text) for i, (speaker, text) in enumerate(SAID * 12)]
    overrides = [f"data.manifest={save_rows(folder / 'talk.jsonl', turns)}", f"encoders.text.context={WIDTH}"]
    train(load_config(tiny_config(folder, modalities=("text",)), [*overrides, "training.epochs=1"]), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def talker(run: Path) -> Predictor:
    return load(run, device="cpu", segments="windows", window=WINDOW)


@pytest.fixture(scope="module")
def expected(talker: Predictor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """{text: what the model reads of it}, as training prepares the rows of a manifest."""
    manifest = save_rows(tmp_path_factory.mktemp("rows") / "one.jsonl", list(TURNS))
    dataset = ClipDataset(
        read_manifest(manifest), manifest.parent, {"text": talker.bundle.inputs["text"]}, LabelSpace("demo5")
    )
    return {str(c.text): dataset[i].inputs["text"].tolist() for i, c in enumerate(dataset.clips) if c.text}


@pytest.fixture
def read(talker: Predictor, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """{text: what the model was given of it}, of all that the predictor classifies."""
    given: dict[str, list[int]] = {}
    classify = Predictor.classify

    def spy(self: Predictor, segments: list) -> list:
        given.update({s.text: s.inputs["text"].tolist() for s in segments if "text" in s.inputs})
        return classify(self, segments)

    monkeypatch.setattr(Predictor, "classify", spy)
    return given


def measured(run: Path, manifest: Path) -> dict[str, dict[str, float]]:
    """{clip id: probabilities} that evaluation gives the words of a manifest."""
    return {r["id"]: r["probs"]["T"] for r in evaluate_run(run, manifest=manifest).predictions if "T" in r["probs"]}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A hum, a window for each turn, and beside it the words with the names of the speakers."""
    path = wav(
        tmp_path / "talk.wav", [0.1 * np.sin(np.arange(round(len(TURNS) * WINDOW * RATE)) / 9).astype(np.float32)]
    )
    blocks = [
        f"00:00:{i * WINDOW + 0.2:06.3f} --> 00:00:{(i + 1) * WINDOW - 0.2:06.3f}\n<v {speaker}>{text}\n\n"
        for i, (speaker, text) in enumerate(TURNS)
        if text is not None
    ]
    path.with_suffix(".srt").write_text("".join(blocks).replace(".", ","), "utf-8")
    return path


# ------------------------------------------------------------------------------------------------------------ each way
def test_the_last_turns_with_words_stand_behind_the_target(talker, expected):
    reader = talker.bundle.inputs["text"].preprocessor
    assert expected["I got the job today"] == reader("I got the job today").tolist()
    before = [(False, "no way, what was that"), (False, "so happy for you"), (False, "all is well then")]
    assert expected["leave me alone"] == reader("leave me alone", before).tolist()
    assert len({len(ids) for ids in expected.values()}) > 1


def test_a_manifest(talker, expected, tmp_path):
    items = expand([save_rows(tmp_path / "one.jsonl", list(TURNS))], context=talker.context)
    for item in items:
        (segment,) = talker.reader.open(item).segments
        if item.text:
            assert segment.inputs["text"].tolist() == expected[item.text]


def test_a_file_and_its_transcript(talker, expected, read, recording):
    entry = talker.predict(recording)
    assert [s["text"] for s in entry["segments"]] == [text for _, text in SAID]
    assert read == expected
    assert [note for note in entry["notes"] if "not smoothed" not in note] == []


def test_the_bytes_of_a_stream_and_a_file_that_is_replayed(talker, expected, read, recording, monkeypatch):
    cues = read_transcript(recording.with_suffix(".srt")).cues
    sound = read_media(recording, rate=RATE).audio
    with talker.stream(video=False, segments="windows") as stream:
        stream.push(words=cues)
        for start in range(0, len(sound), 3000):
            stream.push(audio=sound[start : start + 3000])
        stream.close()
    assert read == expected
    read.clear()
    monkeypatch.setattr("multiemo.predict.live.time.sleep", lambda seconds: None)
    with talker.stream(video=False, segments="windows") as stream:
        stream.push(words=cues)
        list(listen(stream, in_real_time(replay(recording, rate=RATE, video=False), RATE)))
    assert read == expected


def test_words_that_a_recogniser_hears_are_one_speakers(run, read, recording):
    heard = itertools.count()

    class Ears:
        source = "ears"

        def transcribe(self, samples: np.ndarray, start: float) -> Transcript:
            text = TURNS[next(heard)][1]
            return Transcript.of([Cue(start + 0.5, start + 1, text)] if text else [], "ears")

    recording.with_suffix(".srt").unlink()
    predictor = Predictor(
        load_bundle(run), device="cpu", options=Options(segments="windows", window=WINDOW, transcriber=Ears())
    )
    predictor.predict(recording)
    reader = predictor.bundle.inputs["text"].preprocessor
    for i, (_, text) in enumerate(SAID):
        before = [(True, said) for _, said in SAID[max(0, i - WIDTH) : i]]
        assert read[text] == reader(text, before).tolist()


def test_turns_of_speech_with_pauses_between_them(run, read, talk):
    """A pause takes nobody's place."""
    predictor = load(run, device="cpu")
    cut = predictor.predict(talk)["skipped"]
    speech = [s for s in cut if s["kind"] == "speech"]
    assert any(s["kind"] == "pause" for s in cut)
    cues = [Cue(s["start"] + 0.1, s["end"] - 0.1, f"word{n}", "AB"[n % 2]) for n, s in enumerate(speech)]
    predictor.predict_item(Item("talk", talk, transcript=Transcript.of(cues, "talk.srt", language="en")))
    reader = predictor.bundle.inputs["text"].preprocessor
    assert len(read) >= 5
    for n, cue in enumerate(cues):
        before = [(c.speaker == cue.speaker, c.text) for c in cues[max(0, n - WIDTH) : n]]
        assert read[cue.text] == reader(cue.text, before).tolist()


def test_windows_that_overlap_do_not_read_their_own_words_as_earlier_ones(run, recording):
    predictor = load(run, device="cpu", segments="windows", window=WINDOW, hop=WINDOW / 4)
    sayings: dict[str, list[str]] = {}
    reader = predictor.bundle.inputs["text"].preprocessor
    read, reader_call = sayings.__setitem__, type(reader).__call__

    class Spy:
        spec = reader.spec

        def __call__(self, text: str, context: list) -> torch.Tensor:
            read(text, [said for _, said in context])
            return reader_call(reader, text, context)

    predictor.reader.inputs = {"text": TextInput("text", Spy())}
    predictor.predict(recording)
    every = " ".join(text for _, text in SAID)
    assert len(sayings) > 2 * len(SAID)
    for text, before in sayings.items():
        assert " ".join([*before, text]) in every, (before, text)
    assert max(map(len, sayings.values())) == WIDTH


def test_a_call_whose_channels_are_the_speakers(run, talker, read, small_corpus, tmp_path):
    """The turns of both stand in the order in which they begin."""
    media = small_corpus.parent
    voices = [read_media(media / c.video, rate=RATE).audio for c in read_manifest(small_corpus) if c.video][:6]
    silence = np.zeros(2 * RATE, np.float32)
    sides: list[list[np.ndarray]] = [[], []]
    cues, now = [], 0.0
    for n, voice in enumerate(v[: 4 * RATE] for v in voices):
        cues.append({"start": now, "end": now + len(voice) / RATE, "text": f"word{n}", "speaker": "LR"[n % 2]})
        sides[n % 2] += [voice * 0.5 / np.abs(voice).max(), silence]
        sides[1 - n % 2] += [np.zeros_like(voice), silence]
        now += len(voice) / RATE + 2
    path = wav(tmp_path / "call.wav", [np.concatenate(side) for side in sides])
    path.with_suffix(".json").write_text(json.dumps(cues), "utf-8")
    call = analyse_call(run, path, speakers=("L", "R"))
    assert [s["text"] for s in call["timelines"]["L"] if s["text"]] == [c["text"] for c in cues[::2]]
    reader = talker.bundle.inputs["text"].preprocessor
    for n, cue in enumerate(cues):
        before = [(c["speaker"] == cue["speaker"], c["text"]) for c in cues[max(0, n - WIDTH) : n]]
        assert read[cue["text"]] == reader(cue["text"], before).tolist()


def test_a_table_with_a_column_of_conversations(run, tmp_path, monkeypatch):
    """Two conversations whose rows lie between each other's, over the edges of what is read at a time."""
    manifest = save_rows(tmp_path / "two.jsonl", [*TURNS, *reversed(TURNS)])
    right = measured(run, manifest)
    clips = read_manifest(manifest)
    table = tmp_path / "two.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "who", "talk", "text"])
        for pair in zip(clips[:8], clips[8:], strict=True):
            writer.writerows([c.id, c.speaker, f" {c.group}", c.text] for c in pair)
        writer.writerow(["last", "ann", "", SAID[-1][1]])
    monkeypatch.setattr(texts, "WINDOW", 5)
    done = predict_texts(run, table, column="text", out=tmp_path / "o.csv", conversation="talk", speaker="who")
    found = {row["id"]: row for row in csv.DictReader((tmp_path / "o.csv").open(encoding="utf-8"))}
    assert len(right) == 14
    for name, probs in right.items():
        given = [float(found[name][f"p_{label}"]) for label in load_bundle(run).labels]
        assert given == pytest.approx(probs, abs=2e-6)
    assert done["conversations"] == 2
    assert done["notes"] == ["1 rows have no 'talk' and were read without earlier turns"]
    alone = predict_texts(run, table, column="text", out=tmp_path / "alone.csv")
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "alone.csv").open(encoding="utf-8"))}
    assert rows["u7"]["p_happy"] == rows["last"]["p_happy"] == found["last"]["p_happy"] != found["u7"]["p_happy"]
    assert alone["notes"] == [
        "the model reads up to 3 earlier turns of a conversation, but no conversation was given; name the column that "
        "identifies it with --conversation"
    ]


def test_a_table_on_the_command_line(cli, run, tiny_run, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("text,talk,who\nso happy,a,x\nleave me,a,y\n", "utf-8")
    given = ("texts", run, table, "--column", "text", "--out", tmp_path / "o.csv")
    code, said, _ = cli(*given, "--conversation", "talk")
    assert code == 0
    assert "note: all turns of a conversation were read as one speaker's; name the speakers with --speaker" in said
    assert "note" not in cli(*given, "--conversation", "talk", "--speaker", "who")[1]
    code, _, err = cli(*given, "--speaker", "who")
    assert (code, "add --conversation" in err) == (2, True)
    code, _, err = cli(*given, "--conversation", "chat")
    assert (code, "has no column 'chat'" in err) == (2, True)
    with pytest.raises(ConfigError, match="reads no earlier turns, so 'talk' would have no effect"):
        predict_texts(tiny_run, table, column="text", out=tmp_path / "n.csv", conversation="talk")


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_dialogue_that_lies_in_several_shards(run, tmp_path, engine, monkeypatch):
    if engine == "ray":
        pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(bulk_plan, "SHARD", 3)
    manifest = save_rows(tmp_path / "two.jsonl", [turn for turn in (*TURNS, *TURNS[::-1]) if turn[1]])
    right = measured(run, manifest)
    predict_bulk(run, [manifest], tmp_path / "out", workers=1, engine=engine)
    lines = (tmp_path / "out" / "predictions.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == len(right) == 14
    for entry in map(json.loads, lines):
        assert list(entry["segments"][0]["probs"].values()) == pytest.approx(right[entry["input"]], abs=2e-6)


# -------------------------------------------------------------------------------------------------- memory, and notes
def test_a_stream_of_any_length_keeps_the_last_turns_alone(talker):
    stream = talker.stream(video=False, segments="windows", window=0.5)
    dialogue = next(stream._conversation._dialogues)
    for n in range(200):
        stream.push(words=[Cue(n / 2, n / 2 + 0.4, f"so happy {n}")], audio=np.zeros(RATE // 2, np.float32))
        assert len(dialogue._turns) <= WIDTH
    assert len(dialogue._turns) == WIDTH
    stream.close()


@pytest.mark.parametrize("of_file", [False, True])
def test_words_without_a_conversation_are_said_to_have_none(run, model, recording, of_file):
    given = {"source": recording} if of_file else {}
    (note,) = load(run, device="cpu", segments="whole").predict(**given, text="so happy")["notes"]
    assert note.startswith("the model reads up to 3 earlier turns of a conversation, but these words have none; ")
    assert not any("turns of a conversation" in note for note in model.predict(**given, text="so happy")["notes"])
