from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from multiemo.losses import class_weights, dimension_loss, label_loss


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
