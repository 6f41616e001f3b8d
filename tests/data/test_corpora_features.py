"""Sentiment corpora in MMSA's layout, as media, as feature pickles, and as both."""

from __future__ import annotations

import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiemo.data.corpora.sentiment import polarity
from multiemo.data.features import read_features
from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from multiemo.labels import LABEL_SETS, map_label
from tests.support.corpora import by_id, ratings, run, table, touch, write
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


def dump(path: Path, tree: Any, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(tree, protocol))
    return path


def test_cmumosi_as_mmsa_lays_it_out(tmp_path: Path) -> None:
    root = tmp_path / "MOSI"
    table(
        root / "label.csv",
        ("03bSnISJMiM", 1, "A LOT OF SAD PARTS", 2.4, "", "", "", "Positive", "train"),
        ("03bSnISJMiM", 11, "", -0.8, "", "", "", "Negative", "valid"),
        ("-3g5yACwYnA", "0002", "So, so.", 0.0, "", "", "", "Neutral", "test"),
        ("-3g5yACwYnA", 3, "Hm.", 1.0, "", "", "", "Ecstatic", "test"),
        ("-3g5yACwYnA", 4, "Hm.", 3.2, "", "", "", "Positive", "test"),
        ("-3g5yACwYnA", 5, "Hm.", "high", "", "", "", "Positive", "test"),
        ("-3g5yACwYnA", 6, "Hm.", 1, "", "", "", "Positive", "somewhere"),
    )
    touch(root, "Raw/03bSnISJMiM/1.mp4", "Raw/-3g5yACwYnA/2.mp4", "Raw/03bSnISJMiM/9.mp4")
    write(root / "Transcript/Segmented/03bSnISJMiM.annotprocessed", "1_DELIM_OTHER\n11_DELIM_BUT THAT_WAS BAD\n")
    dump(root / "Processed/aligned_50.pkl", {})
    prepared = run("cmumosi", root, tmp_path / "m.jsonl")
    first, second, third = prepared.clips
    assert (first.id, first.speaker, first.group, first.language) == (
        "03bSnISJMiM$_$1", "03bSnISJMiM", "03bSnISJMiM", "en",
    )  # fmt: skip
    assert (first.text, first.label_set, first.label, first.valence, first.split) == (
        "A LOT OF SAD PARTS", "polarity3", "positive", 0.8, "train",
    )  # fmt: skip
    assert first.video == first.audio == "MOSI/Raw/03bSnISJMiM/1.mp4"
    assert (second.text, second.label, second.video, second.split) == ("BUT THAT_WAS BAD", "negative", None, "val")
    assert (third.label, third.valence, third.split, third.video) == (
        "neutral", 0.0, "test", "MOSI/Raw/-3g5yACwYnA/2.mp4",
    )  # fmt: skip
    assert {s.what: s.reason for s in prepared.skipped} == {
        "Processed/aligned_50.pkl": "is a feature pickle; the option features=Processed/aligned_50.pkl gives its "
        "features to the clips",
        "-3g5yACwYnA$_$3": "annotation 'Ecstatic' is not one of negative, neutral, positive",
        "-3g5yACwYnA$_$4": "label 3.2 is not within -3..3",
        "label.csv row 6": "label 'high' is not a number",
        "label.csv row 7": "video_id '-3g5yACwYnA', clip_id '6', mode 'somewhere': one is empty or no part",
        str(root): "1 clips have no media file, and are kept without",
    }


def test_cmumosei_in_the_folders_of_the_first_release(tmp_path: Path) -> None:
    root = tmp_path / "MOSEI"
    table(
        root / "label.csv",
        ("_UNQDdiAbWI", 0, "", -1 / 3, "", "", "", "Negative", "train"),
        ("a_b_7", 12, "Hi", 1 / 3, "", "", "", "Positive", "train"),
    )
    touch(
        root,
        "Videos/Segmented/Combined/_UNQDdiAbWI_0.mp4",
        "Audio/WAV_16000/Segmented/_UNQDdiAbWI_0.wav",
        "Audio/WAV_16000/Segmented/a_b_7_12.wav",
        "Videos/Full/Combined/a_b_7.mp4",
    )
    write(root / "Transcript/Segmented/Combined/_UNQDdiAbWI.txt", "_UNQDdiAbWI___0___0.5___2.25___I said ___ nothing\n")
    first, second = run("cmumosei", root, tmp_path / "m.jsonl", label_set="polarity7").clips
    assert (first.text, first.label_set, first.label, first.valence) == (
        "I said ___ nothing", "polarity7", "neutral", -0.111111,
    )  # fmt: skip
    assert first.audio == "MOSEI/Audio/WAV_16000/Segmented/_UNQDdiAbWI_0.wav"
    assert first.video == "MOSEI/Videos/Segmented/Combined/_UNQDdiAbWI_0.mp4"
    assert (second.audio, second.video) == ("MOSEI/Audio/WAV_16000/Segmented/a_b_7_12.wav", None)


def test_cmumosei_emotions(tmp_path: Path) -> None:
    root = tmp_path / "MOSEI"
    rows = [("_UNQDdiAbWI", n, "words", 1.0, "", "", "", "Positive", "train") for n in range(4)]
    table(root / "label.csv", *rows, ("208322", "0007", "words", -1.0, "", "", "", "Negative", "test"))
    ratings(
        root / "Labels/5000_batch_raw.csv",
        ("_UNQDdiAbWI", "0", (2, 0, 0, 1, 0, 0)),
        ("_UNQDdiAbWI", "0", (0, 0, 0, 0, 0, 0)),
        ("_UNQDdiAbWI", "1", (0, 0, 0, 0, 0, 0)),
        ("_UNQDdiAbWI", "2", (0, "x", 0, 0, 0, 0)),
    )
    ratings(
        root / "Labels/pom_extra_sqa_mono_results.csv",
        ("34/208322", "7", (0, 1, 3, 0, 1, 2)),
        ("_UNQDdiAbWI", "0", (0, 0, 1, 0, 0, 0)),
    )
    write(root / "Labels/readme.csv", "file,what\n5000_batch_raw,ratings\n")
    six = run("cmumosei", root, tmp_path / "m.jsonl", label_set="ekman6")
    assert [clip.labels for clip in six.clips] == [
        ("happy", "angry", "surprised"), None, None, None, ("sad", "angry", "disgusted", "fearful"),
    ]  # fmt: skip
    assert {(clip.label, clip.label_set) for clip in six.clips} == {(None, "ekman6")}
    assert [clip.valence for clip in six.clips] == [0.333333] * 4 + [-0.333333]
    assert {s.what: s.reason for s in six.skipped if s.what.startswith("Labels")} == {
        "Labels/5000_batch_raw.csv": "1 rows lack a number for one of the emotions",
        "Labels/readme.csv": "has no column 'Input.VIDEO_ID'",
    }
    assert [s.reason for s in six.skipped if s.what == str(root)] == [
        "2 clips were rated by nobody in Labels/*.csv, and are kept without labels",
        "1 clips show none of the six emotions, and are kept without labels",
    ]
    seven = run("cmumosei", root, tmp_path / "m.jsonl", label_set="ekman7")
    assert [clip.labels for clip in seven.clips[:3]] == [("happy", "angry", "surprised"), ("neutral",), None]
    assert run("cmumosei", root, tmp_path / "m.jsonl").clips[0].label == "positive"


def test_cmumosei_emotions_need_the_ratings(tmp_path: Path) -> None:
    table(tmp_path / "label.csv", ("v", 0, "words", 1.0, "", "", "", "Positive", "train"))
    with pytest.raises(ManifestError, match=r"cmumosei: .* expected Labels/\*\.csv with the column Answer\.happiness"):
        prepare("cmumosei", tmp_path, tmp_path / "m.jsonl", {"label_set": "ekman6"})


def test_chsims_keeps_what_each_modality_says_alone(tmp_path: Path) -> None:
    root = tmp_path / "CH-SIMS"
    table(
        root / "label.csv",
        ("video_0001", "0001", "我不想嫁给李茶", -1.0, -0.8, 0.0, -1.0, "Negative", "train"),
        ("video_0001", "0002", "好", 0.4, 0.4, "", 0.8, "Positive", "valid"),
        ("video_0001", "0003", "坏", 0.4, 1.4, "", 0.8, "Positive", "valid"),
        ("video_0001", "0004", "坏", 0.4, "?", "", 0.8, "Positive", "valid"),
    )
    touch(root, "Raw/video_0001/0001.mp4")
    prepared = run("chsims", root, tmp_path / "m.jsonl")
    first, second = prepared.clips
    assert (first.id, first.group, first.speaker, first.language) == ("video_0001$_$0001", "video_0001", None, "zh")
    assert (first.label, first.valence) == ("negative", -1.0)
    assert first.modality_labels == {"text": "negative", "speech": "neutral", "face": "negative"}
    assert second.modality_labels == {"text": "positive", "face": "positive"}
    assert [s.reason for s in prepared.skipped] == [
        "label 1.4 is not within -1..1",
        "label '?' is not a number",
        "1 clips have no media file, and are kept without",
    ]
    five = run("chsims", root, tmp_path / "m.jsonl", label_set="polarity5").clips
    assert [c.label for c in five] == ["very negative", "positive"]
    two = run("chsims", root, tmp_path / "m.jsonl", label_set="polarity2").clips
    assert two[0].modality_labels == {"text": "negative", "face": "negative"}
    with pytest.raises(ConfigError, match=r"prepare\.label_set"):
        prepare("chsims", root, tmp_path / "m.jsonl", {"label_set": "polarity7"})


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
    for number, clip in enumerate(prepared.clips, start=1):
        ref = clip.features["speech"]
        assert read_features(tmp_path / ref.path, ref.key)[0][0, 0] == number


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
        "1 clips have no features in the pickle, and are kept without", "1 clips of the pickle have no row",
    ]  # fmt: skip
    with pytest.raises(ManifestError, match=r"chsims: features=gone.pkl: no such file .* there is Processed/other.pkl"):
        prepare("chsims", root, tmp_path / "m.jsonl", {"features": "gone.pkl"})
    (root / "label.csv").unlink()
    with pytest.raises(ManifestError, match=r"holds 2 pickles; name one, like features=Processed/other.pkl"):
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
            r"a.pkl: names posix.system, which a feature pickle has no need",
        ),
        ({"weights": np.ones(2)}, r"expected the parts train, valid and test; found weights"),
        ([1, 2], r"expected the parts train, valid and test; found list"),
        ({"train": {"labels": [1], "id": ["a"]}}, r"part train lacks 'regression_labels'; it has: labels, id"),
        ({"train": {**good, "vision": good["vision"][:1]}}, r"part train has 2 ids, but another number of 'vision'"),
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
        ManifestError, match=r"cmumosi: .* gave no clip; first of 2 left out: v\$_\$0: label nan is not"
    ):
        prepare("cmumosi", dump(tmp_path / "a.pkl", {"train": part}), tmp_path / "m.jsonl")


def test_polarity_agrees_with_the_fields_metrics() -> None:
    """MMSA's own arithmetic: clip and numpy.round for -3..3, edges for CH-SIMS."""
    scores = np.round(np.linspace(-3, 3, 121), 3)
    for labels, bound in (("polarity5", 2), ("polarity7", 3)):
        places = np.round(np.clip(scores, -bound, bound)) + bound
        assert [polarity(s, 3, labels) for s in scores] == [LABEL_SETS[labels][int(p)] for p in places]
    for score in np.round(np.arange(-1, 1.01, 0.2), 1):
        edges = [-1.01, -0.7, -0.1, 0.1, 0.7, 1.01]
        place = next(i for i in range(5) if edges[i] < score <= edges[i + 1])
        assert polarity(score, 1, "polarity5") == LABEL_SETS["polarity5"][place]
    for score in scores:
        seven = polarity(score, 3, "polarity7")
        assert seven is not None
        assert map_label(seven, "polarity7", "polarity5") == polarity(score, 3, "polarity5")
        if abs(score) > 0.5:
            assert map_label(seven, "polarity7", "polarity2") == polarity(score, 3, "polarity2")
            assert math.copysign(1, score) == (1 if polarity(score, 3, "polarity2") == "positive" else -1)
