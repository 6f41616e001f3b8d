"""Losses are torch's and torchvision's own; weights of classes and dimensions on known cases."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from multiemo.training import losses
from multiemo.training.losses import class_weights, dimension_loss, label_loss


def test_single_label_loss_is_torchs_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 1, 0])
    target, rows = torch.eye(4)[labels], torch.ones(6, dtype=torch.bool)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    for smoothing in (0.0, 0.1):
        ours = label_loss(logits, target, rows, smoothing=smoothing)
        torch.testing.assert_close(ours, functional.cross_entropy(logits, labels, label_smoothing=smoothing))
    ours = label_loss(logits, target, rows, weights=weights)
    torch.testing.assert_close(ours, functional.cross_entropy(logits, labels, weight=weights))


def test_rows_without_a_label_do_not_count():
    logits = torch.randn(4, 3, requires_grad=True)
    target = torch.eye(3)[[0, 1, 2, 0]]
    rows = torch.tensor([True, False, True, False])
    torch.testing.assert_close(
        label_loss(logits, target, rows), functional.cross_entropy(logits[[0, 2]], torch.tensor([0, 2]))
    )
    nothing = label_loss(logits, torch.zeros(4, 3), torch.zeros(4, dtype=torch.bool))
    nothing.backward()
    assert nothing == 0
    assert logits.grad.abs().sum() == 0


def test_multi_label_loss_is_torchs_binary_cross_entropy():
    logits, target = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    ours = label_loss(logits, target, torch.ones(5, dtype=torch.bool), task="multi")
    torch.testing.assert_close(ours, functional.binary_cross_entropy_with_logits(logits, target))


def test_class_weights_of_several_labels_are_torchs_weights_of_positives():
    torch.manual_seed(0)
    frequencies = torch.tensor([0.5, 0.1, 0.02])
    logits, target = torch.randn(64, 3), (torch.rand(64, 3) < frequencies).float()
    rows = torch.arange(64) < 60
    given, absent = class_weights(frequencies, 1.0, task="multi")
    weights = torch.where(target > 0, given, absent)
    cells = functional.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=given / absent)
    wanted = (cells * absent)[:60].sum() / weights[:60].sum()
    ours = label_loss(logits, target, rows, task="multi", weights=torch.stack([given, absent]))
    torch.testing.assert_close(ours, wanted)
    alike = class_weights(frequencies, 0.0, task="multi")
    torch.testing.assert_close(
        label_loss(logits, target, rows, task="multi", weights=alike), label_loss(logits, target, rows, task="multi")
    )


def test_class_weights_of_several_labels_keep_the_size_of_the_loss_and_balance_it():
    """28 labels, most of them rare: a guess of a half has a loss of log 2, and both answers of a label weigh alike."""
    torch.manual_seed(0)
    frequencies = torch.logspace(-3, -0.5, 28)
    target = (torch.rand(20000, 28) < frequencies).float()
    rows = torch.ones(20000, dtype=torch.bool)
    weights = class_weights(target.mean(0), 1.0, task="multi")
    logits = torch.zeros(20000, 28, requires_grad=True)
    loss = label_loss(logits, target, rows, task="multi", weights=weights)
    assert float(loss) == pytest.approx(0.693147, rel=1e-4)
    loss.backward()
    pull = torch.stack([(logits.grad * target).sum(0), (logits.grad * (1 - target)).sum(0)])
    torch.testing.assert_close(pull[0], -pull[1], rtol=1e-3, atol=1e-8)
    torch.testing.assert_close(pull[1], pull[1].mean().expand(28), rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("task", ["single", "multi"])
def test_what_is_learnt_under_class_weights_is_what_their_docstring_says(task, power, smoothing):
    """The best logits of two features that clips have equally often, against the formulae."""
    truth = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])  # p(label | feature); losses are linear in the target
    f = truth.mean(0)
    weights = class_weights(f, power, task=task)
    logits = torch.zeros(2, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-9, tolerance_change=1e-12)

    def closure():
        optimizer.zero_grad()
        rows = torch.ones(2, dtype=torch.bool)
        loss = label_loss(logits, truth, rows, task=task, weights=weights, smoothing=smoothing)
        loss.backward()
        return loss

    optimizer.step(closure)
    p = (1 - smoothing) * truth + smoothing / (3 if task == "single" else 2)
    if task == "single":
        learnt, wanted = logits.detach().softmax(1), p * weights / (p * weights).sum(1, keepdim=True)
        prior = f.pow(1 - power) / f.pow(1 - power).sum()
        torch.testing.assert_close(weights * f / (weights * f).sum(), prior)
    else:
        learnt, odds = logits.detach().sigmoid(), p / (1 - p) * weights[0] / weights[1]
        wanted = odds / (1 + odds)
        prior = f.pow(1 - power) / (f.pow(1 - power) + (1 - f).pow(1 - power))
        torch.testing.assert_close(weights[0] * f, prior)
    torch.testing.assert_close(learnt, wanted, rtol=1e-3, atol=1e-4)


def test_labels_that_all_or_none_have_are_not_weighted():
    weights = class_weights(torch.tensor([0.0, 1.0, 0.5]), 1.0, task="multi")
    assert torch.equal(weights, torch.ones(2, 3))


def test_class_weights_average_to_one_over_clips():
    frequencies = torch.tensor([0.7, 0.3, 0.0])
    for power in (0.0, 0.5, 1.0):
        weights = class_weights(frequencies, power)
        assert float((weights * frequencies).sum()) == pytest.approx(1.0)
    assert weights[2] == weights[1]  # an unseen label counts like the rarest seen one


def test_dimension_loss_is_zero_for_a_perfect_answer_and_ignores_unknown():
    target = torch.tensor([[0.1, float("nan"), 0.3], [-0.4, 0.2, float("nan")], [0.9, -0.2, 0.5], [0.0, 0.7, -0.6]])
    perfect = torch.nan_to_num(target, nan=0.8)
    assert float(dimension_loss(perfect, target)) == pytest.approx(0.0, abs=1e-6)
    assert float(dimension_loss(perfect + 0.3, target)) > 0.1
    assert float(dimension_loss(perfect, torch.full_like(target, float("nan")))) == 0.0


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize(("power", "smoothing"), [(0.0, 0.0), (0.0, 0.2), (0.5, 0.1), (1.0, 0.0), (1.0, 0.1)])
def test_the_effective_prior_is_what_a_network_learns_of_inputs_that_tell_nothing(task, power, smoothing):
    shares = torch.tensor([0.6, 0.25, 0.1, 0.05])
    if task == "single":
        target = torch.eye(4).repeat_interleave((shares * 100).round().long(), dim=0)
    else:
        target = (torch.arange(100).unsqueeze(1) < (shares * 100).round()).float()
    frequencies = target.mean(0)
    weights = losses.class_weights(frequencies, power, task=task) if power else None
    logits = torch.zeros(4, requires_grad=True)
    solver = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def step():
        solver.zero_grad()
        rows = torch.ones(100, dtype=torch.bool)
        loss = losses.label_loss(logits.expand(100, 4), target, rows, task=task, weights=weights, smoothing=smoothing)
        loss.backward()
        return loss

    solver.step(step)
    learnt = logits.detach().softmax(0) if task == "single" else logits.detach().sigmoid()
    expected = losses.effective_prior(frequencies, task=task, weights=weights, smoothing=smoothing)
    torch.testing.assert_close(learnt, expected, atol=1e-3, rtol=0)


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
