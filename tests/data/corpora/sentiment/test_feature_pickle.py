"""Feature pickles in MMSA's layout, alone and beside their media."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiemo.data.features.reading import read_features
from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import by_id, dump, run, table, touch
from tests.support.pickles import Call


def columns(ids: list[str], **changes: Any) -> dict[str, Any]:
    """One part of an unaligned pickle: 6 steps of audio (3 columns) and 4 of vision (2), padded at the end."""
    n = len(ids)
    audio = np.ones((n, 6, 3), np.float32)
    audio[:, 4:] = 0
    audio[:, 1] = 0  # silence, not padding
    vision = np.full((n, 4, 2), 2.0, np.float32)
    vision[:, 1] = 0  # a frame without a face
    vision[:, 3] = 0
    bert = np.zeros((n, 3, 5), np.float32)
    bert[:, 1, :3] = 1
    return {
        "id": ids, "raw_text": np.array([f"words {i}" for i in range(n)]), "text": np.ones((n, 5, 7), np.float32),
        "text_bert": bert, "audio": audio, "vision": vision, "audio_lengths": [5] * n, "vision_lengths": [3] * n,
        "annotations": ["Positive"] * n, "regression_labels": np.linspace(0.6, 3, n, dtype=np.float32),
        "classification_labels": np.full(n, 2), "names": ["f0"], **changes,
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_feature_pickle(tmp_path: Path, protocol: int) -> None:
    train = columns(["v1$_$0", "v1$_$1", "v2$_$0"])
    train["audio"][1, 2, 0] = -np.inf
    train["audio"][1, 3, 1] = np.nan
    train["vision"][2] = 0
    train["vision_lengths"][2] = 0
    bad = columns(["v3$_$0", "v1$_$0", "odd", "v3$_$1"], annotations=["Positive", "Positive", "Positive", "Dull"])
    root = dump(tmp_path / "MOSI/unaligned_50.pkl", {"train": train, "valid": bad}, protocol).parent
    out = tmp_path / "deep/mosi.jsonl"
    for _ in range(2):  # its own folder may be written again
        prepared = run("cmumosi", root, out)
    assert [(c.id, c.split, c.text, c.speaker, c.group) for c in prepared.clips] == [
        ("v1$_$0", "train", "words 0", "v1", "v1"), ("v1$_$1", "train", "words 1", "v1", "v1"),
        ("v2$_$0", "train", "words 2", "v2", "v2"), ("v3$_$0", "val", "words 0", "v3", "v3"),
    ]  # fmt: skip
    assert [c.valence for c in prepared.clips] == [0.2, 0.6, 1.0, 0.2]
    clips = by_id(prepared)

    def features(name: str, modality: str) -> np.ndarray:
        ref = clips[name].features[modality]
        assert ref.path.startswith("mosi.media/unaligned_50/")
        return read_features(out.parent / ref.path, ref.key)[0]

    np.testing.assert_array_equal(features("v1$_$0", "speech"), train["audio"][0, :5])  # silence inside is kept
    np.testing.assert_array_equal(features("v1$_$0", "face"), np.full((2, 2), 2.0))  # the frame without a face is not
    assert features("v1$_$0", "text").shape == (3, 7)
    assert features("v1$_$1", "speech")[2].tolist() == [0, 1, 1]
    assert set(clips["v2$_$0"].features) == {"text", "speech"}
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        ("unaligned_50.pkl train", "2 values of audio are not finite numbers; they were set to 0"),
        ("unaligned_50.pkl train", "1 clips have no face: every row of vision is zero"),
        ("unaligned_50.pkl valid row 2", "id 'v1$_$0' occurs a second time"),
        ("unaligned_50.pkl valid row 3", "id 'odd' is not like video$_$clip"),
        ("v3$_$1", "annotation 'Dull' is not one of negative, neutral, positive"),
    ]
    assert run("cmumosi", root / "unaligned_50.pkl", out).clips == prepared.clips


def test_aligned_features_have_their_padding_at_either_end(tmp_path: Path) -> None:
    part = {k: v for k, v in columns(["v$_$0", "v$_$1"]).items() if "lengths" not in k and k != "text_bert"}
    part["audio"] = np.zeros((2, 6, 3))
    part["audio"][0, 3:5] = 7
    part["audio"][1, 0] = 7
    part["audio"][1, 2] = 7
    part["vision"] = [np.ones((3, 2)), np.ones(2)]  # a list of arrays, the second of one row
    out = tmp_path / "m.jsonl"
    clips = run("cmumosi", dump(tmp_path / "aligned_50.pkl", {"test": part}), out).clips
    shapes = [
        {m: read_features(out.parent / ref.path, ref.key)[0].shape for m, ref in clip.features.items()}
        for clip in clips
    ]
    assert shapes == [
        {"text": (5, 7), "speech": (2, 3), "face": (3, 2)}, {"text": (5, 7), "speech": (3, 3), "face": (1, 2)},
    ]  # fmt: skip


def test_lengths_with_padding_at_the_start(tmp_path: Path) -> None:
    part = columns(["v$_$0"], audio_lengths=[2])
    part["audio"] = np.zeros((1, 6, 3))
    part["audio"][0, 4:] = 7
    (clip,) = run("cmumosi", dump(tmp_path / "a.pkl", {"train": part}), tmp_path / "m.jsonl").clips
    ref = clip.features["speech"]
    np.testing.assert_array_equal(read_features(tmp_path / ref.path, ref.key)[0], np.full((2, 3), 7))


def test_many_clips_are_written_in_several_files(tmp_path: Path) -> None:
    ids = [f"v{i // 10}$_${i}" for i in range(300)]
    part = columns(ids)
    part["audio"][:, 0, 0] = np.arange(1, 301)
    prepared = run("cmumosei", dump(tmp_path / "a.pkl", {"train": part}), tmp_path / "m.parquet")
    assert len({c.features["speech"].path for c in prepared.clips}) == 2
    for clip in prepared.clips:
        ref = clip.features["speech"]
        assert read_features(tmp_path / ref.path, ref.key)[0][0, 0] == int(clip.id.split("$_$")[1]) + 1


def test_media_and_features_together(tmp_path: Path) -> None:
    root = tmp_path / "SIMS"
    table(
        root / "label.csv",
        ("video_1", "0001", "好", 1.0, 1.0, 1.0, 1.0, "Positive", "train"),
        ("video_1", "0002", "好", 1.0, 1.0, 1.0, 1.0, "Positive", "train"),
    )
    touch(root, "Raw/video_1/0001.mp4", "Raw/video_1/0002.mp4")
    ids = ["video_1$_$1", "video_9$_$0001"]
    single = {f"regression_labels_{m}": np.array([1.0, -0.2]) for m in "TAV"}
    part = columns(ids, regression_labels=np.array([[1.0], [-0.2]]), annotations=["Positive", "Negative"], **single)
    dump(root / "Processed/unaligned_39.pkl", {"train": part})
    dump(root / "Processed/other.pkl", {"train": part})
    prepared = run("chsims", root, tmp_path / "m.jsonl", features="Processed/unaligned_39.pkl")
    first, second = prepared.clips
    assert (first.video, set(first.features)) == ("SIMS/Raw/video_1/0001.mp4", {"text", "speech", "face"})
    assert first.features["face"].key == "video_1$_$1"
    assert second.features == {}
    assert [s.reason for s in prepared.skipped] == [
        "1 clips without features in the pickle are kept", "1 clips of the pickle have no row",
    ]  # fmt: skip
    with pytest.raises(ManifestError, match=r"features=gone.pkl: no such file .* existing: Processed/other.pkl"):
        prepare("chsims", root, tmp_path / "m.jsonl", {"features": "gone.pkl"})
    (root / "label.csv").unlink()
    with pytest.raises(ManifestError, match=r"has 2 pickles; choose one, like features=Processed/other.pkl"):
        prepare("chsims", root, tmp_path / "m.jsonl")
    alone = run("chsims", root, tmp_path / "m.jsonl", features="Processed/unaligned_39.pkl").clips
    assert [(c.label, c.modality_labels["face"], c.valence) for c in alone] == [
        ("positive", "positive", 1.0), ("negative", "negative", -0.2),
    ]  # fmt: skip


def test_features_and_a_link_to_the_media_stand_side_by_side(tmp_path: Path) -> None:
    root = tmp_path / "far/MOSI"
    table(root / "label.csv", ("v", 0, "Oh", 3, "", "", "", "Positive", "train"))
    touch(root, "Raw/v/0.mp4")
    dump(root / "a.pkl", {"train": columns(["v$_$0"])})
    out = tmp_path / "manifests/mosi.jsonl"
    for _ in range(2):
        (clip,) = run("cmumosi", root, out, features="a.pkl").clips
    assert clip.video == "mosi.media/corpus/Raw/v/0.mp4"
    assert clip.features["face"].path == "mosi.media/a/train-face-0000.safetensors"
    assert (out.parent / "mosi.media/corpus").is_symlink()


def test_pickles_that_are_something_else(tmp_path: Path) -> None:
    out, victim = tmp_path / "m.jsonl", tmp_path / "victim"
    good = columns(["v$_$0", "v$_$1"])
    for tree, message in [
        (
            {"train": {**good, "audio": Call(os.system, f"touch {victim}")}},
            r"a.pkl: names posix.system, which a feature pickle does not need",
        ),
        ({"weights": np.ones(2)}, r"expected the parts train, valid and test; found weights"),
        ([1, 2], r"expected the parts train, valid and test; found list"),
        ({"train": {"labels": [1], "id": ["a"]}}, r"part train lacks 'regression_labels'; it has: labels, id"),
        ({"train": {**good, "vision": good["vision"][:1]}}, r"train has 2 ids, but a different number of 'vision'"),
        ({"train": {**good, "text": ["a", "b"]}}, r"a.pkl train: text of clip 'v\$_\$0' is not \[T, dim\] numbers"),
        ({"train": {**good, "audio": np.ones((2, 2, 2, 2))}}, r"audio of clip 'v\$_\$0' is not \[T, dim\] numbers"),
    ]:
        with pytest.raises(ManifestError, match=message):
            prepare("cmumosi", dump(tmp_path / "a.pkl", tree), out)
    assert not victim.exists()
    assert not out.exists()


def test_values_that_are_no_scores_are_named(tmp_path: Path) -> None:
    part = columns(["v$_$0", "v$_$1"], regression_labels=[np.nan, "good"])
    with pytest.raises(
        ManifestError, match=r"cmumosi: .* has no usable clip; first of 2 left out: v\$_\$0: label nan is not"
    ):
        prepare("cmumosi", dump(tmp_path / "a.pkl", {"train": part}), tmp_path / "m.jsonl")
