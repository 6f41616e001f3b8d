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
from multiemo.losses import label_loss
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss
from multiemo.training.mixup import mix_pairs
from multiemo.training.optim import build_optimizer, build_schedule
from multiemo.training.trainer import Trainer
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


def make_branch() -> EmotionModel:
    torch.manual_seed(0)
    part = encoders.build("features", {"hidden": 16}, where="e", modality="speech", dim=5)
    return EmotionModel({"speech": part}, CLASSES)


def make_loader(samples, modalities, shuffle=True):
    lengths = [max(x.shape[0] for x in s.inputs.values()) for s in samples]
    sampler = BucketSampler(lengths, 8, seed=1, shuffle=shuffle)
    return DataLoader(samples, batch_sampler=sampler, collate_fn=Collate(modalities, CLASSES))


def fit(model, settings, state: Path | None = None, stop_after: int | None = None, samples=None, identity="a"):
    samples = samples or make_samples(60, 0)
    check = make_loader(make_samples(30, 1), model.modalities, shuffle=False)
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

    return trainer.fit(model, make_loader(samples, model.modalities), figures, on_epoch=on_epoch)


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


def say_others(samples: list[Sample], labels) -> list[Sample]:
    """The samples with what three other sources say of each."""
    for sample, label in zip(samples, labels, strict=True):
        sample.other_targets = torch.eye(CLASSES)[int(label)].repeat(3, 1)
    return samples


def test_auxiliary_loss_sums_the_sources_over_the_rows_they_speak_of():
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 3, CLASSES), torch.eye(CLASSES)[torch.randint(0, CLASSES, (4, 3))]
    targets[1, 0] = targets[:, 2] = 0
    first = label_loss(logits[[0, 2, 3], 0], targets[[0, 2, 3], 0], torch.ones(3, dtype=torch.bool))
    second = label_loss(logits[:, 1], targets[:, 1], torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(auxiliary_loss(logits, targets, task="single"), first + second)
    assert auxiliary_loss(logits, None, task="single") == 0
    assert AuxiliaryHeads(5, CLASSES)(torch.randn(4, 5)).shape == logits.shape


def test_a_branch_learns_from_other_sources_alone():
    samples = make_samples(60, 0)
    say_others(samples, [i % CLASSES for i in range(60)])
    for sample in samples:
        sample.target = torch.eye(CLASSES)[int(torch.randint(0, CLASSES, ()))]  # the label itself says nothing
    model, without = make_branch(), make_branch()
    fit(model, TrainingConfig(epochs=8, lr=5e-3, auxiliary_loss=3.0), samples=samples)
    fit(without, TrainingConfig(epochs=8, lr=5e-3), samples=samples)
    held = Collate(("speech",), CLASSES)(make_samples(90, 2))

    def spread(branch):  # of the labels' mean embeddings, against that within labels
        with torch.no_grad():
            x = branch.eval()(held).embeddings["speech"]
        means = torch.stack([x[held.target[:, c] == 1].mean(0) for c in range(CLASSES)])
        return float(means.var(0).sum() / (x - means[held.target.argmax(1)]).var(0).sum())

    assert spread(model) > 1.2 * spread(without)
    assert model.state_dict().keys() == without.state_dict().keys()  # the heads are not kept


def test_a_branch_with_auxiliary_heads_resumes_bit_for_bit(tmp_path):
    settings = TrainingConfig(epochs=4, lr=3e-3, auxiliary_loss=0.5, mixup=0.4)
    straight, broken, resumed = make_branch(), make_branch(), make_branch()
    samples = say_others(make_samples(60, 0), torch.arange(60) % 2)
    fit(straight, settings, tmp_path / "a.safetensors", samples=samples)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, settings, tmp_path / "b.safetensors", stop_after=2, samples=samples)
    torch.manual_seed(99)
    fit(resumed, settings, tmp_path / "b.safetensors", samples=samples)
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_mixup_mixes_what_other_sources_say():
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(say_others(make_samples(20, 0), torch.arange(20) % CLASSES))
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    share = share.view(-1, 1, 1)
    expected = share * batch.other_targets + (1 - share) * batch.other_targets[partner]
    torch.testing.assert_close(mixed.other_targets, expected)


def test_auxiliary_heads_are_trained_at_the_rate_of_heads():
    heads = AuxiliaryHeads(4, CLASSES)
    optimizer = build_optimizer(make_model(), TrainingConfig(lr=1e-3, branch_lr={"face": 1e-5}), beside=heads)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {rates[id(p)] for p in heads.parameters()} == {1e-3}
