"""Exported graphs compute what the model computes, whatever its encoders and its fusion."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import multiemo
from multiemo.calibration import Calibration
from multiemo.errors import ConfigError, MultiemoError
from multiemo.export import Exported, export_model, folder, input_tensors
from multiemo.export.networks import EncoderGraph, FusionGraph
from multiemo.model import EmotionModel
from multiemo.predict.sources import file_item
from multiemo.registry import encoders, fusions
from multiemo.types import SUBSETS
from tests.support.paths import ROOT
from tests.support.tensors import crops, padded, waves
from tests.support.tiny_speech import build
from tests.support.tiny_text import batch, tiny

onnxruntime = pytest.importorskip("onnxruntime", reason="multiemo[export] is not installed")


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "onnx"
    export_model(tiny_run, out)
    return out


def run_graphs(out: Path, given: Any) -> dict[str, Any]:
    """What the graphs make of tensors: {output of the fusion: values}."""
    record = Exported.read(out / "export.json")
    fusion = onnxruntime.InferenceSession(out / record.fusion.file)
    feed: dict[str, Any] = {}
    for i in fusion.get_inputs():
        m, what = i.name.rsplit("_", 1)
        if what == "present":
            feed[i.name] = np.array([m in given])
        elif what == "embedding":
            feed[i.name] = np.zeros((1, i.shape[1]), np.float32)
        else:
            feed[i.name] = np.ones(1, np.float32)
    for m, (x, mask) in given.items():
        graph = record.encoders[m]
        session = onnxruntime.InferenceSession(out / graph.file)
        for name, values in zip(graph.outputs, session.run(None, {"input": x, "mask": mask}), strict=True):
            feed[f"{m}_{name.removeprefix('clip_')}"] = values
    return dict(zip(record.fusion.outputs, fusion.run(None, feed), strict=True))


@pytest.mark.parametrize("subset", SUBSETS)
def test_any_set_of_modalities_gets_the_model_s_probabilities(
    exported: Path, tiny_run: Path, small_corpus: Path, subset: str
) -> None:
    model = multiemo.load(tiny_run)
    films = sorted(small_corpus.parent.rglob("*.mp4"))
    film = next(film for film in films if len(input_tensors(model, film, text="so happy")) == 3)
    given = {m: x for m, x in input_tensors(model, film, text="so happy").items() if m in SUBSETS[subset]}
    assert set(given) == set(SUBSETS[subset])
    (segment,) = model.reader.open(file_item(film, "so happy")).segments
    for m in model.model.modalities:
        if m not in given:
            segment.inputs.pop(m)
            segment.absent[m] = "left out"
    ((expected, _),) = model.classify([segment])
    made = run_graphs(exported, given)
    assert made["probabilities"][0] == pytest.approx(list(expected.probs.values()), abs=2e-5)
    for m in given:
        assert made[f"{m}_probabilities"][0] == pytest.approx(list(expected.by_modality[m].values()), abs=2e-5)
    if expected.valence is not None:
        assert made["dimensions"][0][0] == pytest.approx(expected.valence, abs=1e-3)


def test_the_example_of_the_page_runs(
    exported: Path, tiny_run: Path, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    demo = tmp_path / "runs" / "demo"
    (demo / "corpus" / "media").mkdir(parents=True)
    (demo / "model").symlink_to(tiny_run / "model")
    (demo / "onnx").symlink_to(exported)
    film = min(small_corpus.parent.rglob("*.mp4"))
    (demo / "corpus" / "media" / "spk01-001.mp4").symlink_to(film)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    block, _ = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(block, {"__name__": "docs"})
    (segment,) = multiemo.load(tiny_run).predict(film, text="so happy").segments
    assert capsys.readouterr().out.split() == [segment.best]


def test_the_record_says_what_goes_in_and_out(exported: Path, tiny_run: Path) -> None:
    record = Exported.read(exported / "export.json")
    model = multiemo.load(tiny_run)
    assert record.labels == list(model.labels)
    assert record.encoders["face"].inputs == {"input": "[B, T, 3, 32, 32] uint8", "mask": "[B, T] bool"}
    assert record.fusion.inputs["text_present"] == "[B] bool"
    assert record.specs["speech"]["sample_rate"] == 16000
    assert 0 <= max(g.difference for g in (*record.encoders.values(), record.fusion)) < 1e-4
    assert (exported / "text_tokenizer.json").is_file()
    files = {path.name for path in exported.iterdir()}
    assert files == {"text.onnx", "speech.onnx", "face.onnx", "fusion.onnx", "export.json", "text_tokenizer.json"}


def check(model: EmotionModel, given: dict[Any, Any], out: Path, calibration: Calibration | None = None) -> None:
    """Export all graphs of a model, which are compared with it."""
    model.eval().requires_grad_(False)
    embedded = []
    for m, pair in given.items():
        network = EncoderGraph(model, m)
        inputs = dict(zip(("input", "mask"), pair, strict=True))
        graph, made = folder._exported(network, inputs, network.outputs, out / f"{m}.onnx", f"encoders.{m}")
        assert graph.difference < 1e-3
        embedded.append(made[0])
    fusion = FusionGraph(model, calibration or Calibration())
    presence = folder._presence(len(embedded[0]), len(embedded))
    named = dict(zip(fusion.inputs, [*embedded, *presence], strict=True))
    folder._exported(fusion, named, fusion.outputs, out / "fusion.onnx", "fusion")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roberta", "modernbert"])
def test_text_models(name: str, tmp_path: Path) -> None:
    check(EmotionModel({"text": tiny(tmp_path, name, pooling="attention")}, 3), {"text": batch()}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wav2vec2-group", "wavlm", "whisper"])
def test_speech_models(kind: str, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, prosody=False)
    check(EmotionModel({"speech": encoder}, 3), {"speech": padded(waves([0.3, 0.2, 0.3]))}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["default", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_face_models(backbone: str, tmp_path: Path) -> None:
    options = {"backbone": backbone, "size": 32, "temporal": "transformer", "frames": 4}
    if backbone.startswith("vit"):
        options["backbone_options"] = {"img_size": 32}
    encoder = encoders.build("face_timm", options, where="face")
    check(EmotionModel({"face": encoder}, 3), {"face": crops(2, 4, 3, size=32)}, tmp_path)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("gated", "single"),
        *(pytest.param(name, "single", marks=pytest.mark.slow) for name in sorted(fusions) if name != "gated"),
        pytest.param("decision", "multi", marks=pytest.mark.slow),
        pytest.param("decision", "dimensions", marks=pytest.mark.slow),
    ],
)
def test_fusions_and_tasks(name: str, task: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    dims = {"text": 8, "face": 6}
    parts: Any = {m: encoders.build("features", {"hidden": d}, where=m, modality=m, dim=5) for m, d in dims.items()}
    votes = getattr(fusions.get(name, where="fusion"), "level", "") == "decision"
    fusion = fusions.build(name, {}, where="fusion", dims={m: 3 if votes else e.out_dim for m, e in parts.items()})
    prior = torch.tensor([0.5, 0.3, 0.2]) if task != "dimensions" else torch.tensor([0.1, float("nan"), -0.2])
    model = EmotionModel(parts, 3, fusion=fusion, task=task, prior=prior, dimensions=task == "single")
    calibration = Calibration(
        temperatures={"T": 2.0, "TF": 0.5}, biases={"F": [1.0, -1.0, 0.0]}, branches={"face": 3.0},
        branch_biases={"text": [0.0, 2.0, 0.0]},
    )  # fmt: skip
    given = {m: (torch.randn(8, 4, 5), torch.arange(4) < torch.randint(1, 5, (8, 1))) for m in dims}
    check(model, given, tmp_path, calibration)
    if task == "dimensions":
        return
    fused = FusionGraph(model.eval(), calibration)
    embeddings = [model.encoders[m](*given[m]) for m in dims]
    presence = folder._presence(8, 2)
    logits = model.fuse(dict(zip(dims, embeddings, strict=True)), dict(zip(dims, presence, strict=True)))
    keys = ["", "T", "F", "TF"] * 2
    wanted = calibration.scaled(keys, model.probabilities(logits).detach().numpy(), task)
    with torch.no_grad():
        np.testing.assert_allclose(fused(*embeddings, *presence)[0].numpy(), wanted, atol=1e-6)


def test_a_graph_that_computes_something_else_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "run", lambda self, *given: [made + 0.01 for made in real(self, *given)]
    )
    network = EncoderGraph(
        EmotionModel({"text": encoders.build("features", {}, where="text", modality="text", dim=5)}, 3), "text"
    )
    inputs = {"input": torch.randn(3, 4, 5), "mask": torch.ones(3, 4, dtype=torch.bool)}
    with pytest.raises(
        MultiemoError, match=r"^encoders\.text: an output of ONNX Runtime differs from the model's by 0"
    ):
        folder._exported(network.eval(), inputs, network.outputs, tmp_path / "x.onnx", "encoders.text")


class Untraceable(torch.nn.Module):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (x if x.sum() > 0 else -x,)


def test_a_network_that_cannot_be_traced_is_named(tmp_path: Path) -> None:
    inputs = {"input": torch.ones(2, 3), "mask": torch.ones(2, 3, dtype=torch.bool)}
    with pytest.raises(ConfigError, match=r"^encoders\.face: has no ONNX form \(.+\); see docs/serving\.md$"):
        folder._exported(Untraceable(), inputs, ["clip_embedding"], tmp_path / "x.onnx", "encoders.face")


def test_after_an_error_the_same_command_can_be_repeated(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise MultiemoError("encoders.text: differs")

    monkeypatch.setattr(folder, "_exported", fails)
    out = tmp_path / "onnx"
    for _ in range(2):
        with pytest.raises(MultiemoError, match=r"^encoders\.text: differs$"):
            export_model(tiny_run, out)
        with pytest.raises(MultiemoError, match="name"):  # nobody takes it for a finished export
            Exported.read(out / "export.json")
        (out / "face.onnx").write_bytes(b"of an earlier export")
    with pytest.raises(MultiemoError):
        export_model(tiny_run, out)
    assert not (out / "face.onnx").exists()


def test_other_files_are_not_replaced(tiny_run: Path, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    code, _, said = cli("export", tiny_run, "--out", tmp_path)
    assert (code, said) == (2, f"error: --out: {tmp_path} has other files; name a new folder\n")
    code, _, said = cli("export", tiny_run, "--out", tmp_path / "mine.txt")
    assert (code, said) == (2, f"error: --out: {tmp_path / 'mine.txt'} is not a folder\n")


def test_the_command_names_every_file(
    exported: Path, tiny_run: Path, cli: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Exported.read(exported / "export.json")
    monkeypatch.setattr("multiemo.export.export_model", lambda run, out, progress: record)
    code, said, _ = cli("export", tiny_run, "--out", exported, "--json", "-")
    assert code == 0
    assert Exported.from_json(json.loads(said)) == record
    code, said, _ = cli("export", tiny_run, "--out", exported)
    assert code == 0
    for name in ("text.onnx", "speech.onnx", "face.onnx", "fusion.onnx"):
        assert f"{exported / name}: " in said
