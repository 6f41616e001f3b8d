"""The loop on tiny feature models: it learns, resumes bit for bit, stops where it must."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import Collate
from multiemo.errors import CheckpointError, TrainingError
from multiemo.losses import alone, label_loss
from multiemo.model import EmotionModel
from multiemo.registry import encoders
from multiemo.training import checkpoint
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss
from multiemo.training.mixup import mix_pairs
from multiemo.training.modulation import Modulation
from multiemo.training.optim import Thaw, build_optimizer, build_schedule, layer_groups, note_trained
from multiemo.types import Sample
from tests.support.tiny_training import (
    CLASSES,
    MODALITIES,
    Killed,
    assert_same_weights,
    fit,
    labels,
    make_branch,
    make_model,
    make_samples,
)


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


def test_what_training_has_not_reached_yet_learns_at_the_rate_of_the_stage(tmp_path):
    """Layers beside those that masked training reached: noted by the loop, by name."""
    torch.manual_seed(0)
    options = {"layers": 2, "dim": 16, "heads": 2, "vocab_size": 600}
    encoder = encoders.build("text_transformer", options, where="e")
    assert encoder.untrained is None
    assert not encoder.fresh_parameters()  # new as a whole, at its own rate
    settings = TrainingConfig(lr=1e-3, branch_lr={"text": 1e-5}, layer_decay={"text": 0.5})
    model = EmotionModel({"text": encoder}, CLASSES)
    optimizer = build_optimizer(labels(model, settings), settings)
    for parameter in encoder.transformer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    note_trained(model, model, optimizer)
    assert encoder.untrained == {n for n, _ in encoder.named_parameters() if not n.startswith("transformer.")}

    optimizer = build_optimizer(labels(model, settings), settings)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    fresh = {rates[id(p)] for n, p in encoder.named_parameters() if not n.startswith("transformer.")}
    assert fresh == {1e-3}
    deep = {rates[id(p)] for p in encoder.transformer.parameters()}
    assert deep <= {1e-5 * 0.5**below for below in range(4)}
    encoder.note_trained([])
    assert encoder.fresh_parameters()
    encoder.note_trained(n for n, _ in encoder.named_parameters())
    assert not encoder.fresh_parameters()


def test_after_a_stage_nothing_that_learnt_is_fresh():
    model = make_model()
    model.encoders["speech"].untrained = frozenset(n for n, _ in model.encoders["speech"].named_parameters())
    fit(model, TrainingConfig(epochs=1, freeze=("face",)))
    assert model.encoders["speech"].untrained == frozenset()
    assert model.encoders["face"].untrained is None


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


def by_the_authors(alpha: float, out_a: Tensor, out_v: Tensor, label: Tensor) -> tuple[float, float]:
    """Equation 10 of Peng et al. (2022) as their published ``main.py`` has it: coefficients of sound and picture."""
    score_v = sum(out_v.softmax(1)[i, label[i]] for i in range(len(label)))
    score_a = sum(out_a.softmax(1)[i, label[i]] for i in range(len(label)))
    ratio_v = score_v / score_a
    ratio_a = 1 / ratio_v
    if ratio_v > 1:
        return 1.0, float(1 - torch.tanh(alpha * torch.relu(ratio_v)))
    return float(1 - torch.tanh(alpha * torch.relu(ratio_a))), 1.0


@pytest.mark.parametrize("ahead", MODALITIES)
@pytest.mark.parametrize("alpha", [0.1, 0.8])
def test_modulation_has_the_coefficients_of_the_authors(alpha, ahead):
    torch.manual_seed(0)
    samples = [s for s in make_samples(40, 0) if "face" in s.inputs]
    batch = Collate(MODALITIES, CLASSES)(samples)
    logits = {m: torch.randn(len(batch), CLASSES) + (2.0 if m == ahead else 0.2) * batch.target for m in MODALITIES}
    modulation = Modulation(alpha, multi=False, across=alone)
    modulation.add(logits, batch)
    wanted = by_the_authors(alpha, logits["speech"], logits["face"], batch.target.argmax(1))
    got = modulation.factors()
    assert (float(got["speech"]), float(got["face"])) == pytest.approx(wanted, rel=1e-5)
    assert min(wanted) < 1 - alpha / 2  # a modality that is barely ahead is slowed down by tanh(alpha) already


def test_modulation_compares_over_the_step_on_clips_that_can_be_compared():
    """Two batches are as one; clips without a label, or with one modality, tell nothing of which one is ahead."""
    torch.manual_seed(0)
    samples = make_samples(40, 0)
    for sample in samples[:7]:
        sample.target = None
    collate = Collate(MODALITIES, CLASSES)
    counted = [s for s in samples[7:] if "face" in s.inputs]
    said = {s.id: torch.randn(2, CLASSES) for s in samples}
    for sample in samples:
        if sample not in counted:
            said[sample.id] = torch.tensor([[90.0, 0, 0], [0, 0, 90.0]])

    def factors(*groups):
        modulation = Modulation(0.5, multi=False, across=alone)
        for group in groups:
            rows = torch.stack([said[s.id] for s in group])
            modulation.add({m: rows[:, i] for i, m in enumerate(MODALITIES)}, collate(group))
        return modulation.factors()

    wanted = factors(counted)
    assert min(float(f) for f in wanted.values()) < 1
    for got in (factors(samples), factors(samples[:9], samples[9:])):
        for m, factor in wanted.items():
            torch.testing.assert_close(got[m], factor)
    alone_ = [s for s in samples if "face" not in s.inputs]
    assert factors(alone_) == {"speech": torch.tensor(1.0), "face": torch.tensor(1.0)}


def test_three_modalities_are_each_compared_with_the_mean_of_the_others():
    samples = [replace(s, inputs={m: torch.ones(1, 5) for m in ("text", *MODALITIES)}) for s in make_samples(9, 0)]
    del samples[0].inputs["text"]
    batch = Collate(("text", *MODALITIES), CLASSES)(samples)
    torch.manual_seed(1)
    logits = {m: torch.randn(9, CLASSES) for m in ("text", *MODALITIES)}
    right = {m: (x.softmax(1) * batch.target).sum(1) for m, x in logits.items()}
    modulation = Modulation(0.3, multi=False, across=alone)
    modulation.add(logits, batch)
    got = modulation.factors()
    for m, own in right.items():
        rows = slice(1, None) if m == "text" else slice(None)
        rest = [o for o in right if o != m]
        other = torch.stack([right[o] for o in rest]).mean(0)
        if m != "text":
            other[0] = right["face" if m == "speech" else "speech"][0]
        ratio = own[rows].sum() / other[rows].sum()
        torch.testing.assert_close(got[m], 1 - torch.tanh(0.3 * ratio) if ratio > 1 else torch.tensor(1.0))


def test_modulation_changes_the_gradients_of_weights_as_the_authors_do():
    """Each weight's gradient times k, plus noise of the spread of its elements, for both modalities; nothing else."""
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(make_samples(40, 0))
    modulation = Modulation(0.8, multi=False, across=alone)
    parts = {m: nn.Sequential(nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64), nn.Embedding(9, 4)) for m in MODALITIES}
    before = {}
    for m, part in parts.items():
        for name, parameter in part.named_parameters():
            parameter.grad = torch.randn_like(parameter) * 3 + 2
            before[m, name] = parameter.grad.clone()

    def modulate(seed):
        for m, part in parts.items():
            for name, parameter in part.named_parameters():
                parameter.grad = before[m, name].clone()
        modulation.add({"speech": batch.target * 4, "face": batch.target * 0.1}, batch)
        modulation(parts, seed)
        return {(m, n): p.grad for m, part in parts.items() for n, p in part.named_parameters()}

    modulation.add({"speech": batch.target * 4, "face": batch.target * 0.1}, batch)
    factors = modulation.factors()
    assert factors["speech"] < 1
    assert factors["face"] == 1
    got = modulate(1)
    for (m, name), gradient in before.items():
        noise = got[m, name] - gradient * factors[m]
        if name != "0.weight":
            assert torch.equal(got[m, name], gradient), name  # vectors, and rows that no clip has read
            continue
        assert float(noise.std()) == pytest.approx(float(gradient.std()), rel=0.05)
        assert abs(float(noise.mean())) < 0.15
    assert all(torch.equal(a, b) for a, b in zip(got.values(), modulate(1).values(), strict=True))
    assert not torch.equal(got["face", "0.weight"], modulate(2)["face", "0.weight"])


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


def test_mixup_mixes_what_other_sources_say_of_both():
    """A source that says nothing of one of the two says nothing of the mixture, and above all no ``not this label``."""
    torch.manual_seed(0)
    batch = Collate(MODALITIES, CLASSES)(say_others(make_samples(20, 0), torch.arange(20) % CLASSES))
    batch.other_targets[::4, 1] = 0
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    known = batch.other_targets.sum(2, keepdim=True) > 0
    assert (known != known[partner])[(share < 1)].any()
    share = share.view(-1, 1, 1)
    expected = share * batch.other_targets + (1 - share) * batch.other_targets[partner]
    expected = torch.where(share == 1, batch.other_targets, expected * (known & known[partner]))
    torch.testing.assert_close(mixed.other_targets, expected)


def test_what_has_no_label_has_no_part_in_mixup_and_focal_loss():
    torch.manual_seed(0)
    samples = make_samples(20, 0)
    for i, sample in enumerate(samples):
        sample.target = None if i % 3 == 0 else sample.target
        sample.dimensions = torch.full((3,), 0.1 * i if i % 2 else float("nan"))
    batch = Collate(MODALITIES, CLASSES)(samples)
    mixed, (share, partner) = mix_pairs(batch, 0.4)
    unlabelled = ~batch.labelled
    assert (share[unlabelled | unlabelled[partner]] == 1).all()
    assert torch.equal(mixed.target[unlabelled], torch.zeros(int(unlabelled.sum()), CLASSES))
    either = (batch.dimensions.isnan() | batch.dimensions[partner].isnan())[share < 1]
    assert torch.equal(mixed.dimensions[share < 1].isnan(), either)
    assert torch.equal(mixed.dimensions[share == 1].isnan(), batch.dimensions[share == 1].isnan())
    logits = torch.randn(20, CLASSES)
    for task in ("single", "multi"):
        rows = batch.labelled
        part = label_loss(logits[rows], batch.target[rows], rows[rows], task=task, focal=2.0, smoothing=0.1)
        torch.testing.assert_close(label_loss(logits, batch.target, rows, task=task, focal=2.0, smoothing=0.1), part)


def test_auxiliary_heads_are_trained_at_the_rate_of_heads():
    settings = TrainingConfig(lr=1e-3, branch_lr={"speech": 1e-5}, auxiliary_loss=0.5)
    objective = labels(make_branch(), settings)
    optimizer = build_optimizer(objective, settings)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {rates[id(p)] for p in objective.auxiliary.parameters()} == {1e-3}
