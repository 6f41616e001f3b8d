"""Private gradients: one clip at a time, clipped, summed, with noise; draws that are truly Poisson."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from multiemo.config import TrainingConfig
from multiemo.data.collate import Collate
from multiemo.errors import CheckpointError, ConfigError
from multiemo.training.objectives import Labels
from multiemo.training.private import (
    CollateUnits,
    PoissonSampler,
    PrivateGradients,
    PrivateStage,
    unit_masses,
)
from multiemo.training.state import States
from multiemo.training.trainer import Trainer
from tests.support.tiny_training import CLASSES, labels, make_branch, make_model, make_samples

QUIET = PrivateStage(noise_multiplier=0.0, max_grad_norm=0.3, sample_rate=1.0, expected=6.0)


def private_loader(samples, modalities, *, rate=0.5, steps=4, by_speaker=False):
    units = [[i] for i in range(len(samples))]
    if by_speaker:
        units = [
            [i for i, s in enumerate(samples) if s.speaker == name] for name in sorted({s.speaker for s in samples})
        ]
    collate = CollateUnits(Collate(modalities, CLASSES), by_speaker)
    draws = torch.Generator().manual_seed(0)  # else drawn from the system's entropy, each time anew
    return DataLoader(samples, batch_sampler=PoissonSampler(units, rate, steps, draws), collate_fn=collate)


def fit_private(model, stage, *, folder=None, after_epoch=None, epochs=3, steps=4, **options):
    states = States(folder, identity="a", keep=1) if folder is not None else None
    trainer = Trainer(
        Accelerator(cpu=True), TrainingConfig(epochs=epochs, lr=3e-3), seed=1, states=states, private=stage
    )

    def on_epoch(record):
        if record["epoch"] == after_epoch:
            raise KeyboardInterrupt

    objective = labels(model, trainer.settings)
    return trainer.fit(
        objective, private_loader(make_samples(40, 0), model.modalities, **options), None, on_epoch=on_epoch
    )


@pytest.mark.parametrize("task", ["branch", "fused"])
def test_the_sum_is_that_of_gradients_clipped_clip_by_clip(task):
    """Against autograd on each clip alone, with the plain mean loss of a batch of one."""
    model = (make_branch() if task == "branch" else make_model()).eval()
    settings = TrainingConfig(modality_dropout=0.0)
    objective = labels(model, settings)
    trained = list(objective.parameters())
    private = PrivateGradients(QUIET, objective, trained)
    expected = [torch.zeros_like(p) for p in trained]
    clipped = 0
    collate = Collate(model.modalities, CLASSES)
    for sample in (s for s in make_samples(7, 3) if "face" in s.inputs):
        batch = collate([sample])
        found = torch.autograd.grad(objective(batch), trained, allow_unused=True)
        whole = torch.cat([g.flatten() for g in found if g is not None]).norm()
        clipped += bool(whole > 0.3)
        for total, gradient in zip(expected, found, strict=True):
            if gradient is not None:
                total += gradient * min(1.0, 0.3 / float(whole))
        objective(batch, unit_masses(objective, batch, 1)).backward()
        private.add()
    assert clipped >= 3  # otherwise nothing is tested
    private.release()
    for parameter, total in zip(trained, expected, strict=True):
        torch.testing.assert_close(parameter.grad, total / 6.0, atol=1e-6, rtol=1e-4)


def test_one_unit_moves_the_sum_by_the_largest_norm_at_most_even_with_wild_losses():
    weight = nn.Parameter(torch.zeros(5))
    model = nn.Module()
    model.weight = weight
    private = PrivateGradients(QUIET, model, [weight])
    for gradient in (torch.full((5,), 1e6), torch.full((5,), math.nan), torch.full((5,), math.inf), None):
        weight.grad = gradient
        private.add()
    assert 0.29 < private.sums[0].norm() <= 0.3


def test_the_noise_has_the_stated_deviation_and_is_not_seeded_by_the_program():
    stage = PrivateStage(noise_multiplier=2.0, max_grad_norm=0.5, sample_rate=0.1, expected=4.0)
    weight, drawn = nn.Parameter(torch.zeros(20_000)), []
    for _ in range(2):
        torch.manual_seed(7)
        model = nn.Module()
        private = PrivateGradients(stage, model, [weight])
        private.release()
        drawn.append(weight.grad)
    assert drawn[0].std() == pytest.approx(2.0 * 0.5 / 4.0, rel=0.03)
    assert not torch.equal(*drawn)


def test_every_unit_is_drawn_independently_with_the_rate_of_the_accountant():
    sampler = PoissonSampler([[i] for i in range(50)], 0.1, 4000, torch.Generator().manual_seed(0))
    drawn = list(sampler)
    sizes = torch.tensor([float(len(each)) for each in drawn])
    assert len(drawn) == len(sampler) == 4000
    assert sizes.mean() == pytest.approx(5.0, abs=0.15)
    assert sizes.var() == pytest.approx(50 * 0.1 * 0.9, rel=0.1)  # a fixed batch size would have a variance of 0
    assert (sizes == 0).float().mean() == pytest.approx(0.9**50, abs=0.003)  # empty steps happen
    seen = torch.bincount(torch.tensor([i for each in drawn for i in each]), minlength=50)
    assert float(seen.min()) > 300
    assert float(seen.max()) < 500


def test_a_person_is_one_unit_however_many_clips():
    samples = make_samples(40, 0)
    (step,) = private_loader(samples, ("speech", "face"), rate=1.0, steps=1, by_speaker=True)
    assert [[b.speakers for b in unit] for unit in step] == [[[f"s{n}"] * (7 if n < 4 else 6)] for n in range(6)]


def test_it_learns_without_noise_and_survives_empty_steps():
    model = make_model()
    stage = PrivateStage(noise_multiplier=0.0, max_grad_norm=1.0, sample_rate=0.5, expected=20.0)
    result = fit_private(model, stage, epochs=5)
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]
    fit_private(make_model(), stage, epochs=1, rate=0.0)


def test_resuming_goes_on_counting_and_refuses_another_mechanism(tmp_path):
    stage = PrivateStage(noise_multiplier=1.0, max_grad_norm=1.0, sample_rate=0.5, expected=20.0)
    with pytest.raises(KeyboardInterrupt):
        fit_private(make_model(), stage, folder=tmp_path, after_epoch=2)
    assert States(tmp_path, identity="a", keep=1).load().facts["privacy"] == stage.facts(8)
    result = fit_private(make_model(), stage, folder=tmp_path)
    assert result.history[-1]["step"] == 12
    quieter = PrivateStage(noise_multiplier=0.5, max_grad_norm=1.0, sample_rate=0.5, expected=20.0)
    with pytest.raises(CheckpointError, match="another noise"):
        fit_private(make_model(), quieter, folder=tmp_path)


def test_statistics_kept_in_training_are_refused():
    model = nn.Sequential(nn.BatchNorm1d(3))
    private = PrivateGradients(QUIET, model, list(model.parameters()))
    model(torch.randn(4, 3)).sum().backward()
    with pytest.raises(ConfigError, match=r"privacy: 0\.running_mean keeps statistics"):
        private.add()


def test_the_divisor_of_a_clip_does_not_depend_on_its_label():
    """With the divisors of plain training, a class weight would cancel in a batch of one."""
    settings = TrainingConfig(class_weights=1.0)
    objective = Labels(make_branch(), settings, task="single", frequencies=torch.tensor([0.6, 0.3, 0.1])).eval()
    batch = Collate(("speech",), CLASSES)([make_samples(3, 0)[2]])
    assert float(unit_masses(objective, batch, 1)["label"]) == 1.0
    weighted, plain = objective(batch, unit_masses(objective, batch, 1)), objective(batch)
    assert float(weighted / plain) == pytest.approx(float(objective.weights[2]))


def test_collate_units_of_nothing_is_an_empty_step():
    assert CollateUnits(SimpleNamespace(), by_speaker=True)([]) == []
