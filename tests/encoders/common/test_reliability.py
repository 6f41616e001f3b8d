"""Reliability is one for inputs like those of training, and falls with the distance from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from multiemo.encoders.common.input_statistics import column_statistics
from multiemo.encoders.common.reliability import FEWEST_CLIPS, InputReliability, shrunk_covariance


def clips(count: int, seed: int, shift: float = 0.0) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(5, 5, generator=torch.Generator().manual_seed(9))
    return [torch.randn(12 + i % 5, 5, generator=random) @ mix + shift for i in range(count)]


def batch(inputs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
    return x, torch.stack([torch.arange(x.shape[1]) < len(each) for each in inputs])


@pytest.fixture(scope="module")
def fitted() -> InputReliability:
    made = InputReliability(column_statistics)
    made.fit(clips(200, 0), [f"s{i % 10}" for i in range(200)])
    return made


def test_the_covariance_is_that_of_scikit_learn():
    rows = torch.randn(40, 25, dtype=torch.double) @ torch.randn(25, 25, dtype=torch.double)
    rows -= rows.mean(0)
    expected = LedoitWolf(assume_centered=True).fit(rows.numpy()).covariance_
    np.testing.assert_allclose(shrunk_covariance(rows).numpy(), expected, rtol=1e-9)


def test_new_clips_of_the_same_kind_are_reliable_and_unusual_ones_are_not(fitted):
    usual = fitted(*batch(clips(200, 1)))
    assert (usual == 1).float().mean() >= 0.85
    assert usual.mean() > 0.95
    assert usual.max() <= 1
    means = [float(fitted(*batch(clips(50, 2, shift))).mean()) for shift in (0.0, 1.0, 3.0, 30.0)]
    assert means == sorted(means, reverse=True)
    assert 0 < means[-1] < 0.02


def test_a_new_speaker_alone_is_not_unusual():
    """Each speaker has a mean of its own; measured on its own clips, the reference would be too small."""
    groups = [f"s{i // 20}" for i in range(200)]
    ways = torch.randn(11, 5, generator=torch.Generator().manual_seed(3)) * 2
    spoken = [x + ways[i // 20] for i, x in enumerate(clips(200, 0))]
    by_speaker, by_clip = InputReliability(column_statistics), InputReliability(column_statistics)
    by_speaker.fit(spoken, groups)
    by_clip.fit(spoken, ["one"] * 200)
    new = batch([x + ways[10] for x in clips(40, 5)])
    assert by_speaker(*new).mean() > by_clip(*new).mean() + 0.05


def test_stored_and_loaded(fitted):
    loaded = InputReliability(column_statistics)
    loaded.load_state_dict(fitted.state_dict())
    x = batch(clips(20, 4, 2.0))
    torch.testing.assert_close(loaded(*x), fitted(*x))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loaded(*x), fitted(*x))


def test_with_few_clips_everything_is_reliable():
    few = InputReliability(column_statistics)
    few.fit(clips(FEWEST_CLIPS - 1, 0), ["a"] * (FEWEST_CLIPS - 1))
    assert (few(*batch(clips(5, 1, 50.0))) == 1).all()


def test_constant_columns_are_ignored():
    inputs = [torch.cat([x, torch.ones(len(x), 1)], 1) for x in clips(60, 0)]
    made = InputReliability(column_statistics)
    made.fit(inputs, ["a", "b"] * 30)
    assert made(*batch(inputs)).isfinite().all()
    changed = [torch.cat([x, 1000 * torch.ones(len(x), 1)], 1) for x in clips(60, 0)]
    torch.testing.assert_close(made(*batch(changed)), made(*batch(inputs)))
