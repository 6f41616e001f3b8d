"""Samples -> batches: padding, masks, buckets, budgets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multiemo.data.collate import BucketSampler, Collate, pad
from multiemo.types import Sample
from tests.support.tiny_training import CLASSES, MODALITIES, make_samples


def sample(i, speech=None, face=None):
    inputs = {m: torch.ones(n, 2) * i for m, n in (("speech", speech), ("face", face)) if n}
    return Sample(str(i), "c", "s", inputs, {}, None if i == 0 else torch.tensor([1.0, 0.0]), torch.zeros(3))


def test_collate_pads_and_marks_what_is_there():
    batch = Collate(("speech", "face"), 2)([sample(0, speech=3), sample(1, speech=5, face=1), sample(2, face=2)])
    assert batch.inputs["speech"].shape == (3, 5, 2)
    assert batch.masks["speech"].sum(1).tolist() == [3, 5, 0]
    assert batch.presence["face"].tolist() == [False, True, True]
    assert batch.labelled.tolist() == [False, True, True]
    assert batch.inputs["speech"][0, 3:].abs().sum() == 0
    empty = Collate(("text",), 2)([sample(1, speech=3)])
    assert not empty.presence["text"].any()
    x, mask = pad([None, None])
    assert not mask.any()
    assert x.shape[0] == 2


def test_bucket_sampler_covers_everything_once_and_repeats_by_seed():
    lengths = list(np.random.default_rng(0).integers(1, 100, 103))
    sampler = BucketSampler(lengths, 10, seed=3)
    batches = list(sampler)
    assert sorted(i for b in batches for i in b) == list(range(103))
    assert len(batches) == len(sampler)
    assert batches == list(BucketSampler(lengths, 10, seed=3))
    sampler.epoch = 1
    assert batches != list(sampler)
    spread = np.mean([np.ptp([lengths[i] for i in b]) for b in batches])
    assert spread < 30
    mixed = list(BucketSampler(lengths, 10, seed=3, similar_lengths=False))
    assert sorted(i for b in mixed for i in b) == list(range(103))
    assert np.mean([np.ptp([lengths[i] for i in b]) for b in mixed]) > 60
    assert min(len(b) for b in BucketSampler([1] * 21, 10)) == 10  # no batch of one
    assert next(iter(BucketSampler(lengths, 50, shuffle=False))) == list(range(50))


def test_a_batch_knows_on_the_cpu_which_modalities_are_unpadded():
    collate = Collate(("speech", "face"), 2)
    even = collate([sample(0, speech=3), sample(1, speech=3, face=1), sample(2, face=2)])
    assert even.unpadded == {"speech"}
    assert even.to("meta").unpadded == {"speech"}
    assert collate([sample(0, speech=3, face=2), sample(1, speech=2, face=2)]).unpadded == {"face"}


def test_rows_and_embeddings_travel_with_a_batch():
    samples = make_samples(6, 0)
    for sample in samples:
        sample.embeddings["text"] = torch.randn(4)
    batch = Collate(("text", *MODALITIES), CLASSES)(samples).to("cpu")
    assert batch.rows["text"] is None
    assert batch.rows["face"].tolist() == [0, 1, 2, 3, 5]
    assert batch.embeddings["text"].shape == (6, 4)
    assert batch.presence["text"].all()


def test_batches_stay_within_their_budgets():
    torch.manual_seed(0)
    words, sound = torch.randint(1, 60, (200,)).tolist(), torch.randint(50, 1200, (200,)).tolist()
    sampler = BucketSampler(sound, 32, seed=1, costs=[(words, 300), (sound, 4000)])
    batches = list(sampler)
    assert sorted(i for b in batches for i in b) == list(range(200))
    assert len(sampler) == len(batches)
    for batch in batches:
        assert len(batch) <= 32
        assert len(batch) * max(words[i] for i in batch) <= 300
        assert len(batch) * max(sound[i] for i in batch) <= 4000
    assert max(map(len, batches)) > min(map(len, batches)) + 1  # short clips come in larger batches


def test_a_clip_above_the_budget_comes_alone():
    sampler = BucketSampler([5, 5, 900, 5], 4, shuffle=False, costs=[([5, 5, 900, 5], 100)])
    assert list(sampler) == [[0, 1], [2], [3]]


def test_balanced_sampling_draws_rare_clips_as_often_as_their_weight():
    weights = [1.0] * 900 + [9.0] * 100
    drawn = [i for b in BucketSampler([1] * 1000, 50, seed=2, weights=weights) for i in b]
    assert len(drawn) == 1000
    rare = sum(i >= 900 for i in drawn) / 1000
    assert rare == pytest.approx(0.5, abs=0.06)
    again = [i for b in BucketSampler([1] * 1000, 50, seed=2, weights=weights) for i in b]
    assert drawn == again


def test_processes_share_each_batch_and_all_have_the_same_number():
    parts = [list(BucketSampler(list(range(1, 54)), 8, seed=3, rank=r, processes=3)) for r in range(3)]
    alone = list(BucketSampler(list(range(1, 54)), 8, seed=3))
    assert {len(p) for p in parts} == {len(alone)}
    for whole, *shares in zip(alone, *parts, strict=True):
        assert sorted(i for share in shares for i in share) == sorted(whole)
        assert all(shares)
    with pytest.raises(ValueError, match="too few for 3 processes"):
        BucketSampler([1, 1], 8, processes=3)


def test_an_epoch_can_begin_in_its_middle():
    sampler = BucketSampler(list(range(40)), 8, seed=3)
    whole = list(sampler)
    sampler.start = 3
    assert list(sampler) == whole[3:]
    assert len(sampler) == len(whole)
