"""Learning rates by branch and by layer, thawing, and the schedule."""

from __future__ import annotations

import pytest
import torch

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.model import EmotionModel
from multiemo.registry import encoders
from multiemo.training.optim import Thaw, build_optimizer, build_schedule, layer_groups, note_trained
from tests.support.tiny_training import CLASSES, fit, labels, make_model


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
