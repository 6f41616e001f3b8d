"""Protocols: their folds, and the configs and corpora that they reject."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from multiemo.benchmark.protocol import Protocol, plan, random_protocol, without_clips
from multiemo.config import Config, load_config
from multiemo.data.manifest.reading import write_manifest
from multiemo.errors import ConfigError, ManifestError, SplitError
from multiemo.runs import sources
from multiemo.types import Clip, FeatureRef

LABELS = ("negative", "neutral", "positive")


def clips(*, speakers: int = 6, each: int = 6, corpus: str = "toy") -> list[Clip]:
    return [
        Clip(
            id=f"{corpus}-{s}-{i}",
            corpus=corpus,
            speaker=f"s{s}",
            group=f"d{s // 2}",
            text=f"words number {i} of speaker {s}",
            label_set="polarity3",
            label=LABELS[i % 3],
        )
        for s in range(speakers)
        for i in range(each)
    ]


def config(folder: Path, rows: list[Clip], *overrides: str) -> Config:
    write_manifest(rows, folder / "m.jsonl")
    path = folder / "c.yaml"
    path.write_text(
        f"name: toy\nlabel_set: polarity3\ndata: {{manifest: '{folder / 'm.jsonl'}'}}\n"
        "encoders: {text: {name: text_transformer}}\nstages: [text]\n",
        "utf-8",
    )
    return load_config(path, overrides)


def all_tested(protocol: Protocol) -> list[str]:
    return sorted(i for fold in protocol.folds for i in fold.split.parts["test"])


@pytest.mark.parametrize(
    ("name", "folds", "group"),
    [("kfold", 3, "speaker"), ("leave-one-speaker-out", 6, "speaker"), ("leave-one-session-out", 3, "group")],
)
def test_folds_of_a_grouped_protocol_test_every_clip_once_and_share_no_group(tmp_path, name, folds, group):
    rows = clips()
    three = ("benchmark.folds=3",) if name == "kfold" else ()
    protocol = plan(config(tmp_path, rows, f"benchmark.protocol={name}", *three))
    assert len(protocol.folds) == folds
    assert all_tested(protocol) == sorted(c.id for c in rows)
    owner = {c.id: getattr(c, group) for c in rows}
    for fold in protocol.folds:
        seen = [{owner[i] for i in fold.split.parts[part]} for part in ("train", "val", "test")]
        assert not seen[0] & seen[1]
        assert not (seen[0] | seen[1]) & seen[2]
        assert fold.config.data.split.hash == fold.split.hash
        if name != "kfold":
            assert len(seen[2]) == 1


def test_the_protocol_follows_the_split_of_the_config_unless_it_is_named(tmp_path):
    assert plan(config(tmp_path, clips())).name == "holdout"
    assert plan(config(tmp_path, clips(), "data.split.kind=kfold")).name == "kfold"
    named = "data.split={kind: speakers, train_speakers: [s0, s1, s2], val_speakers: [s3], test_speakers: [s4, s5]}"
    one = plan(config(tmp_path, clips(), named))
    assert one.name == "holdout"
    assert one.folds[0].split.groups["test"] == ("toy:s4", "toy:s5")
    assert len(plan(config(tmp_path, clips(), named, "benchmark.protocol=kfold")).folds) == 5


def test_cross_corpus_tests_each_corpus_once_on_the_others(tmp_path):
    rows = clips() + clips(corpus="other")
    protocol = plan(config(tmp_path, rows, "benchmark.protocol=cross-corpus"))
    assert [fold.name for fold in protocol.folds] == ["other", "toy"]
    assert set(protocol.folds[0].split.parts["test"]) == {c.id for c in rows if c.corpus == "other"}
    with pytest.raises(SplitError, match="every clip is of toy; join manifests"):
        plan(config(tmp_path, clips(), "benchmark.protocol=cross-corpus"))


def test_the_hash_changes_with_the_folds_and_with_nothing_else(tmp_path):
    first = plan(config(tmp_path, clips(), "benchmark.protocol=kfold"))
    assert plan(config(tmp_path, list(reversed(clips())), "benchmark.protocol=kfold", "seed=9")).hash == first.hash
    assert plan(config(tmp_path, clips(), "benchmark.protocol=kfold", "data.split.seed=1")).hash != first.hash
    assert plan(config(tmp_path, clips()[:-1], "benchmark.protocol=kfold")).hash != first.hash


def test_a_moved_speaker_breaks_the_pinned_hash(tmp_path):
    rows = clips()
    fold = plan(config(tmp_path, rows, "benchmark.protocol=kfold")).folds[0]
    moved = [replace(c, speaker="s1") if c.speaker == "s0" else c for c in rows]
    write_manifest(moved, tmp_path / "m.jsonl")
    source = sources.SourceConfig(manifest=str(tmp_path / "m.jsonl"), split=fold.config.data.split)
    with pytest.raises(SplitError, match=r"data\.split\.hash: the config requires the split"):
        sources.open_source(source)


def test_a_speaker_moved_into_the_published_test_part_is_named(tmp_path):
    parts = {"s0": "test", "s1": "val"}
    rows = [replace(c, split=parts.get(str(c.speaker), "train")) for c in clips()]
    assert plan(config(tmp_path, rows, "data.split.kind=official")).name == "official"
    moved = [replace(c, split="test") if c.id == "toy-4-2" else c for c in rows]
    with pytest.raises(SplitError, match=r"speaker 'toy:s4' is in (train and test|test and train)"):
        plan(config(tmp_path, moved, "data.split.kind=official"))


def test_a_corpus_without_speakers_is_told_which_protocol_fits(tmp_path):
    bare = [replace(c, speaker=None, group=None) for c in clips()]
    with pytest.raises(SplitError, match=r"no clip of .* has a speaker; use .*protocol=kfold with .*group_by=clip"):
        plan(config(tmp_path, bare, "benchmark.protocol=leave-one-speaker-out"))
    published = [replace(c, split="test" if i % 3 == 0 else "train") for i, c in enumerate(bare)]
    with pytest.raises(SplitError, match=r"protocol=official with data\.split\.group_by=clip"):
        plan(config(tmp_path, published, "benchmark.protocol=kfold"))
    dialogues = [replace(c, speaker=None) for c in clips()]
    with pytest.raises(SplitError, match=r"data\.split\.group_by=group"):
        plan(config(tmp_path, dialogues, "benchmark.protocol=kfold"))
    with pytest.raises(SplitError, match=r"clip 'toy-2-0' has no speaker \(6 of 36 clips\)"):
        plan(config(tmp_path, [replace(c, speaker=None) if c.speaker == "s2" else c for c in clips()],
                    "benchmark.protocol=kfold"))  # fmt: skip
    assert any("not people" in note for note in plan(config(tmp_path, bare, "data.split.group_by=clip")).notes)


def test_a_label_that_a_fold_tests_and_never_learns_is_refused_by_name(tmp_path):
    rare = [replace(c, label="neutral" if c.label == "positive" and c.speaker != "s0" else c.label) for c in clips()]
    with pytest.raises(SplitError, match=r"fold\d: label 'positive' has 2 clips in (test|val) and none in train"):
        plan(config(tmp_path, rare, "benchmark.protocol=leave-one-speaker-out"))


def test_a_label_that_is_never_tested_is_noted(tmp_path):
    rows = [replace(c, label="neutral" if c.label == "positive" and c.speaker == "s5" else c.label) for c in clips()]
    split = "data.split={kind: speakers, train_speakers: [s0, s1, s2], val_speakers: [s3], test_speakers: [s5]}"
    assert "holdout: no test clip is positive" in plan(config(tmp_path, rows, split)).notes


def test_a_modality_that_no_training_clip_has_is_refused(tmp_path):
    voice = ("encoders.speech={name: features}", "stages=[text, speech, fuse]")
    with pytest.raises(ManifestError, match=r"no clip to train on has features\.speech, which encoders\.speech reads"):
        plan(config(tmp_path, clips(), *voice))
    heard = [replace(c, features={"speech": FeatureRef("f.csv", c.id)}) for c in clips()]
    assert plan(config(tmp_path, heard, *voice)).folds


def test_a_random_protocol_has_as_many_folds_of_clips_and_needs_folds_of_people(tmp_path):
    one = config(tmp_path, clips(), "benchmark.protocol=kfold", "benchmark.folds=3")
    shuffled = random_protocol(one, plan(one))
    assert shuffled.group_by == "clip"
    assert len(shuffled.folds) == 3
    assert all_tested(shuffled) == all_tested(plan(one))
    with pytest.raises(ConfigError, match="--show-leak compares K folds"):
        random_protocol(one, plan(config(tmp_path, clips())))


def test_clips_left_out_of_a_fold_are_pinned_in_its_config(tmp_path):
    one = config(tmp_path, clips(), "benchmark.protocol=kfold", "benchmark.folds=3")
    protocol = plan(one)
    gone = protocol.folds[0].split.parts["train"][:2]
    less = without_clips(one, protocol, {"fold0": gone})
    data = less.folds[0].config.data
    split = sources.open_source(sources.SourceConfig(manifest=str(data.manifest), split=data.split)).split
    assert split.hash == less.folds[0].split.hash != protocol.folds[0].split.hash
    assert set(protocol.folds[0].split.parts["train"]) - set(split.parts["train"]) == set(gone)
    assert split.parts["test"] == protocol.folds[0].split.parts["test"]
    assert less.folds[1] == protocol.folds[1]
    assert less.hash != protocol.hash


def test_a_metric_that_selects_on_test_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"training\.monitor: 'test_uar' would select the epoch on the test part"):
        config(tmp_path, clips(), "training.monitor=test_uar")
