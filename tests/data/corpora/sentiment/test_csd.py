"""Computational sequences of CMU-MOSI and CMU-MOSEI in small, written as CMU-MultimodalSDK writes them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from multiemo.data.features.reading import read_features
from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import by_id, run, touch, write

Entry = tuple[object, object]


def sequence(path: Path, name: str, entries: Mapping[str, Entry]) -> Path:
    """``{video: (features, intervals)}`` as a .csd file."""
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group(name).create_group("data")
        for key, (features, intervals) in entries.items():
            group = data.create_group(key)
            group.create_dataset("features", data=features)
            group.create_dataset("intervals", data=intervals)
        file[name].create_group("metadata").create_dataset("root name", data=[name.encode()])
    return path


#: Rows of labels: sentiment, happy, sad, anger, surprise, disgust, fear.
LABELS = {
    "vid_B": ([[-1.0, 0, 0.6, 1.3, 0, 0, 0]], [[0.0, 5.0]]),
    "vid_A": ([[0.0, 0, 0, 0, 0, 0, 0], [2.0, 1.0, 0, 0, 0.3, 0, 0.1]], [[4.0, 9.0], [1.0, 4.0]]),
}
WORDS = {
    "vid_A": ([[b"sp"], [b"so"], [b"good"], [b"then"]], [[0, 1.2], [1.2, 2.0], [3.0, 3.9], [3.9, 4.5]]),
    "vid_B": ([[b"sp"]], [[0, 5]]),
}


def mosei(root: Path) -> Path:
    sequence(root / "labels/CMU_MOSEI_Labels.csd", "All Labels", LABELS)
    sequence(root / "language/CMU_MOSEI_TimestampedWords.csd", "words", WORDS)
    steps = np.arange(0, 10, 0.5)
    times = np.stack([steps, steps + 0.5], axis=1)
    sound = np.stack([steps, np.full(20, np.nan)], axis=1)
    sequence(root / "acoustic/CMU_MOSEI_COVAREP.csd", "COVAREP", {"vid_A": (sound, times)})
    face = np.where(steps[:, None] < 2, 0, steps[:, None] + np.arange(3))
    sequence(root / "visual/CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", {"vid_A": (face, times)})
    sequence(root / "visual/CMU_MOSEI_VisualOpenFace2.csd", "OpenFace_2", {"vid_A": (face, times)})
    sequence(root / "language/CMU_MOSEI_TimestampedPhones.csd", "phones", WORDS)
    folds = "standard_train_fold=['vid_A', 'x']\nstandard_valid_fold=[]\nstandard_test_fold=['vid_B']\n"
    write(root / "cmu_mosei_std_folds.py", folds)
    return touch(root, "Raw/Videos/Full/Combined/vid_A.mp4", "Raw/Audio/Full/WAV_16000/vid_A.wav")


def test_segments_words_and_features(tmp_path: Path) -> None:
    root = mosei(tmp_path / "mosei")
    prepared = run("cmumosei", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {k: (c.label, c.valence, c.text, c.speaker, c.split, c.start, c.end) for k, c in clips.items()} == {
        "vid_A$_$0": ("positive", round(2 / 3, 6), "so good", "vid_A", "train", 1.0, 4.0),
        "vid_A$_$1": ("neutral", 0.0, "then", "vid_A", "train", 4.0, 9.0),
    }
    first = clips["vid_A$_$0"]
    assert (first.video, first.audio) == (
        "mosei/Raw/Videos/Full/Combined/vid_A.mp4", "mosei/Raw/Audio/Full/WAV_16000/vid_A.wav",
    )  # fmt: skip
    speech, face = (
        read_features(tmp_path / first.features[m].path, first.features[m].key)[0] for m in ("speech", "face")
    )
    np.testing.assert_allclose(speech, [[t, 0] for t in np.arange(1, 4, 0.5)])  # NaN became 0
    np.testing.assert_allclose(face[:, 0], [2.0, 2.5, 3.0, 3.5])  # frames without a face are left out
    reasons = {s.reason for s in prepared.skipped}
    assert "has neither text, features nor media" in reasons  # vid_B: nothing but a pause
    assert "has 'phones', which is neither labels, words nor known features" in reasons
    assert "is left out for CMU_MOSEI_VisualFacet42.csd; one sequence a modality is read" in reasons
    assert "20 values of speech are not finite numbers; they were set to 0" not in reasons
    assert "16 values of speech are not finite numbers; they were set to 0" in reasons


def test_the_six_emotions(tmp_path: Path) -> None:
    root = mosei(tmp_path / "mosei")
    sequence(root / "language/CMU_MOSEI_TimestampedWords.csd", "words", {**WORDS, "vid_B": ([[b"no"]], [[0, 5]])})
    six = by_id(run("cmumosei", root, tmp_path / "m.jsonl", label_set="ekman6"))
    assert {k: (c.labels, c.label, c.split) for k, c in six.items()} == {
        "vid_A$_$0": (("happy", "surprised", "fearful"), None, "train"),
        "vid_A$_$1": (None, None, "train"),
        "vid_B$_$0": (("sad", "angry"), None, "test"),
    }
    seven = by_id(run("cmumosei", root, tmp_path / "m.jsonl", label_set="ekman7"))
    assert seven["vid_A$_$1"].labels == ("neutral",)


def test_aligned_sequences_and_mosi(tmp_path: Path) -> None:
    root = tmp_path / "mosi"
    labels = {f"v_1[{n}]": ([[score]], [[n * 2.0, n * 2.0 + 2]]) for n, score in ((0, -2.4), (2, 3.0), (10, 0.4))}
    sequence(root / "Opinion.csd", "Opinion Segment Labels", labels)
    sequence(root / "glove.csd", "glove_vectors", {"v_1[2]": (np.ones((3, 4)), [[4, 4.5], [4.5, 5], [5, 6]])})
    prepared = run("cmumosi", root, tmp_path / "m.jsonl", label_set="polarity7")
    (clip,) = prepared.clips
    assert (clip.id, clip.label, clip.split, clip.start) == ("v_1$_$2", "strongly positive", None, None)
    assert read_features(tmp_path / clip.features["text"].path, clip.features["text"].key)[0].shape == (3, 4)
    assert "(cmu_mosi_std_folds.py) does not exist" in "".join(s.reason for s in prepared.skipped)


def test_what_is_no_sequence(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = write(tmp_path / "mosei/CMU_MOSEI_Labels.csd", "<html>404</html>")
    with pytest.raises(ManifestError, match=r"CMU_MOSEI_Labels.csd: is not a computational sequence .*fetch it again"):
        prepare("cmumosei", path.parent, tmp_path / "m.jsonl")
    sequence(path, "All Labels", {"v": ([[1.0]], [[0, 1, 2]])})
    with pytest.raises(ManifestError, match=r"v: features and intervals are \[1, 1\] and \[1, 3\], not"):
        prepare("cmumosei", path.parent, tmp_path / "m.jsonl")
    write(path.parent / "cmu_mosei_std_folds.py", "standard_train_fold = __import__('os').system('true')")
    sequence(path, "All Labels", LABELS)
    with pytest.raises(ManifestError, match="is not the SDK's list of folds"):
        prepare("cmumosei", path.parent, tmp_path / "m.jsonl")


def test_without_h5py_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mosei/CMU_MOSEI_Labels.csd", "x")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ManifestError, match=r"reading .csd files needs h5py: pip install \"multiemo\[csd\]\""):
        prepare("cmumosei", tmp_path / "mosei", tmp_path / "m.jsonl")
