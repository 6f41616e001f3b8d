"""One training step: it never waits for the device, and what it is made of does what it says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler, Collate
from multiemo.losses import label_loss
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training.objectives import Contrastive, Labels, Masked, Objective
from multiemo.training.optim import MovingAverage, build_optimizer, build_schedule
from multiemo.training.weighing import Weighing
from multiemo.types import Batch
from tests.support.no_sync import HostSync, no_sync
from tests.support.tiny_training import CLASSES, MODALITIES, make_samples


def model_of(fusion: str, modalities=MODALITIES) -> EmotionModel:
    torch.manual_seed(0)
    parts = {m: encoders.build("features", {"hidden": 16}, where="e", modality=m, dim=5) for m in modalities}
    if len(parts) == 1:
        return EmotionModel(parts, CLASSES)
    level = getattr(fusions.get(fusion, where="f"), "level", "embedding")
    dims = {m: CLASSES if level == "decision" else e.out_dim for m, e in parts.items()}
    return EmotionModel(parts, CLASSES, fusion=fusions.build(fusion, {}, where="f", dims=dims), dimensions=True)


def step(objective: Objective, settings: TrainingConfig, batch: Batch) -> None:
    optimizer = build_optimizer(objective, settings)
    schedule = build_schedule(optimizer, 10, 0.1)
    average = MovingAverage(objective.model, 0.9)
    objective.train()
    weighing = Weighing(settings, objective, [range(len(batch))] * settings.accumulate, torch.device("cpu"))
    with no_sync():
        for _ in range(settings.accumulate):
            loss = objective(batch, weighing.masses([batch] * settings.accumulate))
            loss.backward()
        objective.modulate(3)
        nn.utils.clip_grad_norm_(list(objective.parameters()), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        average.update()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("fusion", sorted(fusions))
def test_a_labelled_step_asks_the_device_nothing(fusion, accumulate):
    extra = {"mixup": 0.4, "modulation": 0.5, "focal": 1.0, "class_weights": 1.0, "label_smoothing": 0.1}
    settings = TrainingConfig(**extra, accumulate=accumulate)
    batch = Collate(MODALITIES, CLASSES)(make_samples(12, 0))
    step(Labels(model_of(fusion), settings, task="single", frequencies=torch.ones(CLASSES) / 3), settings, batch)


def test_a_step_without_labels_asks_the_device_nothing():
    settings = TrainingConfig()
    step(Contrastive(model_of("gated")), settings, Collate(MODALITIES, CLASSES)(make_samples(12, 0)))
    step(Masked(model_of("", ("speech",))), settings, Collate(("speech",), CLASSES)(make_samples(12, 0)))


def test_a_batch_made_without_its_rows_would_ask():
    batch = Collate(MODALITIES, CLASSES)(make_samples(12, 0))
    batch.rows = {}
    with pytest.raises(HostSync), no_sync():
        model_of("gated").encode(batch)


def test_rows_and_embeddings_travel_with_a_batch():
    samples = make_samples(6, 0)
    for sample in samples:
        sample.embeddings["text"] = torch.randn(4)
    batch = Collate(("text", *MODALITIES), CLASSES)(samples).to("cpu")
    assert batch.rows["text"] is None
    assert batch.rows["face"].tolist() == [0, 1, 2, 3, 5]
    assert batch.embeddings["text"].shape == (6, 4)
    assert batch.presence["text"].all()


def test_contrastive_loss_is_cross_entropy_over_the_clips_that_have_both():
    torch.manual_seed(0)
    objective = Contrastive(model_of("gated")).eval()
    batch = Collate(MODALITIES, CLASSES)(make_samples(10, 0))
    loss, naive = objective.compare(batch)
    both = batch.presence["face"]  # speech is always there
    points = [
        nn.functional.normalize(objective.project[m](objective.model.encode(batch)[m]), dim=1)[both] for m in MODALITIES
    ]
    scores = objective.scale.exp() * points[0] @ points[1].T
    own = torch.arange(len(scores))
    wanted = 0.5 * (nn.functional.cross_entropy(scores, own) + nn.functional.cross_entropy(scores.T, own))
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(naive, torch.tensor(float(len(scores))).log())


# ------------------------------------------------------------------------------------------------------- focal loss
def test_focal_loss_weighs_by_what_is_still_wrong():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 1, 0])
    rows, target = torch.ones(6, dtype=torch.bool), torch.eye(4)[labels]
    p = logits.softmax(1)[torch.arange(6), labels]
    wanted = ((1 - p).square() * -p.log()).mean()
    torch.testing.assert_close(label_loss(logits, target, rows, focal=2.0), wanted)


def test_focal_loss_of_several_labels_is_torchvisions():
    from torchvision.ops import sigmoid_focal_loss

    logits, target = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    ours = label_loss(logits, target, torch.ones(5, dtype=torch.bool), task="multi", focal=2.0)
    torch.testing.assert_close(ours, sigmoid_focal_loss(logits, target, alpha=-1, gamma=2.0, reduction="mean"))


# ---------------------------------------------------------------------------------------------------------- batches
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


@pytest.mark.slow
def test_compiled_encoders_learn_the_same(tmp_path):
    from multiemo.training import trainer as module
    from tests.support.tiny_training import fit  # the loop with a tiny model

    plain = model_of("gated")
    fit(plain, TrainingConfig(epochs=2, lr=1e-3))
    compiled = model_of("gated")
    real = module.Trainer.__init__

    def with_compile(self, *arguments, **options):
        real(self, *arguments, **{**options, "compile_encoders": True})

    module.Trainer.__init__ = with_compile
    try:
        fit(compiled, TrainingConfig(epochs=2, lr=1e-3))
    finally:
        module.Trainer.__init__ = real
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    assert all(e._compiled_call_impl is None for e in compiled.encoders.values())
