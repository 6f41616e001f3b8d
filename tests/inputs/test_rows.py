"""A model reads the same from a clip in training and in prediction, from a row and from a file."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.targets import LabelSpace
from multiemo.errors import MediaError
from multiemo.inputs import Input, build_input, rows
from multiemo.inputs.dataset import ClipDataset
from multiemo.inputs.material import ManifestRow, Request
from multiemo.media.reading import read_media
from multiemo.predict.reader import Options, Reader
from multiemo.predict.sources import Item
from multiemo.preprocess.faces.crops import FaceTrack
from multiemo.registry import inputs
from multiemo.types import (
    Absent,
    Clip,
    FaceSpec,
    FeatureRef,
    FeatureSpec,
    InputSpec,
    Modality,
    SpeechSpec,
    TextRulesSpec,
    TextSpec,
    WaveformSpec,
)

SPACE = LabelSpace("demo5")
FACE = FaceSpec(size=32, frames=3)


@dataclass
class Case:
    """A clip with one kind of input, and the same as a file; ``None`` if no file can hold it."""

    modality: Modality
    spec: InputSpec
    clip: Clip
    file: Item | None


@pytest.fixture(scope="module")
def film(small_corpus: Path) -> Clip:
    """A clip with words whose film has a voice and a face."""
    entries: dict[Modality, Input] = {"speech": build_input("speech", SpeechSpec()), "face": build_input("face", FACE)}
    for clip in read_manifest(small_corpus):
        if clip.text and clip.video:
            found = rows.read_row(ManifestRow(replace(clip, audio=None), small_corpus.parent), entries).ready.values()
            if not any(isinstance(got, Absent) for got in found):
                return clip
    raise AssertionError("no such clip")


@pytest.fixture(scope="module")
def folder(small_corpus: Path, film: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film, a picture of it, and features."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "film.mp4").symlink_to(small_corpus.parent / str(film.video))
    frames = read_media(folder / "film.mp4", fps=4.0).frames
    assert frames is not None
    cv2.imwrite(str(folder / "still.png"), frames[len(frames) // 2][:, :, ::-1])
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def cases(folder: Path, film: Clip) -> dict[str, Case]:
    plain = Clip(id="a", corpus="x", text=film.text, video="film.mp4")
    played = Item("film", folder / "film.mp4", text=film.text)
    still = replace(plain, video=None, image="still.png")
    return {
        "text": Case("text", TextSpec(vocab_size=600), plain, played),
        "text_rules": Case("text", TextRulesSpec(), plain, played),
        "speech": Case("speech", SpeechSpec(), plain, played),
        "waveform": Case("speech", WaveformSpec(), plain, played),
        "face": Case("face", FACE, still, Item("still", folder / "still.png")),
        "features": Case("face", FeatureSpec(dim=4), replace(plain, features={"face": FeatureRef("rows.npy")}), None),
    }


def made(case: Case) -> dict[Modality, Input]:
    return {case.modality: build_input(case.modality, case.spec, texts=lambda: [str(case.clip.text)] * 9)}


def test_every_kind_is_held_here(cases: dict[str, Case]) -> None:
    assert {name for name in inputs if not inputs.facts(name)} == set(cases)


@pytest.mark.parametrize("kind", ["text", "text_rules", "speech", "waveform", "face", "features"])
def test_training_and_prediction_read_the_same(kind: str, cases: dict[str, Case], folder: Path, tmp_path: Path) -> None:
    case = cases[kind]
    entries = made(case)
    trained = ClipDataset([case.clip], folder, entries, SPACE)[0].inputs[case.modality]
    cache = TensorCache(tmp_path / "cache")
    for _ in range(2):  # made, then read
        cached = ClipDataset([case.clip], folder, entries, SPACE, cache=cache)[0].inputs[case.modality]
        assert torch.equal(cached, trained)
    reader = Reader(entries, Options())
    (row,) = reader.open(Item("a", clip=case.clip, folder=folder)).segments
    assert torch.equal(row.inputs[case.modality], trained)
    if case.file is None:
        with pytest.raises(MediaError, match="precomputed features"):
            reader.open(Item("film", folder / "film.mp4"))
    else:
        (segment,) = reader.open(case.file).segments
        assert torch.equal(segment.inputs[case.modality], trained)


@pytest.mark.parametrize("kind", ["text", "text_rules", "speech", "waveform", "face", "features"])
def test_what_a_row_lacks_has_one_reason(kind: str, cases: dict[str, Case], folder: Path) -> None:
    case = cases[kind]
    entries = made(case)
    silent = case.modality == "text"
    bare = Clip(id="b", corpus="x", text=None if silent else "hm", audio="a.wav" if silent else None)
    trained = ClipDataset([bare], folder, entries, SPACE)[0].absent
    (row,) = Reader(entries, Options()).open(Item("b", clip=bare, folder=folder)).segments
    assert trained == row.absent
    assert trained[case.modality].startswith("the row has n")


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Calls of the decoder, in order."""
    asked: list[dict[str, object]] = []
    read: Callable[..., object] = rows.read_media

    def spy(path: Path, **options: object) -> object:
        asked.append(options)
        return read(path, **options)

    monkeypatch.setattr(rows, "read_media", spy)
    return asked


def test_a_file_is_decoded_once_for_all_that_read_it(
    cases: dict[str, Case], folder: Path, tmp_path: Path, decodings: list[dict[str, object]]
) -> None:
    clip = cases["speech"].clip
    entries = {"speech": build_input("speech", SpeechSpec()), "face": build_input("face", FACE)}
    alone = {m: ClipDataset([clip], folder, {m: entry}, SPACE)[0] for m, entry in entries.items()}
    decodings.clear()
    cache = TensorCache(tmp_path / "cache")
    for once in (1, 1):
        together = ClipDataset([clip], folder, entries, SPACE, cache=cache)[0]
        assert len(decodings) == once
    for m, sample in alone.items():
        assert torch.equal(together.inputs[m], sample.inputs[m])
    decodings.clear()
    list(Reader(entries, Options()).open(Item("a", clip=clip, folder=folder)).segments)
    assert len(decodings) == 1


def test_a_row_is_fed_as_in_training_where_nobody_speaks(folder: Path) -> None:
    """Only files are checked for speech, so an evaluation and a prediction of a manifest agree."""
    tone = (8000 * np.sin(np.arange(16000) / 5)).astype("<i2")
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(tone.tobytes())
    reader = Reader({"speech": build_input("speech", SpeechSpec())}, Options())
    clip = Clip(id="t", corpus="x", audio="tone.wav")
    (row,) = reader.open(Item("t", clip=clip, folder=folder)).segments
    (segment,) = reader.open(Item("t", folder / "tone.wav")).segments
    assert set(row.inputs) == {"speech"}
    assert segment.absent == {"speech": "nobody speaks here"}


def test_who_does_not_get_what_was_asked_for_learns_why(folder: Path, decodings: list[dict[str, object]]) -> None:
    """For a film without sound, the sound is decoded again separately, and the reason is that of a single decoding."""
    frames = read_media(folder / "film.mp4", fps=4.0, max_frames=2).frames
    assert frames is not None
    height, width = frames.shape[1:3]
    film = cv2.VideoWriter(str(folder / "mute.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 4.0, (width, height))
    for frame in frames:
        film.write(frame[:, :, ::-1])
    film.release()
    row = ManifestRow(Clip(id="m", corpus="x", video="mute.mp4"), folder)
    entries = {"speech": build_input("speech", SpeechSpec()), "face": build_input("face", FACE)}
    found = rows.read_row(row, entries)
    alone = rows.read_row(row, {"speech": entries["speech"]})
    assert found.ready["speech"] == alone.ready["speech"]
    assert len(decodings) == 3


def test_what_cannot_be_read_is_damage_of_that_modality_alone(folder: Path) -> None:
    entries = {"speech": build_input("speech", SpeechSpec()), "text": build_input("text", TextSpec(vocab_size=600),
               texts=lambda: ["good day"] * 9)}  # fmt: skip
    clip = Clip(id="g", corpus="x", text="good day", audio="gone.wav")
    found = rows.read_row(ManifestRow(clip, folder), entries)
    assert set(found.ready) == {"text"}
    assert "gone.wav" in str(found.damaged["speech"])
    (segment,) = Reader(entries, Options()).open(Item("g", clip=clip, folder=folder)).segments
    assert "gone.wav" in segment.absent["speech"]
    with pytest.raises(MediaError, match=r"gone\.wav"):
        Reader({"speech": entries["speech"]}, Options()).open(Item("g", clip=clip, folder=folder))


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (Request(16000), Request(fps=4.0, max_frames=8), Request(16000, 4.0, 8)),
        (Request(16000, 4.0, 8), Request(fps=4.0, max_frames=8), Request(16000, 4.0, 8)),
        (Request(fps=4.0, max_frames=8), Request(fps=4.0, max_frames=3), None),
        (Request(16000), Request(8000), None),
        (Request(), Request(16000), Request(16000)),
    ],
)
def test_requests_are_joined_where_one_decoding_serves_both(
    one: Request, other: Request, joined: Request | None
) -> None:
    assert one.joined(other) == other.joined(one) == joined


def test_the_track_of_a_face_is_where_the_crops_were_found(cases: dict[str, Case], folder: Path) -> None:
    entry = build_input("face", FACE)
    material = rows.gather_row(ManifestRow(cases["speech"].clip, folder), {"face": entry}).materials["face"]
    made = entry.read(material)
    track = entry.preprocessor(material.pictures.frames, material.pictures.times)
    assert isinstance(track, FaceTrack)
    assert np.array_equal(made.positions.boxes, track.boxes)
    assert list(made.notes) == track.notes
