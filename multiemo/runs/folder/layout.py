"""A run folder: whether it is free, what has been trained in it, and with which config it may go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, TypeAlias

from multiemo.config import Config, load_stored, save_config
from multiemo.errors import CheckpointError
from multiemo.files import write_atomically

#: What ``evaluate`` writes of the model as it is.
_MEASURED = ("evaluation.json", "predictions.jsonl", "report.html")
#: Keys of ``training`` that may grow when a run goes on.
_LENGTH = ("epochs", "patience")


#: A config as plain JSON values.
Settings: TypeAlias = dict[str, Any]


def begun(folder: Path) -> bool:
    """Whether anything has been trained in a folder; one in which a start only failed is still free."""
    traces = ("state/*/step-*.safetensors", "branches/*/config.json", "model/config.json")
    return any(next(folder.glob(trace), None) is not None for trace in traces)


def experiment(config: Config, *, length: bool = False) -> Settings:
    """What a config trains, less where its manifests and cache lie and how many workers read.

    What the manifests hold is compared by their splits.

    Args:
        config: any.
        length: also for how long at most.
    """
    values: Settings = config.model_dump(mode="json")
    data = values["data"]
    for source in (data, *data["sources"].values()):
        source["manifest"] = None
    data |= {"cache": None, "workers": 0}
    for settings in (values["training"], *values["per_stage"].values()):
        for key in () if length else _LENGTH:
            settings.pop(key, None)
    values["per_stage"] = {stage: keys for stage, keys in values["per_stage"].items() if keys}
    return values


def identity(config: Config) -> str:
    """Digest of :func:`experiment`, which a resumable state keeps."""
    return hashlib.sha256(json.dumps(experiment(config), sort_keys=True).encode()).hexdigest()


def differing(one: Config, other: Config, *, length: bool = False) -> list[str]:
    """Paths of the keys by which two configs are not one experiment; with ``length``, nor one of the same length.

    Args:
        one, other: configs.
        length: also compare for how long they train.
    """
    return _differing(experiment(one, length=length), experiment(other, length=length))


def open_run_folder(folder: Path, config: Config, *, resume: bool) -> list[str]:
    """Make a folder ready for a run, or for going on with the one in it, perhaps for more epochs than before.

    Args:
        folder: is there.
        config: of the run.
        resume: go on; where nothing has been trained yet, that is to begin.

    Returns:
        What a reader should know.

    Raises:
        CheckpointError: it holds a run that is not to be resumed, or one of another config.
    """
    stored = folder / "config.yaml"
    if not begun(folder):  # a start that failed may be made again, with other keys too
        for name in ("splits.json", "metrics.jsonl"):
            (folder / name).unlink(missing_ok=True)
        save_config(config, stored)
        return []
    if not resume:
        raise CheckpointError(f"{folder}: holds a run already; add --resume or choose another --out")
    known = load_stored(stored)
    others = differing(known, config)
    if others:
        raise CheckpointError(
            f"{stored}: the run was started with another config ({', '.join(others)}); resume with that one, of which "
            "only epochs and patience may grow, or choose another --out"
        )
    notes = _lengthen(folder, known, config)
    save_config(config, stored)
    return notes


def _lengthen(folder: Path, known: Config, config: Config) -> list[str]:
    """Take back what ends a run, where a stage is to have more epochs, or more patience, than it had."""
    notes: list[str] = []
    for stage in (s for s in config.stages if s not in config.taken_over):
        before, after = known.training_of(stage), config.training_of(stage)
        for key in _LENGTH:
            if getattr(after, key) < getattr(before, key):
                raise CheckpointError(
                    f"{folder}: {stage} was started with {key} {getattr(before, key)}, and {getattr(after, key)} is "
                    "fewer; a run can only be made longer, so choose another --out"
                )
        if (before.epochs, before.patience) == (after.epochs, after.patience):
            continue
        ended = folder / ("model" if stage == "fuse" else f"branches/{stage}")
        if (ended / "config.json").is_file() and next((folder / "state" / stage).glob("step-*"), None) is None:
            raise CheckpointError(
                f"{folder / 'state' / stage}: holds no state to go on from, so {stage} cannot have more epochs; train "
                "anew in another --out"
            )
        _take_back(folder, stage)
        if before.epochs != after.epochs:
            anew = ", and fuse begins anew from it" if config.fused and stage != "fuse" else ""
            notes.append(
                f"{stage} is made longer, from {before.epochs} to {after.epochs} epochs{anew}; its learning rate "
                "follows the longer schedule from where it is, which is not what a run of that length does"
            )
    return notes


def _take_back(folder: Path, stage: str) -> None:
    """Remove what was made from the end of a stage; its states stay."""
    if stage != "fuse":
        shutil.rmtree(folder / "branches" / stage, ignore_errors=True)
        shutil.rmtree(folder / "state" / "fuse", ignore_errors=True)  # it began from the branch as it was
        _forget(folder / "metrics.jsonl", "fuse")
    shutil.rmtree(folder / "model", ignore_errors=True)
    (folder / "validation.json").unlink(missing_ok=True)
    for name in _MEASURED:
        if (folder / name).is_file():
            (folder / "before").mkdir(exist_ok=True)
            (folder / name).replace(folder / "before" / name)


def _forget(log: Path, stage: str) -> None:
    """Take the epochs of a stage out of a log."""
    if log.is_file():
        lines = log.read_text("utf-8").splitlines(keepends=True)
        write_atomically(log, "".join(line for line in lines if f'"stage": "{stage}"' not in line))


def _differing(one: Any, other: Any, path: str = "") -> list[str]:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [path]
    found = []
    for key in dict.fromkeys([*one, *other]):
        found += _differing(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    return found
