"""Resumable training state in one safetensors file: tensors, and JSON in its header. No pickle.

A file is written under a temporary name, flushed to disk and renamed, so a crash leaves either the old file or the new.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor

from multiemo.encryption import current_key, is_sealed, read_sealed, write_sealed
from multiemo.errors import CheckpointError
from multiemo.files import draft, parse_json

#: JSON values stored beside the tensors of a file; their meaning is defined by the writer.
Facts: TypeAlias = dict[str, Any]
#: {name: value} of one parameter group of an optimiser, such as ``lr``.
GroupSettings: TypeAlias = dict[str, object]


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, object], *, plain: bool = False
) -> None:
    """Write tensors and JSON facts to one file, atomically.

    Args:
        path: file to write.
        tensors: {name: tensor}, on any device.
        facts: JSON values stored beside them.
        plain: do not encrypt the file even if there is a key, as other programs read it.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
    """
    # Cloned because safetensors rejects tensors that share storage.
    stored = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    metadata = {"facts": json.dumps(facts)}
    if not plain and current_key() is not None:
        write_sealed(path, save(stored, metadata))
        return
    with draft(path, size=sum(v.nbytes for v in stored.values())) as made:
        save_file(stored, made, metadata=metadata)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Facts]:
    """The inverse of :func:`save_tensors`.

    Raises:
        CheckpointError: the file is missing or not a safetensors file; or it is encrypted and cannot be decrypted.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with path.open("rb") as start:
            sealed = is_sealed(start.read(64))
        if sealed:
            content = read_sealed(path)  # only in memory
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            return load(content), json.loads(header.get("__metadata__", {}).get("facts", "{}"))
        with safe_open(path, framework="pt") as file:
            facts = parse_json((file.metadata() or {}).get("facts", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, facts  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from None


def pack(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Prefix the names of a state, so that several states fit in one file."""
    return {f"{prefix}/{k}": v for k, v in state.items()}


def unpack(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`pack`."""
    return {k.removeprefix(prefix + "/"): v for k, v in tensors.items() if k.startswith(prefix + "/")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments as ``{parameter number/name: tensor}``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}/{name}": torch.as_tensor(value) for i, slot in state.items() for name, value in slot.items()}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[GroupSettings]
) -> None:
    """Restore moments and group settings (learning rates); moments of sharded parameters are sharded likewise.

    Args:
        optimizer: optimiser built for the same parameters.
        tensors: result of :func:`optimizer_tensors`.
        groups: result of :func:`optimizer_groups`.
    """
    from multiemo.training.parallel import sharded_like  # imports accelerate and FSDP, not needed to load a model

    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        model = parameters[int(number)]
        slots.setdefault(int(number), {})[name] = value if name == "step" else sharded_like(value, model)
    state = optimizer.state_dict()
    for present, saved in zip(state["param_groups"], groups, strict=True):
        present.update({k: v for k, v in saved.items() if k != "params"})
    optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})


def optimizer_groups(optimizer: torch.optim.Optimizer) -> list[GroupSettings]:
    """The settings of every parameter group that can be stored as JSON."""
    plain = (bool, int, float, str, type(None), list, tuple)
    return [
        {k: v for k, v in group.items() if k != "params" and isinstance(v, plain)} for group in optimizer.param_groups
    ]
