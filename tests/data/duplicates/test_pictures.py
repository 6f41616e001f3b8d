"""The distance of two pictures, and of two films."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from multiemo.data.duplicates import pictures


def test_mirroring_turns_the_odd_horizontal_frequencies() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    ours, mirrored = pictures._hashes([picture, picture[:, ::-1]])
    oracle = np.sign(fft.dctn(picture.astype(float), norm="ortho")[:8, :8].reshape(-1)[1:])
    np.testing.assert_array_equal(ours, oracle)
    odd = np.arange(64)[1:] % 8 % 2 == 1
    np.testing.assert_array_equal(mirrored[odd], -ours[odd])
    np.testing.assert_array_equal(mirrored[~odd], ours[~odd])
    ((_, _, distance),) = pictures.same_stills([picture, picture[:, ::-1]])
    assert distance == pytest.approx(0, abs=1e-6)


def test_film_distance_is_a_correlation() -> None:
    rng = np.random.default_rng(0)
    film_a = np.clip(rng.normal(128, 40, (16, 16)) + rng.normal(0, 20, (20, 16, 16)), 0, 255).astype(np.uint8)
    film_b = np.clip(film_a + rng.normal(0, 8, film_a.shape), 0, 255).astype(np.uint8)
    ((_, _, distance),) = pictures.same_films([film_a, film_b])
    a, b = (x.astype(float) - x.mean(axis=0) for x in (film_a, film_b))
    assert 1 - distance == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-4)
