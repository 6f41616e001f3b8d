"""The loop on tiny feature models: it learns, resumes bit for bit, stops where it must."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler, Collate
from multiemo.errors import CheckpointError, TrainingError
from multiemo.evaluate import evaluate_model
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training.optim import build_optimizer, build_schedule
from multiemo.training.trainer import Trainer, mix_pairs
from multiemo.types import Sample

CLASSES = 3
MODALITIES = ("speech", "face")


def make_samples(count: int, seed: int, poison: int | None = None) -> list[Sample]:
    torch.manual_seed(seed)
    samples = []
    for i in range(count):
        label = i % CLASSES
        inputs = {m: torch.randn(1 + i % 3, 5) + 2.5 * torch.eye(CLASSES, 5)[label] for m in MODALITIES}
        absent = {}
        if i % 5 == 4:
            inputs.pop("face")
            absent["face"] = "not there"
        if i == poison:
            inputs["speech"][0, 0] = float("nan")
        target = torch.eye(CLASSES)[label]
        samples.append(Sample(f"clip{i}", "c", f"s{i % 6}", inputs, absent, target, torch.full((3,), float("nan"))))
    return samples


def make_model() -> EmotionModel:
    torch.manual_seed(0)
    parts = {m: encoders.build("features", {"hidden": 16}, where="e", modality=m, dim=5) for m in MODALITIES}
    fusion = fusions.build("gated", {"dim": 8}, where="f", dims={m: e.out_dim for m, e in parts.items()})
    return EmotionModel(parts, CLASSES, fusion=fusion)


def make_loader(samples, shuffle=True):
    lengths = [max(x.shape[0] for x in s.inputs.values()) for s in samples]
    sampler = BucketSampler(lengths, 8, seed=1, shuffle=shuffle)
    return DataLoader(samples, batch_sampler=sampler, collate_fn=Collate(MODALITIES, CLASSES))


def fit(model, settings, state: Path | None = None, stop_after: int | None = None, samples=None, identity="a"):
    samples = samples or make_samples(60, 0)
    check = make_loader(make_samples(30, 1), shuffle=False)
    trainer = Trainer(
        Accelerator(cpu=True), settings, task="single", frequencies=torch.full((CLASSES,), 1 / CLASSES), seed=4,
        state_file=state, identity=identity,
    )  # fmt: skip

    def figures(candidate):
        report = evaluate_model(
            candidate, check, label_set=["a", "b", "c"], prior=torch.ones(3).double().numpy(), intervals=False
        )
        return {k: v for k, v in report.subsets[report.full].items() if k != "n"}

    def on_epoch(record):
        if record["epoch"] == stop_after:
            raise KeyboardInterrupt

    return trainer.fit(model, make_loader(samples), figures, on_epoch=on_epoch)


def test_it_learns_and_keeps_the_best_epoch():
    model = make_model()
    result = fit(model, TrainingConfig(epochs=12, lr=5e-3))
    assert result.best["uar"] > 0.7
    assert result.best["uar"] == pytest.approx(max(r["val"]["uar"] for r in result.history), abs=1e-6)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    again = [r for r in result.history if r["epoch"] == result.best_epoch]
    assert again[0]["val"]["uar"] == pytest.approx(result.best["uar"], abs=1e-6)


@pytest.mark.parametrize("extra", [{}, {"ema": 0.9, "mixup": 0.4}, {"accumulate": 2, "class_weights": 0.5}])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, extra):
    settings = TrainingConfig(epochs=5, lr=3e-3, modality_dropout=0.5, **extra)
    straight = make_model()
    fit(straight, settings, tmp_path / "a.safetensors")
    broken = make_model()
    with pytest.raises(KeyboardInterrupt):
        fit(broken, settings, tmp_path / "b.safetensors", stop_after=2)
    resumed = make_model()
    torch.manual_seed(99)
    fit(resumed, settings, tmp_path / "b.safetensors")
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_a_state_of_another_config_is_refused(tmp_path):
    settings = TrainingConfig(epochs=1)
    fit(make_model(), settings, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="another config"):
        fit(make_model(), settings, tmp_path / "a.safetensors", identity="b")


def test_a_damaged_state_is_named(tmp_path):
    state = tmp_path / "a.safetensors"
    fit(make_model(), TrainingConfig(epochs=1), state)
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        fit(make_model(), TrainingConfig(epochs=1), state)


def test_a_loss_that_is_not_finite_names_the_clips():
    with pytest.raises(TrainingError, match="clip7"):
        fit(make_model(), TrainingConfig(epochs=1), samples=make_samples(60, 0, poison=7))


def test_patience_stops_early():
    result = fit(make_model(), TrainingConfig(epochs=50, lr=1e-7, patience=3))
    assert result.epochs == result.best_epoch + 3 < 50


def test_frozen_encoders_keep_their_weights_and_others_move():
    model = make_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fit(model, TrainingConfig(epochs=1, freeze=("speech",)))
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert not any(k.startswith("encoders.speech") for k in moved)
    assert any(k.startswith("encoders.face") for k in moved)


def test_branch_learning_rates_and_decay_groups():
    model = make_model()
    optimizer = build_optimizer(model, TrainingConfig(lr=1e-3, branch_lr={"face": 1e-5}, weight_decay=0.1))
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        rate, decay = rates[id(parameter)]
        assert rate == (1e-5 if name.startswith("encoders.face") else 1e-3), name
        assert decay == (0.1 if parameter.ndim > 1 else 0.0), name


def test_schedule_rises_then_falls_to_zero():
    optimizer = build_optimizer(make_model(), TrainingConfig(lr=1.0))
    schedule = build_schedule(optimizer, 100, 0.1)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01


def test_mixup_mixes_targets_and_embeddings_of_alike_pairs_only():
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(make_samples(20, 0))
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    assert (share >= 0.5).all()
    torch.testing.assert_close(mixed.target.sum(1), torch.ones(20))
    differs = batch.presence["face"] != batch.presence["face"][partner]
    assert (share[differs] == 1).all()
    assert (share[~differs] < 1).any()
    model = make_model().eval()
    plain = model(batch).embeddings["speech"]
    torch.testing.assert_close(
        model(batch, mix=(share, partner)).embeddings["speech"],
        share.unsqueeze(1) * plain + (1 - share.unsqueeze(1)) * plain[partner],
    )
