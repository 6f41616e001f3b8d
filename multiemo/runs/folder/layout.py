"""Opens a run folder: checks whether it is free, or whether its run can be resumed with the given config."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, TypeAlias

from multiemo.config import Config, load_stored, save_config
from multiemo.config.sections import BenchmarkConfig
from multiemo.errors import CheckpointError
from multiemo.files import write_atomically

#: Files that ``evaluate`` writes, which describe the present model.
_EVALUATION_FILES = ("evaluation.json", "predictions.jsonl", "report.html")
#: Keys of ``training`` that may be increased when a run is resumed.
_LENGTH_KEYS = ("epochs", "patience")
#: Keys of ``benchmark`` that neither training nor the test depends on.
_MEASURED_BESIDES = ("baselines", "robustness", "explanations", "jobs")


#: A config as plain JSON values.
Settings: TypeAlias = dict[str, Any]


def has_training(folder: Path) -> bool:
    """Whether anything has been trained in a folder; after a failed start it is still free."""
    traces = ("state/*/step-*.safetensors", "branches/*/config.json", "model/config.json")
    return any(next(folder.glob(trace), None) is not None for trace in traces)


def experiment_settings(config: Config, *, length: bool = False) -> Settings:
    """The settings of a config that affect its result: all but the manifest paths, the cache, the workers
    and the limits.

    What a benchmark measures of its trained models besides testing them is not part of it, nor are the contents of
    manifests, which are compared through the hash of the split.

    Args:
        config: resolved config.
        length: include the maximum length of training (epochs and patience).
    """
    values: Settings = config.model_dump(mode="json")
    data = values["data"]
    for source in (data, *data["sources"].values()):
        source["manifest"] = None
    data |= {"cache": None, "workers": 0}
    data.pop("limits")  # earlier versions had none
    values["benchmark"] |= {name: BenchmarkConfig.model_fields[name].default for name in _MEASURED_BESIDES}
    for m, recommended in values.pop("recipes").items():  # the same settings, wherever they come from
        values["per_stage"][m] = {**recommended, **values["per_stage"].get(m, {})}
    for settings in (values["training"], *values["per_stage"].values()):
        for key in () if length else _LENGTH_KEYS:
            settings.pop(key, None)
    values["per_stage"] = {stage: keys for stage, keys in values["per_stage"].items() if keys}
    return values


def identity(config: Config) -> str:
    """SHA-256 of :func:`experiment_settings`, stored in every resumable state."""
    return hashlib.sha256(json.dumps(experiment_settings(config), sort_keys=True).encode()).hexdigest()


def differing_keys(one: Config, other: Config, *, length: bool = False) -> list[str]:
    """Paths of the keys in which two configs describe different experiments.

    Args:
        one: first config.
        other: second config.
        length: also compare the maximum length of training (epochs and patience).
    """
    return _differing(experiment_settings(one, length=length), experiment_settings(other, length=length))


def open_run_folder(folder: Path, config: Config, *, resume: bool) -> list[str]:
    """Prepare a folder for a new run, or for resuming its run, possibly with more epochs than before.

    Args:
        folder: existing folder.
        config: resolved config of the run.
        resume: continue the run in the folder; if nothing has been trained yet, this starts it.

    Returns:
        Notes for the user.

    Raises:
        CheckpointError: the folder has a run and ``resume`` is false, or the run has another config.
    """
    stored = folder / "config.yaml"
    if not has_training(folder):  # after a failed start the run may start again, even with another config
        for name in ("splits.json", "metrics.jsonl"):
            (folder / name).unlink(missing_ok=True)
        save_config(config, stored)
        return []
    if not resume:
        raise CheckpointError(f"{folder}: already has a run; add --resume or choose another --out")
    known = load_stored(stored)
    others = differing_keys(known, config)
    if others:
        raise CheckpointError(
            f"{stored}: the run was started with another config (different: {', '.join(others)}); resume with that "
            "config (only epochs and patience may be increased), or choose another --out"
        )
    notes = _lengthen(folder, known, config)
    save_config(config, stored)
    return notes


def _lengthen(folder: Path, known: Config, config: Config) -> list[str]:
    """Remove the results of stages whose epochs or patience the new config increases, and return notes.

    Raises:
        CheckpointError: epochs or patience are decreased, or a finished stage has no state to continue from.
    """
    notes: list[str] = []
    for stage in (s for s in config.stages if s not in config.taken_over):
        before, after = known.training_of(stage), config.training_of(stage)
        for key in _LENGTH_KEYS:
            if getattr(after, key) < getattr(before, key):
                raise CheckpointError(
                    f"{folder}: {stage} was started with {key} {getattr(before, key)}, and {getattr(after, key)} is "
                    "fewer; a run can only be extended, so choose another --out"
                )
        if (before.epochs, before.patience) == (after.epochs, after.patience):
            continue
        ended = folder / ("model" if stage == "fuse" else f"branches/{stage}")
        if (ended / "config.json").is_file() and next((folder / "state" / stage).glob("step-*"), None) is None:
            raise CheckpointError(
                f"{folder / 'state' / stage}: has no state to continue from, so {stage} cannot have more epochs; train "
                "again with another --out"
            )
        if config.privacy is not None:
            raise CheckpointError(
                f"{folder}: the noise of {stage} was chosen for {before.epochs} epochs (privacy.epsilon), so it cannot "
                "be extended; choose another --out"
            )
        _discard_results(folder, stage)
        if before.epochs != after.epochs:
            restart = ", and fuse starts again from it" if config.fused and stage != "fuse" else ""
            notes.append(
                f"{stage} is extended from {before.epochs} to {after.epochs} epochs{restart}; its learning rate "
                "continues on the longer schedule, so the result differs from that of one run of this length"
            )
    return notes


def _discard_results(folder: Path, stage: str) -> None:
    """Remove everything derived from the finished stage, but not its states; evaluations move to ``before``."""
    if stage != "fuse":
        shutil.rmtree(folder / "branches" / stage, ignore_errors=True)
        shutil.rmtree(folder / "state" / "fuse", ignore_errors=True)  # it started from the old branch
        _remove_epochs(folder / "metrics.jsonl", "fuse")
    shutil.rmtree(folder / "model", ignore_errors=True)
    (folder / "validation.json").unlink(missing_ok=True)
    for name in _EVALUATION_FILES:
        if (folder / name).is_file():
            (folder / "before").mkdir(exist_ok=True)
            (folder / name).replace(folder / "before" / name)


def _remove_epochs(log: Path, stage: str) -> None:
    """Remove the epochs of a stage from a log."""
    if log.is_file():
        lines = log.read_text("utf-8").splitlines(keepends=True)
        write_atomically(log, "".join(line for line in lines if f'"stage": "{stage}"' not in line))


def _differing(one: Any, other: Any, path: str = "") -> list[str]:
    """Paths of the values in which two nested dictionaries differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [path]
    found = []
    for key in dict.fromkeys([*one, *other]):
        found += _differing(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    return found
