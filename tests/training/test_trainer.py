"""The loop on tiny feature models: it learns, resumes bit for bit, stops where it must."""

from __future__ import annotations

import signal
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
from multiemo.evaluation import evaluate_model
from multiemo.losses import alone, label_loss
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training import checkpoint
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss
from multiemo.training.mixup import mix_pairs
from multiemo.training.modulation import Modulation
from multiemo.training.objectives import Labels
from multiemo.training.optim import Thaw, build_optimizer, build_schedule, layer_groups
from multiemo.training.state import States
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


class Killed(Exception):
    """What stands in for a crash."""


def labels(model, settings) -> Labels:
    return Labels(model, settings, task="single", frequencies=torch.full((CLASSES,), 1 / CLASSES))


def fit(
    model, settings, folder: Path | None = None, samples=None, identity="a", after_epoch=None, after_step=None,
    crash=Killed,
):  # fmt: skip
    """Train; after an epoch or a step, ``crash`` is raised or called."""
    samples = samples or make_samples(60, 0)
    check = make_loader(make_samples(30, 1), model.modalities, shuffle=False)
    states = States(folder, identity=identity, keep=settings.keep) if folder is not None else None
    trainer = Trainer(Accelerator(cpu=True), settings, seed=4, states=states)

    def figures(objective):
        report = evaluate_model(
            objective.model, check, label_set=["a", "b", "c"], prior=torch.ones(3).double().numpy(), intervals=False
        )
        return {k: v for k, v in report.subsets[report.full].items() if k != "n"}

    def fall():
        made = crash()
        if isinstance(made, BaseException):
            raise made

    def on_epoch(record):
        if record["epoch"] == after_epoch:
            fall()

    def on_step(step, steps):
        if step == after_step:
            fall()

    torch.manual_seed(4)
    objective = labels(model, settings)
    loader = make_loader(samples, model.modalities)
    return trainer.fit(objective, loader, figures, on_step=on_step, on_epoch=on_epoch)


def assert_same_weights(one, other):
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_it_learns_and_keeps_the_best_epoch():
    model = make_model()
    result = fit(model, TrainingConfig(epochs=12, lr=5e-3))
    assert result.best["uar"] > 0.7
    assert result.best["uar"] == pytest.approx(max(r["val"]["uar"] for r in result.history), abs=1e-6)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    again = [r for r in result.history if r["epoch"] == result.best_epoch]
    assert again[0]["val"]["uar"] == pytest.approx(result.best["uar"], abs=1e-6)


WAYS = [
    {},
    {"ema": 0.9, "mixup": 0.4},
    {"accumulate": 2, "class_weights": 0.5},
    {"accumulate": 3, "save_steps": 1, "modulation": 0.5, "unfreeze": {"speech": 0.5}, "focal": 2.0},
    {"save_steps": 2, "keep": 3, "ema": 0.9, "balanced_sampling": 1.0, "layer_decay": {"face": 0.5}},
]


@pytest.mark.parametrize("extra", WAYS)
@pytest.mark.parametrize("where", [{"after_epoch": 2}, {"after_step": 1}, {"after_step": 5}, {"after_step": 13}])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, extra, where):
    settings = TrainingConfig(epochs=5, lr=3e-3, modality_dropout=0.5, **extra)
    straight, broken, resumed = make_model(), make_model(), make_model()
    result = fit(straight, settings, tmp_path / "a")
    with pytest.raises(Killed):
        fit(broken, settings, tmp_path / "b", **where)
    torch.manual_seed(99)
    again = fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in x.history] for x in (result, again)]
    assert without_time[0] == without_time[1]


def test_a_killed_run_goes_on_from_its_last_step_not_its_last_epoch(tmp_path):
    settings = TrainingConfig(epochs=2, save_steps=3)
    with pytest.raises(Killed):
        fit(make_model(), settings, tmp_path, after_step=5)
    seen = []
    fit(make_model(), settings, tmp_path, after_step=4, crash=lambda: seen.append(4))
    assert seen == [4]  # step 4 is done again, 3 is not
    with pytest.raises(Killed):
        fit(make_model(), settings, tmp_path / "other", after_step=5)
    fit(make_model(), settings, tmp_path / "other", after_step=3, crash=lambda: seen.append(3))
    assert seen == [4]


@pytest.fixture
def signals_count():
    """A shell starts what runs in the background with Ctrl-C ignored, which a run respects."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, TrainingError), (signal.SIGINT, KeyboardInterrupt)])
def test_signals_end_with_a_state_of_that_very_step(tmp_path, number, error, signals_count):
    settings = TrainingConfig(epochs=3, lr=3e-3)
    straight, broken, resumed = make_model(), make_model(), make_model()
    fit(straight, settings, tmp_path / "a")
    before = signal.getsignal(number)
    with pytest.raises(error, match="after step 11 is kept; go on with --resume"):
        fit(broken, settings, tmp_path / "b", after_step=11, crash=lambda: signal.raise_signal(number))
    assert signal.getsignal(number) is before
    assert (tmp_path / "b" / "step-00000011.safetensors").is_file()
    fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)


def test_a_signal_during_the_last_validation_is_not_swallowed(tmp_path):
    settings = TrainingConfig(epochs=2)
    with pytest.raises(TrainingError, match="after epoch 2 is kept"):
        fit(make_model(), settings, tmp_path, after_epoch=2, crash=lambda: signal.raise_signal(signal.SIGTERM))
    assert fit(make_model(), settings, tmp_path).epochs == 2


def test_the_best_weights_and_the_last_states_are_kept(tmp_path):
    result = fit(make_model(), TrainingConfig(epochs=4, lr=3e-3, save_steps=3, keep=2), tmp_path)
    steps = sorted(p.name for p in tmp_path.glob("step-*"))
    assert steps == ["step-00000030.safetensors", "step-00000032.safetensors"]
    assert [p.name for p in tmp_path.glob("best-*")] == [f"best-{result.best_epoch:05d}.safetensors"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_state_of_another_config_is_refused(tmp_path):
    settings = TrainingConfig(epochs=1)
    fit(make_model(), settings, tmp_path)
    with pytest.raises(CheckpointError, match="another config"):
        fit(make_model(), settings, tmp_path, identity="b")


def test_a_damaged_state_gives_way_to_the_one_before_and_is_named_where_there_is_none(tmp_path):
    settings = TrainingConfig(epochs=3, lr=3e-3, keep=2)
    straight, broken = make_model(), make_model()
    fit(straight, settings, tmp_path)
    last, before = sorted(tmp_path.glob("step-*"), reverse=True)
    last.write_bytes(last.read_bytes()[:100])
    fit(broken, settings, tmp_path)
    assert_same_weights(straight, broken)
    for path in tmp_path.glob("step-*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"step-00000024\.safetensors.*remove .* to begin this stage anew"):
        fit(make_model(), settings, tmp_path)
    assert before.is_file()


def test_a_full_disk_ends_the_run_and_keeps_the_state_of_before(tmp_path, monkeypatch):
    settings = TrainingConfig(epochs=3, lr=3e-3)
    straight, resumed = make_model(), make_model()
    fit(straight, settings, tmp_path / "a")
    real = checkpoint.save_file
    written = []

    def full(tensors, path, metadata):
        written.append(path)
        if len(written) > 3:  # in the second epoch
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*free some space"):
        fit(make_model(), settings, tmp_path / "b")
    monkeypatch.setattr(checkpoint, "save_file", real)
    assert not list((tmp_path / "b").glob("*.tmp"))
    fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)


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


def test_states_leave_out_what_is_frozen_and_resume_without_it(tmp_path):
    settings = TrainingConfig(epochs=4, lr=3e-3, freeze=("speech",), ema=0.9)
    straight, broken, resumed = make_model(), make_model(), make_model()
    fit(straight, settings, tmp_path / "a")
    with pytest.raises(Killed):
        fit(broken, settings, tmp_path / "b", after_epoch=2)
    for path in (tmp_path / "b").glob("*.safetensors"):
        assert not [k for k in checkpoint.load_tensors(path)[0] if ".speech." in k and "encoders" in k]
    fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)


def test_branch_learning_rates_and_decay_groups():
    model = make_model()
    settings = TrainingConfig(lr=1e-3, branch_lr={"face": 1e-5}, weight_decay=0.1)
    optimizer = build_optimizer(labels(model, settings), settings)
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        rate, decay = rates[id(parameter)]
        assert rate == (1e-5 if name.startswith("encoders.face") else 1e-3), name
        assert decay == (0.1 if parameter.ndim > 1 else 0.0), name


def test_layer_decay_lowers_the_rate_from_layer_to_layer():
    settings = TrainingConfig(lr=1.0, branch_lr={"text": 0.1}, layer_decay={"text": 0.5})
    torch.manual_seed(0)
    options = {"layers": 3, "dim": 16, "heads": 2, "vocab_size": 600, "ngram_dim": 0}
    model = EmotionModel({"text": encoders.build("text_transformer", options, where="e")}, CLASSES)
    optimizer = build_optimizer(labels(model, settings), settings)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    groups = layer_groups(model, "text")
    assert len(groups) == 5  # embeddings, three layers, the rest
    for below, group in enumerate(reversed(groups)):
        assert {rates[id(p)] for p in group} == {0.1 * 0.5**below}
    assert {rates[id(p)] for p in model.branch_heads.parameters()} == {1.0}


def test_layers_thaw_one_after_the_other_from_the_last():
    options = {"layers": 3, "dim": 16, "heads": 2, "vocab_size": 600, "ngram_dim": 0}
    model = EmotionModel({"text": encoders.build("text_transformer", options, where="e")}, CLASSES)
    groups = layer_groups(model, "text")
    groups[1][0].requires_grad_(False)  # frozen for good
    thaw = Thaw(model, {"text": 0.5})
    for epochs, awake in ((0.0, 1), (0.49, 1), (0.5, 2), (1.2, 3), (9.0, 5)):
        thaw.at(epochs)
        trained = [any(p.requires_grad for p in group) for group in groups]
        assert trained == [depth >= 5 - awake for depth in range(5)], epochs
    assert not groups[1][0].requires_grad


def test_a_thawing_encoder_keeps_its_lower_layers_until_their_time():
    model = make_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    groups = layer_groups(model, "speech")
    lower = {id(p) for group in groups[:-1] for p in group}
    names = {n for n, p in model.named_parameters() if id(p) in lower}
    assert names
    fit(model, TrainingConfig(epochs=1, lr=1e-2, unfreeze={"speech": 9.0}))
    for name, value in model.state_dict().items():
        if name in names:
            assert torch.equal(value, before[name]), name
    assert any(not torch.equal(p, before[n]) for n, p in model.named_parameters() if n.startswith("encoders.speech"))


def test_modulation_slows_the_modality_that_is_ahead():
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(make_samples(40, 0))
    modulation = Modulation(0.8, multi=False, across=alone)
    sure, unsure = batch.target * 4, batch.target * 0.1
    factors = modulation.factors({"speech": sure, "face": unsure}, batch)
    right = [(batch.target * x.softmax(1)).sum(1) for x in (sure, unsure)]
    ratio = right[0].mean() / right[1][batch.presence["face"]].mean()
    torch.testing.assert_close(factors["speech"], 1 - torch.tanh(0.8 * (ratio - 1)))
    assert factors["face"] == 1

    embeddings = {m: torch.randn(40, 8, requires_grad=True) for m in MODALITIES}
    out = modulation(embeddings, {"speech": sure, "face": unsure}, batch)
    assert all(torch.equal(out[m], embeddings[m]) for m in MODALITIES)  # forward it changes nothing
    weights = torch.randn(40, 8)
    sum((x * weights).sum() for x in out.values()).backward()
    torch.testing.assert_close(embeddings["face"].grad, weights)
    slowed = embeddings["speech"].grad
    shrunk = float((slowed * weights).sum() / weights.square().sum())
    assert shrunk == pytest.approx(float(factors["speech"]), rel=0.25)  # noise on top
    assert not torch.allclose(slowed, weights * factors["speech"])


def test_modulation_in_training_changes_the_weights():
    one, other = make_model(), make_model()
    fit(one, TrainingConfig(epochs=1, lr=1e-2))
    fit(other, TrainingConfig(epochs=1, lr=1e-2, modulation=1.0))
    assert any(not torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())


def test_schedule_rises_then_falls_to_zero():
    optimizer = build_optimizer(labels(make_model(), TrainingConfig()), TrainingConfig(lr=1.0))
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
    fit(straight, settings, tmp_path / "a", samples=samples)
    with pytest.raises(Killed):
        fit(broken, settings, tmp_path / "b", after_epoch=2, samples=samples)
    torch.manual_seed(99)
    fit(resumed, settings, tmp_path / "b", samples=samples)
    assert_same_weights(straight, resumed)


def test_mixup_mixes_what_other_sources_say():
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(say_others(make_samples(20, 0), torch.arange(20) % CLASSES))
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    share = share.view(-1, 1, 1)
    expected = share * batch.other_targets + (1 - share) * batch.other_targets[partner]
    torch.testing.assert_close(mixed.other_targets, expected)


def test_auxiliary_heads_are_trained_at_the_rate_of_heads():
    settings = TrainingConfig(lr=1e-3, branch_lr={"speech": 1e-5}, auxiliary_loss=0.5)
    objective = labels(make_branch(), settings)
    optimizer = build_optimizer(objective, settings)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {rates[id(p)] for p in objective.auxiliary.parameters()} == {1e-3}
