from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from multiemo.encoders.features.features import FeatureEncoder
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import FeatureSpec
from tests.support.tensors import POOLINGS, sequences


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_trainable_parameter_gets_a_gradient(pooling: str) -> None:
    torch.manual_seed(0)
    encoder = encoders.build(
        "features", {"pooling": pooling, "hidden": 12}, where="encoders.speech", modality="speech", dim=7
    )
    out = encoder(*sequences(4, 2, 3))
    assert out.shape == (3, 12) == (3, encoder.out_dim)
    assert encoder.modality == "speech"
    out.square().sum().backward()
    without = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_and_neighbours_do_not_change_an_embedding(pooling: str) -> None:
    encoder = FeatureEncoder(modality="face", dim=7, pooling=pooling).eval()
    x, mask = sequences(4, 1, 3, pad=5)
    x[~mask] = 100.0
    together = encoder(x, mask)
    for row, length in enumerate((4, 1, 3)):
        alone = encoder(x[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_single_vectors() -> None:
    encoder = FeatureEncoder(modality="face", dim=7).eval()
    assert encoder.input_spec == FeatureSpec(dim=7)
    x, mask = sequences(1, 1)
    longer = torch.cat([x, torch.ones_like(x)], 1), torch.tensor([[True, False]] * 2)
    torch.testing.assert_close(encoder(x, mask), encoder(*longer))


def test_statistics_come_from_training_data_and_travel_with_the_weights() -> None:
    encoder = FeatureEncoder(modality="face", dim=3)
    data = [torch.randn(5, 3) * 40 + 300 for _ in range(50)]
    encoder.fit_statistics(data)
    values = encoder.standardize(torch.cat(data))
    torch.testing.assert_close(values.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    other = FeatureEncoder(modality="face", dim=3)
    other.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(other.standardize.mean, encoder.standardize.mean)


def test_noise_is_for_training_only() -> None:
    torch.manual_seed(0)
    encoder = FeatureEncoder(modality="face", dim=7, dropout=0.0, noise=0.5, feature_dropout=0.5)
    x, mask = sequences(1, 1)
    assert not torch.equal(encoder(x, mask), encoder(x, mask))
    encoder.eval()
    assert torch.equal(encoder(x, mask), encoder(x, mask))


def test_unknown_pooling_is_named() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.pooling.*'median'"):
        encoders.build("features", {"pooling": "median"}, where="encoders.face", modality="face", dim=3)


def test_counts_and_shares_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.layers: must be at least 1, got 0"):
        FeatureEncoder(modality="face", dim=3, layers=0)
    with pytest.raises(ConfigError, match=r"encoders\.speech\.feature_dropout: must lie within 0 and 1, got 2"):
        FeatureEncoder(modality="speech", dim=3, feature_dropout=2)


def test_learns_action_units_of_real_faces(real_data: Path) -> None:
    file = real_data / "ravdess" / "openface_au_means.csv"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    with file.open(newline="") as handle:
        rows = list(csv.reader(handle))[1:]
    actors = [int(r[0].split("-")[-1]) for r in rows]
    y = torch.tensor([int(r[0].split("-")[2]) - 1 for r in rows])
    x = torch.tensor([[float(v) for v in r[1:36]] for r in rows]).unsqueeze(1)
    train = torch.tensor([a <= 9 for a in actors])
    held = torch.tensor([10 <= a <= 12 for a in actors])
    torch.manual_seed(0)
    encoder, head = FeatureEncoder(modality="face", dim=35), torch.nn.Linear(128, 8)
    encoder.fit_statistics(x[train])
    mask = torch.ones(len(x), 1, dtype=torch.bool)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(encoder(x[train], mask[train])), y[train]).backward()
        optimizer.step()
    encoder.eval()
    right = head(encoder(x[held], mask[held])).argmax(1) == y[held]
    assert right.float().mean() > 0.35  # chance is 0.13


def test_both_ways_of_the_gru_agree_with_a_bidirectional_one() -> None:
    encoder = FeatureEncoder(modality="face", dim=7, hidden=5, pooling="gru").eval()
    oracle = torch.nn.GRU(5, 5, batch_first=True, bidirectional=True)
    ways = {
        f"{k}{end}": v
        for way, end in ((encoder.ahead, ""), (encoder.back, "_reverse"))
        for k, v in way.state_dict().items()
    }
    oracle.load_state_dict(ways)
    x, mask = sequences(4, 1, 3, pad=2)
    states = encoder.states(x, mask)
    for row, length in enumerate((4, 1, 3)):
        alone, _ = oracle(encoder.steps(x[row : row + 1, :length]))
        torch.testing.assert_close(states[row : row + 1, :length], alone)
