"""A model together with its preprocessing, in memory and as a folder.

- ``model.safetensors``: the weights.
- ``config.json``: resolved config, label set, InputSpecs, calibration and versions.
- ``seen.safetensors``: the clips, speakers and groups that the model was trained or selected on.
- one folder per modality: assets that cannot be derived from these files (tokenizer, a pretrained model's config).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.calibration import Calibration
from multiemo.config import Config, stored_config
from multiemo.data.splits.grouping import GROUP_BY
from multiemo.data.splits.seen import Seen
from multiemo.data.targets import LabelSpace
from multiemo.encoders.base import Encoder
from multiemo.encoders.common.deferred import Deferred
from multiemo.encryption import read_sealed, write_sealed
from multiemo.errors import CheckpointError, ConfigError, first_line
from multiemo.files import parse_json, system_error, unwritable
from multiemo.inputs import Input, build_input, spec_from_dict
from multiemo.model import EmotionModel
from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.runs.folder.required_files import file_digest, model_folder
from multiemo.runs.parts import assemble, build_encoder
from multiemo.runs.size_limit import sized_by
from multiemo.training.checkpoint import load_tensors, save_tensors
from multiemo.types import InputSpec, Modality, spec_to_dict
from multiemo.version import __version__

FORMAT_VERSION = 3
#: The distributions that contain OpenCV; any one is enough, and servers without a display have a headless one.
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


@dataclass(slots=True)
class Bundle:
    """A model, its preprocessing and its origin.

    Args:
        model: the network; on the CPU until moved.
        config: resolved config; ``encoders`` has only the model's modalities.
        inputs: {modality: input}, built from the encoders' InputSpecs.
        facts: other records of the folder: corpus kind, split hash, stage, validation figures, usual voice in training.
        calibration: temperatures and thresholds fitted on validation; empty before that.
        folder: folder that the model was read from or written to.
        seen: clips, speakers and groups that the model was trained or selected on.
    """

    model: EmotionModel
    config: Config
    inputs: dict[Modality, Input]
    facts: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    folder: Path | None = None
    seen: Seen = field(default_factory=Seen)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the output columns, in order: labels, or the dimensions with ``task: dimensions``."""
        return self.config.columns

    def space(self, label_from: str = "clip") -> LabelSpace:
        """The mapping from manifest rows to this model's targets.

        Args:
            label_from: ``clip``, or the modality whose own label is the target.
        """
        return LabelSpace(self.config.label_set, self.config.task, label_from)

    @property
    def voice(self) -> VoiceBaseline | None:
        """The usual voice of the training clips; ``None`` without it, as in folders of earlier versions.

        Raises:
            CheckpointError: the record in ``config.json`` is damaged.
        """
        stored = self.facts.get("voice")
        try:
            return None if stored is None else VoiceBaseline.from_json(stored)
        except ValueError as error:
            raise CheckpointError(f"{self.folder}: facts.voice in config.json: {error}") from None

    @property
    def prior(self) -> Tensor:
        """``[C]`` label frequencies of train; with ``task: dimensions``, means of the dimensions."""
        return self.model.prior.detach().cpu()


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the model folder; ``config.json`` is written last, so a folder that has it is complete.

    Args:
        bundle: model to save.
        folder: folder to write; it is created if missing.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for m in bundle.model.modalities:
        assets = folder / m
        assets.mkdir(exist_ok=True)
        encoder = bundle.model.encoders[m]
        try:
            if isinstance(encoder, Encoder):
                encoder.save_assets(assets)
            bundle.inputs[m].save(assets)
        except Exception as error:  # transformers and tokenizers raise exceptions of their own
            reason = system_error(error)
            if reason is None:
                raise
            raise CheckpointError(unwritable(assets, reason)) from None
    save_tensors(folder / "model.safetensors", bundle.model.state_dict(), {"format": FORMAT_VERSION})
    seen: dict[str, Tensor] = {kind: torch.from_numpy(digests) for kind, digests in bundle.seen.digests.items()}
    save_tensors(folder / "seen.safetensors", seen, {})
    values = {
        "format": FORMAT_VERSION,
        "weights": file_digest(folder / "model.safetensors"),
        "seen": file_digest(folder / "seen.safetensors"),
        "assets": _asset_digests(folder, bundle.model.modalities),
        "label_set": {"name": bundle.config.label_set, "labels": list(bundle.labels)},
        "fused": bundle.model.fusion is not None,
        "inputs": {m: spec_to_dict(bundle.inputs[m].spec) for m in bundle.model.modalities},
        "config": bundle.config.model_dump(mode="json"),
        "facts": bundle.facts,
        "calibration": bundle.calibration,
        "versions": versions(),
    }
    write_sealed(folder / "config.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def load_bundle(path: str | Path, *, labels: bool = True, deferred: bool = False) -> Bundle:
    """Read a run folder, a branch folder or a model folder.

    Args:
        path: folder to read.
        labels: reject a model trained without labels, of which only the encoder can be reused.
        deferred: build each encoder, and import its packages, on first use; a mismatch with its weights is then
            reported only at that point.

    Raises:
        CheckpointError: the folder is missing, incomplete, changed since it was written, or of another version or
            shape.
    """
    folder = model_folder(Path(path))
    try:
        values = parse_json(read_sealed(folder / "config.json"))
        config = stored_config(values["config"])
        specs = {m: spec_from_dict(s) for m, s in values["inputs"].items()}
        stored = values["label_set"]["labels"]
        _check_members(values)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{folder / 'config.json'}: not a multiemo model config: {error}") from None
    if values.get("format") != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder}: written in format {values.get('format')!r}, but this version reads {FORMAT_VERSION}; it was "
            f"made with multiemo {values.get('versions', {}).get('multiemo', '?')}: use that version, or train it again"
        )
    objective = values["facts"].get("objective", "labels")
    if labels and objective != "labels":
        raise CheckpointError(
            f"{folder}: trained without labels (objective {objective}), so it cannot predict yet; fine-tune it with "
            f"init.{next(iter(specs))}={path}"
        )
    if file_digest(folder / "model.safetensors") != values.get("weights"):
        raise CheckpointError(
            f"{folder / 'model.safetensors'}: is not the file that config.json was written for (its digest differs); "
            "it was changed or damaged: copy the model folder again, or train it again"
        )
    _check_assets(folder, specs, values)
    if list(config.columns) != stored:
        raise CheckpointError(
            f"{folder}: its labels {stored} differ from those of {config.label_set!r} in this version; train it again"
        )
    try:
        calibration = Calibration.from_json(values.get("calibration", {}))
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from None
    tensors, _ = load_tensors(folder / "model.safetensors")
    parts: dict[Modality, Encoder] = {}
    inputs: dict[Modality, Input] = {}
    try:
        for m, spec in specs.items():
            build = partial(build_encoder, config, m, **_feature_facts(spec), assets=folder / m)
            width = _out_dim(tensors, m) if deferred else None
            if width is None:
                with sized_by(_weights_of(tensors, m), folder):
                    parts[m] = build()
            else:
                parts[m] = Deferred(width, partial(_build_deferred, build, folder))
            inputs[m] = build_input(m, spec, assets=folder / m)
        with sized_by(tensors.values(), folder):
            model = assemble(config, parts, fused=values["fused"], specs=specs)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = f"no model can be built from it ({type(error).__name__}: {first_line(error)})"
        raise CheckpointError(
            f"{folder / 'config.json'}: {reason}; it was changed or damaged: copy the model folder again"
        ) from error
    _load_weights(model, tensors, folder)
    if not deferred:
        for m, part in parts.items():
            part.untrained = frozenset(values["facts"].get("untrained", {}).get(m, ()))
    return Bundle(model.eval(), config, inputs, values["facts"], calibration, Path(path), _load_seen(folder, values))


def _check_members(values: Mapping[str, Any]) -> None:
    """Check the types of the members of ``config.json``.

    Raises:
        TypeError: one has another type.
    """
    kinds = {"facts": dict, "assets": dict, "versions": dict, "calibration": dict, "inputs": dict, "fused": bool}
    for key, kind in kinds.items():
        if not isinstance(values.get(key, kind()), kind):
            raise TypeError(f"{key} is {values[key]!r}")
    for key in ("objective", "stage", "corpus_kind"):
        if not isinstance(values["facts"].get(key, ""), str):
            raise TypeError(f"facts.{key} is {values['facts'][key]!r}")


def _asset_digests(folder: Path, modalities: Iterable[Modality]) -> dict[str, str]:
    """{path of an asset, relative to the model folder: its SHA-256}."""
    files = [file for m in modalities for file in sorted((folder / m).rglob("*")) if file.is_file()]
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


def _check_assets(folder: Path, modalities: Iterable[Modality], values: Mapping[str, Any]) -> None:
    """Reject a folder whose tokenizer or backbone is not the one that the weights were trained with.

    Folders written by earlier versions have no digests of these files and are not checked.

    Raises:
        CheckpointError: a file is missing or differs.
    """
    config = values["config"]
    if set(modalities) != set(config["encoders"]):
        raise CheckpointError(
            f"{folder / 'config.json'}: its inputs are {', '.join(modalities)}, its encoders "
            f"{', '.join(config['encoders'])}; it was changed or damaged: copy the model folder again, or train again"
        )
    for name, digest in values.get("assets", {}).items():
        file = folder / name
        if not _is_inside(name):
            raise CheckpointError(
                f"{folder / 'config.json'}: names the file {name!r}, which is outside the model folder; do not use "
                "this model, unless you know who made it and why"
            )
        if not file.is_file():
            raise CheckpointError(f"{file}: is missing; copy the model folder again, with everything in it")
        if file_digest(file) != digest:
            raise CheckpointError(
                f"{file}: is not the file that config.json was written for (its digest differs), so it does not belong "
                "to these weights; copy the model folder again, or train it again"
            )


def _is_inside(name: str) -> bool:
    """Whether a relative path stays inside its folder."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts and "\0" not in name


def _load_weights(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: the weights do not fit its config: {_first_mismatch(error)}") from None


def _build_deferred(build: Callable[[], Encoder], folder: Path, weights: Mapping[str, Tensor]) -> Encoder:
    """Build a deferred encoder and load its weights."""
    try:
        with sized_by(weights.values(), folder):
            encoder = build()
    except ConfigError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    _load_weights(encoder, weights, folder)
    return encoder


def _weights_of(tensors: Mapping[str, Tensor], m: Modality) -> list[Tensor]:
    """The weights of one encoder."""
    return [tensor for name, tensor in tensors.items() if name.startswith(f"encoders.{m}.")]


def _out_dim(tensors: Mapping[str, Tensor], m: Modality) -> int | None:
    """D of an encoder that is not built yet, read from the weights of its branch head.

    ``None`` without such weights: then the encoder brings its own head, and must be built to provide it.
    """
    norm = tensors.get(f"branch_heads.{m}.layers.0.weight")
    return None if norm is None else len(norm)


def _load_seen(folder: Path, values: Mapping[str, Any]) -> Seen:
    """The clips, speakers and groups that a model was trained or selected on.

    Raises:
        CheckpointError: ``seen.safetensors`` has changed since the model was written.
    """
    path = folder / "seen.safetensors"
    if file_digest(path) != values.get("seen"):
        raise CheckpointError(
            f"{path}: is not the file that config.json was written for, so it is unknown which speakers the model has "
            "seen; copy the model folder again, or train it again"
        )
    kept = {kind: tensor.numpy() for kind, tensor in load_tensors(path)[0].items()}
    return Seen({kind: kept[kind] for kind in GROUP_BY if kind in kept})


def load_encoder(config: Config, m: Modality, initial: Bundle, path: str) -> tuple[Encoder, Input]:
    """Build the encoder of a config with the weights of an earlier run and, for text, its tokenizer.

    Args:
        config: config of the new run.
        m: modality of the encoder.
        initial: model of the earlier run.
        path: folder of that model.

    Raises:
        CheckpointError: the model has no such encoder, or its weights have other shapes.
    """
    where = f"init.{m}: {path}"
    if m not in initial.inputs or initial.config.encoders[m].name != config.encoders[m].name:
        raise CheckpointError(f"{where} has no {m} encoder {config.encoders[m].name!r}; name a run that has one")
    trained = initial.model.encoders[m]
    assert isinstance(trained, Encoder)
    assets = model_folder(Path(path)) / m
    encoder = build_encoder(config, m, **_feature_facts(trained.input_spec), assets=assets)
    try:
        encoder.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise CheckpointError(f"{where}: its weights do not fit encoders.{m}: {_first_mismatch(error)}") from None
    encoder.untrained = trained.untrained
    return encoder, build_input(m, encoder.input_spec, assets=assets)


def _feature_facts(spec: InputSpec) -> dict[str, Any]:
    """Number and names of the feature columns of a stored spec, as arguments of :func:`build_encoder`."""
    return {"feature_dim": getattr(spec, "dim", None), "columns": getattr(spec, "columns", ())}


def _first_mismatch(error: RuntimeError) -> str:
    """The first mismatch that ``load_state_dict`` reports."""
    return str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)


def versions() -> dict[str, str]:
    """Versions of multiemo and the packages that affect its results; those without metadata are left out."""
    found = {
        "multiemo": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    for name in ("torchaudio", "torchvision", "transformers", "timm", *_OPENCV, "av", "numpy"):
        with suppress(PackageNotFoundError):  # not installed by pip, or another OpenCV distribution
            found[name] = version(name)
    return found
