"""Rows -> samples -> batches, and the cache in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.targets import LabelSpace
from multiemo.errors import MediaError
from multiemo.inputs import build_input
from multiemo.inputs.dataset import ClipDataset
from multiemo.inputs.sound import SpeechInput
from multiemo.inputs.text import TextInput
from multiemo.types import Absent, Clip, FeatureRef, FeatureSpec, SpeechSpec, TextSpec, spec_to_dict
from tests.support.media_files import wav


class Levels:
    """A speech preprocessor that counts its calls."""

    def __init__(self, **options):
        self.spec = SpeechSpec(**options)
        self.calls = 0

    def __call__(self, audio, rate):
        self.calls += 1
        if np.abs(audio).max() < 0.01:
            return Absent("silence")
        return torch.from_numpy(np.abs(audio[: rate // 10])).reshape(-1, 1)


class Words:
    def __init__(self, context=0):
        self.spec = TextSpec(context=context)

    def __call__(self, text, context=()):
        said = " ".join(f"<{'same' if same else 'other'}>{turn}" for same, turn in context)
        return torch.tensor([ord(c) for c in f"{said}|{text}"])


def sound(levels):
    return {"speech": SpeechInput("speech", levels)}


def hum(level: float) -> np.ndarray:
    """Half a second."""
    return level * np.sin(np.arange(8000) * 0.1)


@pytest.fixture
def clips(tmp_path):
    for i in range(4):
        wav(tmp_path / f"{i}.wav", [hum(0.0 if i == 3 else 0.5 + 0.1 * i)])
    return [
        Clip(id=f"c{i}", corpus="x", speaker=str(i), audio=f"{i}.wav", label_set="polarity3", label="neutral")
        for i in range(4)
    ]


SPACE = LabelSpace("polarity3")


def test_cache_is_used_and_changes_with_content_span_and_spec(tmp_path, clips):
    cache = TensorCache(tmp_path / "cache")

    def calls(some, **options):
        preprocessor = Levels(**options)
        samples = [ClipDataset(some, tmp_path, sound(preprocessor), SPACE, cache=cache)[i] for i in range(4)]
        return preprocessor.calls, samples

    first, made = calls(clips)
    again, read = calls(clips)
    assert (first, again) == (4, 0)
    for a, b in zip(made, read, strict=True):
        assert a.absent == b.absent
        assert all(torch.equal(a.inputs[m], b.inputs[m]) for m in a.inputs)
    assert made[3].absent == {"speech": "silence"}
    assert calls([replace(c, end=0.25) for c in clips])[0] == 4
    assert calls(clips, n_mels=32)[0] == 4
    wav(tmp_path / "0.wav", [hum(0.9)])
    changed, samples = calls(clips)
    assert changed == 1
    assert not torch.equal(samples[0].inputs["speech"], made[0].inputs["speech"])


def test_a_share_of_the_clips_fills_the_cache(tmp_path, clips, counted):
    (tmp_path / "1.wav").write_bytes(b"")
    rows = [0, 1, 2]

    def dataset(preprocessor):
        return ClipDataset(
            clips,
            tmp_path,
            sound(preprocessor),
            SPACE,
            cache=TensorCache(tmp_path / "cache"),
        )

    first, second = Levels(), Levels()
    dataset(first).fill_cache(rows, progress=counted)
    assert counted.steps == [(1, 3), (2, 3), (3, 3)]
    assert first.calls == 2  # of the damaged clip nothing is left, and nothing said yet
    again = dataset(second)
    assert [again[i].id for i in (0, 2)] == ["c0", "c2"]
    assert second.calls == 0


@pytest.mark.fault("corrupted cache entry", "its checksum shows it; it is made again")
def test_a_damaged_cache_entry_is_made_again(tmp_path, clips):
    cache = TensorCache(tmp_path / "cache")
    preprocessor = Levels()
    dataset = ClipDataset(clips[:1], tmp_path, sound(preprocessor), SPACE, cache=cache)
    good = dataset[0].inputs["speech"]
    key = cache.key(tmp_path / "0.wav", None, None, spec_to_dict(preprocessor.spec))
    cache._put(key, b"+not safetensors")
    assert torch.equal(dataset[0].inputs["speech"], good)
    assert preprocessor.calls == 2


@pytest.mark.fault("LMDB map full", "the map grows; nothing is lost")
def test_the_cache_grows_when_it_is_full(tmp_path):
    cache = TensorCache(tmp_path / "cache", map_size=1 << 16)
    for i in range(20):
        cache.put(bytes([i]) * 8, torch.full((4000,), float(i)))
    assert all(torch.equal(cache.get(bytes([i]) * 8), torch.full((4000,), float(i))) for i in range(20))


def test_bad_media_stop_with_the_clip_or_are_listed(tmp_path, clips):
    (tmp_path / "1.wav").write_bytes(b"")
    rows = [*clips, replace(clips[0], id="gone", audio="gone.wav")]
    dataset = ClipDataset(rows, tmp_path, sound(Levels()), SPACE)
    with pytest.raises(MediaError, match="'c1'"):
        dataset.prepare()
    found = dataset.prepare(skip_bad=True)
    assert set(found.bad) == {"c1", "gone"}
    assert [c.id for c in dataset.clips] == ["c0", "c2", "c3"]
    assert [dataset[i].id for i in range(3)] == ["c0", "c2", "c3"]
    assert found.absent == {"speech": {"silence": 1}}
    assert found.lengths["speech"] == [1600, 1600, 0]


@pytest.mark.parametrize("limit", [1 << 30, 0])
def test_what_can_be_read_of_a_clip_is_kept(tmp_path, clips, limit, monkeypatch):
    """The voice of one clip and the vectors of the other, also when the split is read again from disk."""
    monkeypatch.setattr("multiemo.inputs.dataset.MEMORY_LIMIT", limit)
    np.save(tmp_path / "f.npy", np.ones((3, 2), np.float32))
    (tmp_path / "broken.npy").write_bytes(b"")
    (tmp_path / "1.wav").write_bytes(b"")
    vectors = [{"face": FeatureRef(name)} for name in ("broken.npy", "f.npy", "f.npy", "broken.npy")]
    rows = [replace(clip, features=features) for clip, features in zip(clips, vectors, strict=True)]
    readers = {**sound(Levels()), "face": build_input("face", FeatureSpec(dim=2))}
    dataset = ClipDataset(rows, tmp_path, readers, SPACE)
    with pytest.raises(MediaError, match="skip_bad=true to leave out what cannot be read"):
        dataset.prepare()
    found = dataset.prepare(skip_bad=True)
    assert [c.id for c in dataset.clips] == ["c0", "c1", "c2"]  # c3 has no voice either
    assert {clip: set(those) for clip, those in found.damaged.items()} == {"c0": {"face"}, "c1": {"speech"}}
    assert set(found.bad) == {"c3"}
    assert [set(dataset[i].inputs) for i in range(3)] == [{"speech"}, {"face"}, {"speech", "face"}]
    assert dataset[0].absent == {"face": "it cannot be read"}
    assert found.lengths == {"speech": [1600, 0, 1600], "face": [0, 3, 3]}
    whole, *parts = found.left_out()
    assert whole.startswith("left out c3: ")
    assert parts[0].startswith("left out the face of c0, and kept the rest of it: clip 'c0': ")


def test_a_file_cut_short_after_caching_is_an_error_not_old_data(tmp_path, clips):
    cache = TensorCache(tmp_path / "cache")
    dataset = ClipDataset(clips, tmp_path, sound(Levels()), SPACE, cache=cache)
    assert dataset[0].inputs
    (tmp_path / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(MediaError, match="'c0'"):
        dataset[0]


def test_workers_leave_no_open_files_behind(tmp_path, clips):
    rows = [replace(clips[i % 3], id=f"r{i}") for i in range(200)]
    dataset = ClipDataset(rows, tmp_path, sound(Levels()), SPACE, cache=TensorCache(tmp_path / "cache"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    dataset.prepare(workers=1)
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 50
    assert dataset[199].inputs["speech"].shape == (1600, 1)


def test_dialogue_context_comes_from_earlier_turns_of_the_same_dialogue(tmp_path):
    rows = [
        Clip(id="a", corpus="x", speaker="1", group="d", text="one"),
        Clip(id="b", corpus="x", speaker="2", group="d", text="two"),
        Clip(id="z", corpus="x", speaker="1", group="other", text="else"),
        Clip(id="c", corpus="x", speaker="1", group="d", text="three"),
    ]
    dataset = ClipDataset([rows[3]], tmp_path, {"text": TextInput("text", Words(context=2))}, SPACE, dialogue=rows)
    said = "".join(chr(c) for c in dataset[0].inputs["text"])
    assert said == "<same>one <other>two|three"
    alone = ClipDataset([rows[0]], tmp_path, {"text": TextInput("text", Words(context=2))}, SPACE, dialogue=rows)
    assert "".join(chr(c) for c in alone[0].inputs["text"]) == "|one"


@pytest.mark.parametrize(
    ("space", "fields", "expected"),
    [
        (LabelSpace("polarity3"), {"label_set": "ekman7", "label": "sad"}, [1, 0, 0]),
        (LabelSpace("polarity3"), {"label_set": "ekman7", "label": "surprised"}, None),
        (LabelSpace("polarity3"), {}, None),
        (LabelSpace("ekman7", "multi"), {"label_set": "goemotions28", "labels": ("joy", "love", "anger")},
         [0, 1, 0, 1, 0, 0, 0]),
        (LabelSpace("cremad6", "soft"), {"label_set": "cremad6", "votes": {"sad": 3, "neutral": 1}},
         [0.25, 0, 0.75, 0, 0, 0]),
        (LabelSpace("cremad6"), {"label_set": "cremad6", "votes": {"sad": 3, "neutral": 1}}, [0, 0, 1, 0, 0, 0]),
        (LabelSpace("cremad6"), {"label_set": "cremad6", "votes": {"sad": 2, "neutral": 2}}, None),
        (LabelSpace("cremad6"), {"label_set": "cremad6", "label": "sad", "votes": {"happy": 3}}, [0, 0, 1, 0, 0, 0]),
        (LabelSpace("cremad6", "soft"), {"label_set": "cremad6", "label": "sad", "votes": {"happy": 3}},
         [0, 1, 0, 0, 0, 0]),
        (LabelSpace("custom:sad,happy"), {"label_set": "ravdess8", "label": "happy"}, [0, 1]),
        (LabelSpace("custom:sad,happy"), {"label_set": "ravdess8", "label": "calm"}, None),
        (LabelSpace("ekman7", label_from="text"), {"label_set": "ekman7", "label": "sad",
         "modality_labels": {"text": "happy"}}, [0, 1, 0, 0, 0, 0, 0]),
    ],
)  # fmt: skip
def test_targets(space, fields, expected):
    target = space.target(Clip(id="a", corpus="x", text="t", **fields))
    assert (target if target is None else target.tolist()) == expected


def test_what_labels_lose_is_said():
    def rows(count, **fields):
        return [Clip(id="a", corpus="x", text="t", **fields)] * count

    clips = [
        *rows(3, label_set="ravdess8", label="calm"),
        *rows(2, label_set="ravdess8", label="disgusted"),
        *rows(4, label_set="ravdess8", label="sad"),
        *rows(1),
        *rows(2, label_set="cremad6", votes={"sad": 2, "neutral": 2}),
        *rows(1, label_set="cremad6", votes={"sad": 3, "fearful": 1, "disgusted": 0}),
    ]
    assert LabelSpace("iemocap4").notes(clips) == [
        "3 clips with label calm have no place in iemocap4 and are left out",
        "2 clips with label disgusted have no place in iemocap4 and are left out",
        "2 clips have several labels or tied votes instead of a single label and are left out",
    ]
    assert LabelSpace("iemocap4", "soft").notes(clips)[2:] == [
        "1 clips lose fearful, which iemocap4 does not have, and keep their other labels"
    ]
    assert LabelSpace("ravdess8", "soft").notes(clips) == []
    many = rows(2, label_set="goemotions28", labels=("joy", "neutral"))
    assert LabelSpace("polarity2", "multi").notes(many) == [
        "labels: joy -> positive 2",
        "2 clips lose neutral, which polarity2 does not have, and keep their other labels",
    ]
