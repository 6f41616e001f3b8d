"""What attackers see of clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from multiemo.privacy.embeddings import branch_embeddings, feature_embeddings
from multiemo.privacy.models import branches_of
from multiemo.progress import Progress
from multiemo.types import Clip, FeatureRef


def test_features_are_standardised_means_over_time(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, 5], [2, 5]], np.float32))
    np.save(tmp_path / "b.npy", np.array([[3, 5]], np.float32))
    clips = [Clip(id=name, corpus="c", features={"face": FeatureRef(f"{name}.npy")}) for name in "ab"]
    found = feature_embeddings([*clips, Clip(id="c", corpus="c", text="x")], tmp_path, "face")
    assert {name: array.tolist() for name, array in found.items()} == {"a": [-1.0, 0.0], "b": [1.0, 0.0]}
    assert feature_embeddings(clips, tmp_path, "speech") == {}


def test_embeddings_of_a_branch_are_those_of_its_encoder_in_the_order_of_the_clips(tiny_run: Path) -> None:
    (branch,) = [b for b in branches_of(tiny_run, "cpu", Progress())[1] if b.modality == "text"]
    clips = branch.source.part("test")
    part = branch.prepared(clips, branch.source.folder, branch.cache)
    found = branch_embeddings(branch.bundle, part, "text", branch.compute)
    known = [i for i, length in enumerate(part.prepared.lengths["text"]) if length]
    assert set(found) == {clips[i].id for i in known}
    x = part.dataset[known[0]].inputs["text"]
    alone = branch.bundle.model.encoders["text"](x[None], torch.ones(1, len(x), dtype=torch.bool))
    assert found[clips[known[0]].id] == pytest.approx(alone[0].detach().double().numpy(), abs=1e-5)
