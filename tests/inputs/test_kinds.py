"""A new kind of input, from its spec to a trained and evaluated model and its predictions: two parts, one file.

The class would be a file of ``multiemo/inputs/``, the encoder one of ``multiemo/encoders/``; nothing else changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import multiemo
from multiemo.benchmark.baselines.classic import read_inputs
from multiemo.benchmark.robustness.curves import robustness_curves
from multiemo.benchmark.trainings import fill_cache
from multiemo.config import SourceConfig, load_config
from multiemo.data.manifest.reading import media_path
from multiemo.encoders.base import Encoder, masked_mean
from multiemo.errors import MediaError
from multiemo.inputs.base import InputOf, of_type
from multiemo.inputs.material import ClipMaterial, PreparedInput
from multiemo.predict.sources import expand
from multiemo.progress import Progress
from multiemo.registry import Size, encoders, inputs
from multiemo.runs import evaluate_run, load_bundle, open_source, train
from multiemo.types import Absent, Clip, InputSpec, Modality

LABELS = ("happy", "sad", "angry", "fearful", "neutral")


# --------------------------------------------------------------------------------- would be multiemo/inputs/gaze.py
@dataclass(frozen=True, slots=True, kw_only=True)
class GazeSpec(InputSpec):
    """Gaze direction, ``[T, 2]`` float32: x and y, one row every ``1 / rate`` seconds."""

    rate: float = 10.0
    kind: Literal["gaze"] = "gaze"


@dataclass(frozen=True, slots=True)
class Gaze:
    """Gaze points of one clip, ``[T, 2]``."""

    points: NDArray[np.float32]


@inputs.register("gaze", in_tests=True)
class GazeInput(InputOf[Gaze]):
    spec_type = GazeSpec
    raw = Gaze
    title: ClassVar[str] = "eye gaze"
    in_files = False
    spec: GazeSpec

    def __init__(self, modality: Modality, spec: GazeSpec) -> None:
        self.modality, self.spec = modality, spec
        self.steps_per_unit = spec.rate

    @classmethod
    def from_spec(cls, modality, spec):
        return cls(modality, of_type(spec, GazeSpec))

    @classmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        reference = clip.features.get(modality)
        return Absent("the row has no gaze") if reference is None else reference.path

    @classmethod
    def row_keys(cls, modality: Modality) -> str:
        return f"features.{modality}"

    def take(self, material: ClipMaterial) -> Gaze | Absent:
        if material.row is None:
            return Absent("eye gaze is read from manifest rows")
        path = media_path(str(self.source(material.row.clip, self.modality)), material.row.folder)
        if not path.is_file():
            raise MediaError(f"{path}: no such file")
        return Gaze(np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2))

    def make(self, raw: Gaze) -> PreparedInput | Absent:
        return PreparedInput(torch.from_numpy(raw.points))


# ------------------------------------------------------------------------------- would be multiemo/encoders/gaze.py
@encoders.register("gaze_mean", modality="face")
class GazeMean(Encoder):
    input_kind = "gaze"

    def __init__(self, *, width: Size = 8) -> None:
        super().__init__()
        self.modality, self.out_dim, self.input_spec = "face", width, GazeSpec()
        self.layer = nn.Linear(2, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(self.layer(x), mask)


# --------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gaze")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(40):
        points = rng.normal(size=(3 + i % 4, 2)) + i % 5
        np.savetxt(folder / f"{i}.csv", points, delimiter=",")
        row = {"id": f"g{i}", "corpus": "x", "speaker": f"s{i // 5}", "label_set": "demo5", "label": LABELS[i % 5]}
        lines.append({**row, "features": {"face": {"path": f"{i}.csv"}}})
    path = folder / "gaze.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


CONFIG = """
name: gaze
label_set: demo5
device: cpu
seed: 3
data: {manifest: gaze.jsonl, workers: 1, split: {val: 0.3, test: 0.34, seed: 1}}
encoders: {face: {name: gaze_mean}}
stages: [face]
training: {epochs: 1, batch_size: 8, budget: {face: 100}}
"""


@pytest.fixture(scope="module")
def run(manifest: Path) -> Path:
    path = manifest.with_name("gaze.yaml")
    path.write_text(CONFIG.replace("gaze.jsonl", str(manifest)), "utf-8")
    config = load_config(str(path))
    fill_cache(config, Progress())  # nothing of it is decoded
    train(config, manifest.parent / "run")
    return manifest.parent / "run"


def test_it_is_trained_evaluated_and_predicted(run: Path, manifest: Path) -> None:
    assert json.loads((run / "model" / "config.json").read_text())["inputs"]["face"] == {"kind": "gaze", "rate": 10.0}
    measured = {r["id"]: r["probs"]["F"] for r in evaluate_run(run, manifest=manifest).predictions}
    assert len(measured) == 40
    model = multiemo.load(run, device="cpu")
    for item in expand([manifest])[:3]:
        (segment,) = model.predict_item(item)["segments"]
        assert list(segment["probs"].values()) == pytest.approx(measured[item.name], abs=1e-4)
    with pytest.raises(MediaError, match="the model reads eye gaze"):
        model.predict(manifest.parent / "0.csv")


def test_a_benchmark_has_baselines_for_it_and_says_that_nothing_can_be_corrupted(run: Path, manifest: Path) -> None:
    bundle = load_bundle(run)
    source = open_source(SourceConfig(manifest=str(manifest), split=bundle.config.data.split))
    read = read_inputs(bundle.config, source.folder, source.clips, bundle.inputs)
    assert read.values["face"].shape == (40, 4), "means and deviations over time"
    hidden, _ = robustness_curves([(bundle, source)], corruptions=["occlusion", "missing_face"])
    assert "the face encoder reads eye gaze" in hidden.skipped
