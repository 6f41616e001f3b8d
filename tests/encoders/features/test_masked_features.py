from __future__ import annotations

import pytest
import torch

from multiemo.encoders.features.features import FeatureEncoder
from multiemo.encoders.features.masked_features import hide
from tests.support.no_sync import no_sync
from tests.support.tensors import POOLINGS, sequences


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("lengths", [(6, 1, 4), (1, 1)])
def test_what_is_hidden_does_not_reach_the_prediction_and_what_is_not_does(
    pooling: str, lengths: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(modality="face", dim=7, pooling=pooling).eval()
    task = encoder.masked_task().eval()
    x, mask = sequences(*lengths)
    hidden = hide(x, mask)
    hidden[:, 0, 0] = False  # something is seen of every clip
    predicted = task.predict(encoder, x, hidden, mask)
    assert predicted.shape == x.shape
    noise = torch.randn_like(x)
    assert torch.equal(task.predict(encoder, torch.where(hidden, x + noise, x), hidden, mask), predicted)
    changed = task.predict(encoder, torch.where(hidden, x, x + noise), hidden, mask)
    for row in range(len(lengths)):
        assert not torch.allclose(changed[row, 0], predicted[row, 0], atol=1e-4)


def test_whole_steps_of_a_sequence_and_columns_of_a_vector_are_hidden() -> None:
    torch.manual_seed(0)
    x, mask = sequences(80, 1, dim=8)
    hidden = hide(x, mask)
    steps = hidden[0]
    assert (steps.all(1) == steps.any(1)).all()
    assert 10 <= int(steps[:, 0].sum()) < 80
    assert int(hidden[1, 0].sum()) == 4


def test_losses_are_mean_squares_over_hidden_values_of_real_steps() -> None:
    encoder = FeatureEncoder(modality="face", dim=7).eval()
    encoder.fit_statistics([torch.randn(20, 7) * 3 + 1 for _ in range(5)])
    task = encoder.masked_task()
    torch.nn.init.zeros_(task.decode.weight)
    torch.nn.init.constant_(task.decode.bias, 0.5)
    x, mask = sequences(5, 2, 1, pad=2)
    x[~mask] = 50.0
    torch.manual_seed(3)
    loss, naive = task(encoder, x, mask)
    torch.manual_seed(3)
    values = encoder.standardize(x)[hide(x, mask) & mask.unsqueeze(-1)]
    torch.testing.assert_close(naive, values.square().mean())
    torch.testing.assert_close(loss, (values - 0.5).square().mean())


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_step_of_either_kind_reads_nothing_back_to_the_host(pooling: str) -> None:
    encoder = FeatureEncoder(modality="face", dim=7, pooling=pooling)
    task = encoder.masked_task()
    x, mask = sequences(6, 1, 4)
    with no_sync():
        encoder(x, mask).sum().backward()
        loss, naive = task(encoder, x, mask)
        loss.backward()
    assert not naive.requires_grad
    assert all(p.grad is not None for p in task.parameters())


@pytest.mark.parametrize("steps", [1, 40])
def test_it_learns_what_the_columns_share(steps: int) -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(modality="face", dim=6, hidden=32, dropout=0.0, noise=0.0, feature_dropout=0.0)
    task = encoder.masked_task()
    common = torch.randn(64, 1, 1)
    x = common + 0.2 * torch.randn(64, steps, 6)
    mask = torch.ones(64, steps, dtype=torch.bool)
    encoder.fit_statistics(x)
    optimizer = torch.optim.Adam([*encoder.parameters(), *task.parameters()], 5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss, naive = task(encoder, x, mask)
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * naive


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_is_in_one_group_and_layers_come_in_order(pooling: str) -> None:
    encoder = FeatureEncoder(modality="face", dim=7, pooling=pooling, layers=3)
    groups = encoder.layer_groups()
    assert len(groups) == 4
    listed = [id(p) for group in groups for p in group]
    assert sorted(listed) == sorted(id(p) for p in encoder.parameters())
    for layer, group in zip(encoder.steps, groups, strict=False):
        assert {id(p) for p in layer.parameters()} == {id(p) for p in group}
