"""What attackers see of clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from multiemo.errors import ConfigError
from multiemo.inputs.rows import ManifestRow, read_row
from multiemo.privacy.embeddings import FaceEncoder, branch_embeddings, feature_embeddings
from multiemo.privacy.measure import PrivacySettings, measure_privacy
from multiemo.privacy.models import branches_of
from multiemo.progress import Progress
from multiemo.types import Absent, Clip, FeatureRef


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


@pytest.fixture(scope="module")
def face_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of pictures in a folder, as timm saves it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    timm.models.save_for_hf(timm.create_model("test_resnet", num_classes=5), str(folder), safe_serialization=True)
    return folder


def test_a_named_model_sees_the_mean_of_the_crops_as_it_was_trained(tiny_run: Path, face_model: Path) -> None:
    (branch,) = [b for b in branches_of(tiny_run, "cpu", Progress())[1] if b.modality == "face"]
    clips = branch.source.clips[:8]
    attacker = FaceEncoder(f"local-dir:{face_model}", "cpu")
    found = attacker.embed(clips, branch.source.folder, Progress())
    rows = {c.id: read_row(ManifestRow(c, branch.source.folder), {"face": attacker._input}) for c in clips}
    assert set(found) == {name for name, row in rows.items() if not isinstance(row.ready["face"], Absent)}
    assert 0 < len(found) < len(clips), "a clip without a face belongs to this test"
    model = timm.create_model(f"local-dir:{face_model}", pretrained=True, num_classes=0).eval()
    data = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(data[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        for name, values in found.items():
            wanted = model((rows[name].ready["face"].tensor / 255 - mean) / std).mean(0)
            np.testing.assert_allclose(values, wanted.numpy(), rtol=1e-3, atol=1e-5)


def test_a_named_model_attacks_faces_and_nothing_else(tiny_run: Path, face_model: Path) -> None:
    settings = {"shadows": 0, "clips": 4, "people": "all", "face_attacker": f"local-dir:{face_model}"}
    report = measure_privacy(tiny_run, PrivacySettings(modalities=("face",), **settings), device="cpu")
    attackers = {a.attacker for p in report.protections for a in p.attacks}
    assert attackers == {face_model.name, "run"}
    with pytest.raises(ConfigError, match=r"--face-attacker: .*no face branch is measured"):
        measure_privacy(tiny_run, PrivacySettings(modalities=("text",), **settings), device="cpu")
    with pytest.raises(ConfigError, match=r"--face-attacker: .*timm has no model 'facenet9'"):
        FaceEncoder("facenet9", "cpu")
