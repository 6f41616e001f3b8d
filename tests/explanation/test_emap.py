"""The additive projection of Hessel & Lee, against its definition."""

from __future__ import annotations

import numpy as np
import torch

from multiemo.explanation.emap import compare_additive, emap
from multiemo.types import MODALITIES


def embeddings(count: int, modalities: tuple = MODALITIES) -> dict:
    generator = torch.Generator().manual_seed(0)
    return {m: torch.randn(count, 2, generator=generator) for m in modalities}


def test_two_modalities_follow_the_published_algorithm() -> None:
    """Algorithm 1 of the paper: row means plus column means minus the grand mean of all pairs."""
    clips = embeddings(7, ("text", "face"))

    def fuse(e):
        return e["text"] * e["face"] + e["text"].sin()

    every = np.array([[(clips["text"][i] * clips["face"][j] + clips["text"][i].sin()).numpy() for j in range(7)]
                      for i in range(7)])  # fmt: skip
    expected = every.mean(axis=1) + every.mean(axis=0) - every.mean(axis=(0, 1))
    found = emap(clips, fuse, background=7, batch=10)
    np.testing.assert_allclose(found.additive, expected, atol=1e-5)
    assert np.abs(found.full - found.additive).max() > 0.1


def test_an_additive_model_equals_its_projection_whatever_the_background_and_batch() -> None:
    clips = embeddings(9)

    def fuse(e):
        return e["text"].exp() + e["speech"] ** 2 - e["face"]

    for background, batch in ((3, 5), (9, 8192)):
        found = emap(clips, fuse, background=background, batch=batch)
        np.testing.assert_allclose(found.additive, found.full, atol=1e-4)


def test_a_model_of_interactions_only_loses_its_accuracy() -> None:
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).repeat(10, 1)
    clips = {"text": signs[:, :1], "speech": signs[:, 1:]}
    truth = (signs.prod(dim=1) > 0).long().numpy()
    found = emap(clips, lambda e: torch.cat([-e["text"] * e["speech"], e["text"] * e["speech"]], dim=1), background=40)
    compared = compare_additive(found, truth, [str(i % 8) for i in range(40)])
    assert compared.full.accuracy == 1
    assert compared.additive.accuracy <= 0.6
    assert compared.gain["uar"].low > 0
