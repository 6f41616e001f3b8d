"""Rows whose pictures are face crops beside rows that are filmed: one face branch learns from both, and finds faces."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import multiemo
from multiemo.bulk import predict_bulk
from multiemo.config import load_config
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import ConfigError
from multiemo.inputs.dataset import ClipDataset
from multiemo.predict.sources import Item, expand
from multiemo.preprocess.faces.crops import whole_picture
from multiemo.runs import train
from multiemo.types import Clip, spec_to_dict
from tests.support.media_files import write

SIZE = 32
NO_FACE = "no face found in the picture"


def noise(number):
    """A picture in which no detector finds a face."""
    return np.random.default_rng(number).integers(0, 255, (48, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def mixed(small_corpus, tmp_path_factory):
    """The films of the small corpus, and for every other speaker noise that is said to be face crops."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "films").symlink_to(small_corpus.parent)
    rows = []
    for number, clip in enumerate(c for c in read_manifest(small_corpus) if c.video):
        bare = {"text": None, "audio": None, "features": {}}
        if int(str(clip.speaker)[-1]) % 2:
            cv2.imwrite(str(folder / f"{number}.png"), noise(number)[:, :, ::-1])
            rows.append(replace(clip, video=None, image=f"{number}.png", cropped=True, start=None, end=None, **bare))
        else:
            rows.append(replace(clip, video=f"films/{clip.video}", **bare))
    write_manifest(rows, folder / "mixed.jsonl")
    return folder / "mixed.jsonl"


@pytest.fixture(scope="module")
def run(mixed, tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(load_config(tiny_config(folder, modalities=("face",)), [f"data.manifest={mixed}"]), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def model(run):
    return multiemo.load(run)


def samples(model, manifest, clips, cache=None):
    dataset = ClipDataset(clips, manifest.parent, model.bundle.inputs, model.bundle.space(), cache=cache)
    return [dataset[i] for i in range(len(clips))]


@pytest.mark.slow
def test_crops_are_taken_whole_and_films_are_searched(model, mixed):
    clips = read_manifest(mixed)
    assert len({c.speaker for c in clips if c.cropped}) == len({c.speaker for c in clips if not c.cropped}) == 3
    for clip, sample in zip(clips, samples(model, mixed, clips), strict=True):
        if clip.cropped:
            picture = cv2.imread(str(mixed.parent / clip.image))[:, :, ::-1]
            wanted = cv2.resize(np.ascontiguousarray(picture[:, 6:54]), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(sample.inputs["face"][0].permute(1, 2, 0).numpy(), wanted)
            assert len(sample.inputs["face"]) == 1
    filmed = [s for c, s in zip(clips, samples(model, mixed, clips), strict=True) if not c.cropped]
    assert sum("face" in s.inputs for s in filmed) > 0.8 * len(filmed)
    assert max(len(s.inputs["face"]) for s in filmed if "face" in s.inputs) == 3


def test_without_the_flag_a_face_is_looked_for_and_the_cache_keeps_both(model, mixed, tmp_path):
    crops = [c for c in read_manifest(mixed) if c.cropped][:2]
    bare = [replace(c, cropped=False) for c in crops]
    cache = TensorCache(tmp_path / "cache")
    for _ in range(2):  # made, then read
        assert all("face" in s.inputs for s in samples(model, mixed, crops, cache))
        assert [s.absent for s in samples(model, mixed, bare, cache)] == [{"face": NO_FACE}] * 2


def test_the_key_of_a_row_that_is_no_crop_is_what_it_was(tiny_run, small_corpus, tmp_path):
    clip = next(c for c in read_manifest(small_corpus) if c.video and not c.audio)
    cache = TensorCache(tmp_path / "cache")
    inputs = multiemo.load(tiny_run).bundle.inputs
    space = multiemo.load(tiny_run).bundle.space()
    rows = [clip, replace(clip, cropped=True)]
    dataset = ClipDataset(rows, small_corpus.parent, inputs, space, cache=cache)
    path = small_corpus.parent / clip.video
    for m in ("speech", "face"):
        key = cache.key(path, clip.start, clip.end, spec_to_dict(inputs[m].spec))
        assert dataset.input_key(0, m) == key
        assert (dataset.input_key(1, m) == key) == (m == "speech"), "a voice is the same in both"


@pytest.mark.slow
def test_a_row_is_predicted_from_what_it_is_trained_on(model, mixed):
    for clip, sample in zip(read_manifest(mixed), samples(model, mixed, read_manifest(mixed)), strict=True):
        (segment,) = model.reader.open(Item(clip.id, clip=clip, folder=mixed.parent)).segments
        assert set(segment.inputs) == set(sample.inputs)
        if "face" in sample.inputs:
            assert torch.equal(segment.inputs["face"], sample.inputs["face"])


def test_a_film_is_searched_by_a_model_that_has_seen_crops(model, small_corpus, tmp_path):
    films = [small_corpus.parent / c.video for c in read_manifest(small_corpus) if c.video]
    found = [model.predict(film) for film in films[:3]]
    assert any(entry["present"] == ["face"] for entry in found)
    blind = tmp_path / "noise.mp4"
    write(blind, stamps=[k / 12 for k in range(12)], frames=[noise(k)[:, :48] for k in range(12)])
    assert "no face found" in model.predict(blind)["absent"]["face"]


def test_a_still_without_a_face_says_what_to_do_if_it_is_one(model, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), noise(0)[:, :, ::-1])
    advice = f'{NO_FACE}; if the whole picture is a face crop, say so: --cropped, or "cropped": true in a manifest row'
    assert model.predict(tmp_path / "a.png")["absent"] == {"face": advice}
    row = Clip(id="a", corpus="x", image="a.png")
    assert model.predict_item(Item("a", clip=row, folder=tmp_path))["absent"] == {"face": advice}
    taken = model.predict_item(Item("a", clip=replace(row, cropped=True), folder=tmp_path))
    assert taken["present"] == ["face"]
    (segment,) = model.reader.open(Item("a", clip=replace(row, cropped=True), folder=tmp_path)).segments
    wanted = whole_picture(noise(0), None, SIZE)
    np.testing.assert_array_equal(segment.inputs["face"][0].permute(1, 2, 0).numpy(), wanted)


@pytest.mark.slow
def test_files_that_are_said_to_be_crops_are_read_as_such_rows(run, model, small_corpus, tmp_path, cli):
    film = next(small_corpus.parent / c.video for c in read_manifest(small_corpus) if c.video)
    (tmp_path / "in").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), noise(number)[:, :, ::-1])
    (tmp_path / "in" / "z.mp4").symlink_to(film)
    pictures = [tmp_path / "in" / f"{number}.png" for number in range(2)]
    rows = [Item(str(p), clip=Clip(id="x", corpus="x", image=p.name, cropped=True), folder=p.parent) for p in pictures]
    wanted = [*map(model.predict_item, rows), {**model.predict(film), "input": str(tmp_path / "in" / "z.mp4")}]
    assert [model.predict(path, cropped=True) for path in pictures] == wanted[:2]
    items = expand([tmp_path / "in"], cropped=True)
    assert [answer.entry for answer in model.predict_many(items)] == wanted
    predict_bulk(run, [tmp_path / "in"], tmp_path / "out", cropped=True, workers=1)
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["present"] for line in lines] == [entry["present"] for entry in wanted]
    code, said, _ = cli("predict", str(run), str(pictures[0]), "--cropped", "--json", "-")
    assert code == 0
    assert json.loads(said)["inputs"] == wanted[:1]


def test_a_config_that_still_says_no_detector_is_told_where_that_went(mixed, tiny_config, tmp_path):
    given = [f"data.manifest={mixed}", "encoders.face.detector=none"]
    config = load_config(tiny_config(tmp_path, modalities=("face",)), given)
    with pytest.raises(ConfigError, match=r'encoders\.face\.detector.*"cropped": true') as told:
        train(config, tmp_path / "run")
    assert "\n" not in str(told.value)
