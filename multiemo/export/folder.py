"""Writes the folder of an exported model, and compares every graph with the model."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from multiemo.encryption import read_sealed
from multiemo.errors import CheckpointError, ConfigError, MultiemoError, first_line
from multiemo.export.networks import EncoderGraph, FusionGraph
from multiemo.export.records import Exported, Graph
from multiemo.export.samples import sample_inputs
from multiemo.extras import require
from multiemo.files import unwritable, write_atomically
from multiemo.progress import Progress
from multiemo.runs.folder.required_files import model_folder
from multiemo.runs.model_folder import load_bundle
from multiemo.types import Modality, spec_to_dict

RECORD = "export.json"
#: Version of ONNX's operators; every runtime since 2023 has them.
OPSET = 18
#: Largest difference from the model that is rounding, relative to the largest value of an output.
TOLERANCE = 1e-3


def export_model(run: str | Path, out: str | Path, *, progress: Progress | None = None) -> Exported:
    """Write a model as ONNX files, in float32, and check that ONNX Runtime computes what the model computes.

    Args:
        run: run folder or model folder.
        out: folder to write; new, empty, or of an earlier export.
        progress: receives the parts as stages.

    Returns:
        What ``export.json`` holds.

    Raises:
        CheckpointError: the folder holds no finished model, or ``out`` cannot be written.
        ConfigError: the packages are missing, ``out`` has other files, or a part of the model has no ONNX form.
        MultiemoError: a graph computes something else than the model.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, "multiemo export")
    folder = Path(out)
    _check_folder(folder)
    bundle = load_bundle(run)
    model = bundle.model.float().eval().requires_grad_(False)
    shown = progress or Progress()
    shown.stage("made-up clips")
    given = sample_inputs(bundle)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / RECORD, "{}\n")  # marks the folder as ours until the record is complete
        for earlier in [*folder.glob("*.onnx*"), *folder.glob("*_tokenizer.json")]:
            earlier.unlink()
        encoders: dict[Modality, Graph] = {}
        embedded: list[Tensor] = []
        reliability: list[Tensor] = []
        for m in model.modalities:
            shown.stage(f"{m} encoder")
            network = EncoderGraph(model, m)
            inputs = dict(zip(("input", "mask"), given[m], strict=True))
            encoders[m], made = _exported(network, inputs, network.outputs, folder / f"{m}.onnx", f"encoders.{m}")
            embedded.append(made[0])
            reliability += made[1:]
        shown.stage("fusion")
        fusion = FusionGraph(model, bundle.calibration)
        values = [*embedded, *_presence(len(embedded[0]), len(embedded)), *reliability]
        named = dict(zip(fusion.inputs, values, strict=True))
        fused, _ = _exported(fusion, named, fusion.outputs, folder / "fusion.onnx", "fusion")
        _copy_tokenizers(model_folder(Path(run)), model.modalities, folder)
        made_of = Exported(
            name=bundle.config.name,
            label_set=bundle.config.label_set or None,
            labels=list(bundle.labels),
            task=model.task,
            encoders=encoders,
            fusion=fused,
            specs={m: spec_to_dict(bundle.inputs[m].spec) for m in model.modalities},
            calibration=bundle.calibration,
            versions={name: version(name) for name in ("multiemo", "torch", "onnx", "onnxruntime")},
        )
        write_atomically(folder / RECORD, json.dumps(made_of, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CheckpointError(unwritable(folder, error)) from None
    return made_of


def _check_folder(folder: Path) -> None:
    """Check that a folder is new, empty, or of an earlier export."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise ConfigError(f"--out: {folder} has other files; name a new folder")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out: {folder} is not a folder")


def _presence(clips: int, count: int) -> list[Tensor]:
    """Which clips have which modality: the sets of modalities in turn."""
    sets = torch.arange(clips) % 2**count
    return [(sets >> i & 1).bool() for i in range(count)]


def _exported(
    network: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path, where: str
) -> tuple[Graph, list[Tensor]]:
    """Write a graph, and compare it with the network on these inputs, and on fewer and shorter ones.

    Args:
        network: the network.
        inputs: {name: input}, in the order of its arguments.
        outputs: names of its outputs.
        path: file to write.
        where: the part, for messages.

    Returns:
        The record of the graph, and the network's outputs.
    """
    free = torch.export.Dim.DYNAMIC
    shapes: Any = [dict.fromkeys(range(min(x.ndim, 2) if where != "fusion" else 1), free) for x in inputs.values()]
    arguments = tuple(inputs.values())
    try:
        with _quietly():
            program = torch.onnx.export(
                network, arguments, dynamo=True, opset_version=OPSET, verbose=False,
                input_names=list(inputs), output_names=outputs,
                dynamic_shapes=(tuple(shapes),) if where == "fusion" else tuple(shapes),
            )  # fmt: skip
            assert program is not None
            program.save(path)
    except OSError:
        raise
    except Exception as error:  # of the compiler, in many classes
        raise ConfigError(f"{where}: has no ONNX form ({_reason(error)}); see docs/serving.md") from None
    tried = [arguments]
    if where != "fusion":
        x, mask = arguments
        steps = max(1, int(mask.sum(1).min()) // 2)
        tried += [(x[:1], mask[:1]), (x[:, :steps], mask[:, :steps])]
    made = _outputs(network, arguments)
    difference = _difference(network, path, list(inputs), tried, where)
    described = {name: _shape(x, where) for name, x in inputs.items()}
    return Graph(file=path.name, inputs=described, outputs=outputs, difference=difference), made


def _outputs(network: nn.Module, given: Sequence[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return list(network(*given))


def _difference(
    network: nn.Module, path: Path, names: list[str], tried: Sequence[Sequence[Tensor]], where: str
) -> float:
    """The largest difference of an output of the file from that of the network."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    largest = 0.0
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        known = {given.name for given in session.get_inputs()}  # those that no output depends on are left out
        computed = [
            session.run(None, {name: x.numpy() for name, x in zip(names, given, strict=True) if name in known})
            for given in tried
        ]
    except Exception as error:  # of the runtime, in classes of its own
        raise MultiemoError(f"{where}: ONNX Runtime cannot compute it ({first_line(error)})") from None
    for given, outputs in zip(tried, computed, strict=True):
        for ours, theirs in zip(_outputs(network, given), outputs, strict=True):
            expected: NDArray[np.float32] = ours.numpy()
            if expected.shape != theirs.shape or not np.array_equal(np.isnan(expected), np.isnan(theirs)):
                raise MultiemoError(f"{where}: ONNX Runtime computes another output than the model; it is not exported")
            apart = float(np.nanmax(np.abs(expected - theirs), initial=0.0))
            if apart > TOLERANCE * max(1.0, float(np.nanmax(np.abs(expected), initial=0.0))):
                raise MultiemoError(
                    f"{where}: an output of ONNX Runtime differs from the model's by {apart:.2g}; it is not exported"
                )
            largest = max(largest, apart)
    return largest


def _shape(x: Tensor, where: str) -> str:
    """Shape and dtype of an input, with letters for what may vary."""
    letters = ["B"] if where == "fusion" or x.ndim < 2 else ["B", "T"]
    sizes = [*letters, *map(str, x.shape[len(letters) :])]
    return f"[{', '.join(sizes)}] {str(x.dtype).removeprefix('torch.')}"


def _copy_tokenizers(model: Path, modalities: Sequence[Modality], folder: Path) -> None:
    """Copy the tokenizers of a model folder, without which texts cannot be read."""
    for m in modalities:
        if (found := model / m / "tokenizer.json").is_file():
            write_atomically(folder / f"{m}_tokenizer.json", read_sealed(found))


def _reason(error: Exception) -> str:
    """The first line of the error at the bottom of an exporter's error."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return first_line(error)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's progress, warnings and logs."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
