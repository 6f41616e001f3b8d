"""One training step never waits for the device; and what it is made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import Collate
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training.objectives import Contrastive, Labels, Masked, Objective
from multiemo.training.optim import MovingAverage, build_optimizer, build_schedule
from multiemo.training.weighing import StepWeighting
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
    weighting = StepWeighting(settings, objective, [range(len(batch))] * settings.accumulate, torch.device("cpu"))
    with no_sync():
        for _ in range(settings.accumulate):
            loss = objective(batch, weighting.masses([batch] * settings.accumulate))
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
