"""Manifests into one: ids, paths, label sets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from multiemo.cli import app
from multiemo.data.manifest.merge import merge
from multiemo.data.manifest.reading import media_path, read_manifest, write_manifest
from multiemo.data.prepare import clip_paths
from multiemo.data.splits.strategies import holdout
from multiemo.errors import ManifestError
from multiemo.types import Clip, FeatureRef
from tests.support.corpora import touch


def manifest(path: Path, *clips: Clip) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        touch(path.parent, *clip_paths(clip))
    write_manifest(clips, path)
    return path


def clip(corpus: str, name: str, **values: Any) -> Clip:
    return Clip(id=name, corpus=corpus, text="Oh.", speaker="01", **values)


def test_ids_stay_where_they_are_unique(tmp_path: Path) -> None:
    first = manifest(tmp_path / "a.jsonl", clip("ravdess", "r1", label_set="ravdess8", label="calm"))
    second = manifest(tmp_path / "b.parquet", clip("meld", "m1", label_set="meld7", label="sad", split="test"))
    third = manifest(tmp_path / "c.jsonl", clip("mine", "x1", label_set="custom:good,bad", label="bad"))
    for name in ("out.jsonl", "out.parquet"):
        merged = merge([first, second, third], tmp_path / name)
        assert merged.shared is None
        assert read_manifest(tmp_path / name) == merged.clips
    assert [(c.id, c.corpus, c.label_set, c.label, c.split) for c in merged.clips] == [
        ("r1", "ravdess", "ravdess8", "calm", None), ("m1", "meld", "meld7", "sad", "test"),
        ("x1", "mine", "custom:good,bad", "bad", None),
    ]  # fmt: skip


def test_face_crops_beside_films(tmp_path: Path) -> None:
    faces = manifest(tmp_path / "a.jsonl", clip("fer2013", "f1", image="f1.png", cropped=True))
    films = manifest(tmp_path / "b.parquet", clip("ravdess", "r1", video="r1.mp4"))
    for name in ("out.jsonl", "out.parquet"):
        merge([faces, films], tmp_path / name)
        assert [c.cropped for c in read_manifest(tmp_path / name)] == [True, False]


def test_ids_that_two_corpora_share_get_the_corpus_in_front(tmp_path: Path) -> None:
    first = manifest(tmp_path / "a.jsonl", clip("savee", "a01"), clip("savee", "a02"))
    second = manifest(tmp_path / "b.jsonl", clip("emodb", "a01"), clip("emodb", "b01"))
    merged = merge([first, second], tmp_path / "out.jsonl")
    assert merged.shared == "a01"
    assert [c.id for c in merged.clips] == ["savee:a01", "savee:a02", "emodb:a01", "emodb:b01"]
    people = {c.speaker for c in merged.clips}
    assert people == {"01"}  # splits put the corpus before the speaker themselves
    groups = holdout(merged.clips, val=0.3, test=0.3).groups
    assert {*groups["train"], *groups["test"]} == {"savee:01", "emodb:01"}


def test_paths_are_reached_from_the_new_folder(tmp_path: Path) -> None:
    inside = manifest(tmp_path / "out/sub/a.jsonl", clip("a", "1", audio="x/1.wav", video="1.mp4"))
    beside = manifest(tmp_path / "out/b.jsonl", clip("b", "2", image="2.png"))
    far = manifest(tmp_path / "far/c.jsonl", clip("c", "3", audio="3.wav", features={"face": FeatureRef("f.npz", "3")}))
    same_folder = manifest(tmp_path / "far/d.jsonl", clip("d", "4", audio="4.wav"))
    same_name = manifest(tmp_path / "away/c.jsonl", clip("e", "5", audio="5.wav"))
    text_only = manifest(tmp_path / "texts/c.jsonl", clip("f", "6"))
    out = tmp_path / "out/all.jsonl"
    for _ in range(2):  # links may be made again
        merged = merge([inside, beside, far, same_folder, same_name, text_only], out)
    paths = {c.id: clip_paths(c) for c in merged.clips}
    assert paths == {
        "1": ["sub/x/1.wav", "sub/1.mp4"],
        "2": ["2.png"],
        "3": ["all.c.media/3.wav", "all.c.media/f.npz"],
        "4": ["all.c.media/4.wav"],
        "5": ["all.c-2.media/5.wav"],
        "6": [],
    }
    assert merged.clips[2].features["face"].key == "3"
    assert all(media_path(path, out.parent).is_file() for found in paths.values() for path in found)
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "2.png", "all.c-2.media", "all.c.media", "all.jsonl", "b.jsonl", "sub",
    ]  # fmt: skip
    assert read_manifest(out) == merged.clips


def test_what_is_refused(tmp_path: Path) -> None:
    first = manifest(tmp_path / "a.jsonl", clip("x", "1"), clip("x", "2"))
    second = manifest(tmp_path / "b.jsonl", clip("x", "2"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "1"}\n')
    out = tmp_path / "out.jsonl"
    for manifests, target, message in [
        ([first, second], out, r"clip '2' of corpus x is in .*a.jsonl and in .*b.jsonl; leave one out, or"),
        ([first], out, "nothing to merge; name two or more"),
        ([first, tmp_path / "." / "a.jsonl"], out, "a.jsonl is given twice"),
        ([first, second], second, "b.jsonl is one of the manifests; write to another file"),
        ([first, tmp_path / "gone.jsonl"], out, "gone.jsonl: no such file"),
        ([first, bad], out, "row 1 .*corpus is missing"),
    ]:
        with pytest.raises(ManifestError, match=message):
            merge(manifests, target)
    assert not out.exists()
    other = manifest(tmp_path / "far/c.jsonl", clip("y", "1", audio="1.wav"))
    precious = touch(tmp_path, "deep/out.c.media/precious.txt") / "deep/out.c.media/precious.txt"
    with pytest.raises(ManifestError, match=r"out.c.media is a real file or folder"):
        merge([first, other], tmp_path / "deep/out.jsonl")
    assert precious.is_file()
    assert len(read_manifest(second)) == 1


def test_the_command(tmp_path: Path) -> None:
    first = manifest(tmp_path / "a.jsonl", clip("savee", "1", label_set="ekman7", label="sad"), clip("savee", "2"))
    second = manifest(tmp_path / "b.jsonl", clip("tess", "1", label_set="ekman7", label="sad"))
    out = tmp_path / "deep/all.jsonl"
    told = CliRunner().invoke(app, ["merge", str(first), str(second), "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert f"{out}: 3 clips of 2 manifests" in told.output
    assert "savee: 2 clips, 1 speakers, label sets ekman7 and none" in told.output
    assert "ids are corpus:id, since '1' occurs in two corpora" in told.output
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["savee:1", "savee:2", "tess:1"]
