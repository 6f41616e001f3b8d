"""Sources of pretrained models: a folder, an installed package, or the hub. Only safetensors are read, never code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging

from multiemo import network
from multiemo.errors import ConfigError
from multiemo.extras import install_command

_FILE_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "README.md"]
_NESTED = ["*/*"]  # other formats of the same weights
_PACKAGE = "package:"


def offline() -> bool:
    """Whether hub models may not be downloaded: ``--offline``, ``MULTIEMO_OFFLINE``, or a hub client's variable."""
    return network.offline() or any(map(network.is_set, ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")))


def resolve_model(name: str, where: str, *, local_only: bool = False) -> str:
    """Find or download a pretrained model in the transformers format (``config.json`` and safetensors weights).

    Args:
        name: a folder; ``package:NAME``, an installed Python package that contains a model folder; or the name of a hub
            model (``org/model``), which is read from the local cache or downloaded once unless :func:`offline`.
        where: config key that holds the name, for messages.
        local_only: never download, as if :func:`offline`.

    Returns:
        The local folder of the model.

    Raises:
        ConfigError: the model does not exist, has no safetensors weights, or the hub cannot be reached.
    """
    logging.disable_progress_bar()  # the library's bar for loading weights would interfere with ours
    if name.startswith(_PACKAGE):
        return _in_package(name.removeprefix(_PACKAGE), name, where)
    folder = Path(name).expanduser()
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")):
        _require_model(folder, f"{where}: {name!r}")
        return str(folder)
    return _from_hub(name, where, local_only or offline())


def _require_model(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise ConfigError(
            f"{what} is not a folder; give the folder of a transformers model, or the name of a hub model"
        )
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{what} is not a model folder: it has no config.json; save one with model.save_pretrained()")
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"{what} has no *.safetensors weights (pickled ones are not read); "
            "save them again with model.save_pretrained()"
        )


def _in_package(package: str, name: str, where: str) -> str:
    try:
        root = Path(str(files(package)))
    except (ModuleNotFoundError, ValueError, TypeError):
        raise ConfigError(
            f"{where}: {name!r}: no Python package {package!r} is installed; {install_command(package)}"
        ) from None
    found = [c.parent for c in sorted(root.rglob("config.json")) if any(c.parent.glob("*.safetensors"))]
    if not found:
        raise ConfigError(
            f"{where}: {name!r}: the package {package!r} contains no folder with config.json and safetensors weights"
        )
    return str(found[0])


def _from_hub(name: str, where: str, local_only: bool) -> str:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    instead = "give the folder of a downloaded copy instead"
    try:
        cached = snapshot_download(name, local_files_only=True, allow_patterns=_FILE_PATTERNS, ignore_patterns=_NESTED)
        if any(Path(cached).glob("*.safetensors")) and (Path(cached) / "config.json").is_file():
            return cached
    except HFValidationError:
        raise ConfigError(
            f"{where}: {name!r} is neither a folder nor a hub name of the form 'org/model'; correct it"
        ) from None
    except LocalEntryNotFoundError:
        pass
    if local_only:
        raise ConfigError(f"{where}: {name!r} is not in the local model cache and this run is offline; {instead}")
    try:
        # One request without retries first, so that a wrong name or a missing network is reported at once.
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=10)
        found = snapshot_download(name, allow_patterns=_FILE_PATTERNS, ignore_patterns=_NESTED)
    except GatedRepoError:
        raise ConfigError(
            f"{where}: {name!r} is gated on the hub; accept its terms there and log in, or {instead}"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise ConfigError(
            f"{where}: the hub offers no model {name!r} to you (HTTP {status}); check the name, or {instead}"
        ) from None
    except Exception as error:  # the network library of the hub client, and so its errors, differ by version
        raise ConfigError(
            f"{where}: the hub cannot be reached for {name!r} ({type(error).__name__}); check the network, or {instead}"
        ) from None
    _require_model(Path(found), f"{where}: {name!r}")
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the library's warnings."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def load_weights(
    auto: Any,
    folder: str,
    config: Any,
    what: str,
    *,
    used: Callable[[Any], nn.Module] = lambda built: built,
    unread: tuple[str, ...] = (),
) -> Any:
    """Load a model with the weights of a folder, in float32.

    Args:
        auto: class of the library that builds the model.
        folder: folder of the model.
        config: configuration of the model.
        what: description of the model, for messages.
        used: returns the part of the model that is used; weights of the rest may be missing.
        unread: beginnings of the names of parameters of that part that may be missing.

    Raises:
        ConfigError: weights are missing.
    """
    with quiet():  # the library reports unused weights, such as those of a decoder
        built, report = auto.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    weights = built.state_dict(keep_vars=True)
    lacking = {id(weights[name]) for name in report["missing_keys"] if name in weights}
    names = [name for name, weight in used(built).state_dict(keep_vars=True).items() if id(weight) in lacking]
    missing = sorted(name for name in names if not name.startswith(unread))
    if missing:
        raise ConfigError(
            f"{what} lacks the weights of {len(missing)} parameters of its layers, such as {missing[0]!r}; "
            "they would be random: save the whole model with model.save_pretrained()"
        )
    return built
