"""Language models that answer prompts: found by name, verified by their digests, never trained and never copied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from multiemo.encoders.common.pretrained import quiet, resolve_model
from multiemo.encoders.common.prompts import Prompt
from multiemo.errors import CheckpointError, ConfigError, first_line
from multiemo.files import parse_json, write_atomically

#: File of a model folder with the prompt and the digests of the language model.
STORED = "prompt.json"
#: Folder beside it in which a copy of the language model may lie.
COPY = "language_model"
#: Files that the answers depend on, besides the weights.
_FILES = (
    *("config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "preprocessor_config.json"),
    *("processor_config.json", "video_preprocessor_config.json", "chat_template.jinja", "chat_template.json"),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a model folder keeps of a language model.

    Args:
        labels: labels that the prompt asks for.
        prompt: the prompt.
        folder: where the language model was found; it is looked for there first.
        files: {file of the language model: its SHA-256}.
    """

    labels: tuple[str, ...]
    prompt: Prompt
    folder: str
    files: Mapping[str, str]

    @classmethod
    def read(cls, assets: Path) -> Stored:
        """Read what :meth:`write` wrote.

        Raises:
            CheckpointError: the file is missing or damaged.
        """
        path = assets / STORED
        try:
            values = parse_json(path.read_text("utf-8"))
            prompt = Prompt.from_json(values["prompt"])
            return cls(tuple(values["labels"]), prompt, str(values["folder"]), dict(values["files"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: no usable record of the prompt ({first_line(error)}); copy the model folder again"
            ) from None

    @property
    def digest(self) -> str:
        """SHA-256 of the prompt and the language model, in hexadecimal."""
        return hashlib.sha256(json.dumps([self.prompt.digest, self.files], sort_keys=True).encode()).hexdigest()

    def write(self, assets: Path) -> None:
        """Write the record to the modality folder of a saved model."""
        values = {"labels": self.labels, "prompt": asdict(self.prompt), "sha256": self.prompt.digest}
        assets.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**values, "folder": self.folder, "files": self.files}, indent=2, ensure_ascii=False)
        write_atomically(assets / STORED, text + "\n")


def file_digests(folder: Path) -> dict[str, str]:
    """{file: SHA-256} of everything in a language model's folder that its answers depend on."""
    names = [*sorted(path.name for path in folder.glob("*.safetensors")), *_FILES]
    found = [(folder / name).resolve() for name in names]
    return {
        name: _digest(str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for name, path in zip(names, found, strict=True)
        if path.is_file()
    }


@lru_cache(maxsize=256)
def _digest(path: str, _size: int, _changed: int) -> str:
    """SHA-256 of a file; computed once per process as long as its size and time stay the same."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def find_folder(name: str, where: str, assets: Path | None) -> Path:
    """The folder of a language model.

    For a saved model it is the copy in its folder, or the folder recorded there, if either exists.

    Args:
        name: as in :func:`~multiemo.encoders.common.pretrained.resolve_model`.
        where: config key that holds the name, for messages.
        assets: modality folder of a saved model.

    Raises:
        ConfigError: there is no such model.
    """
    if assets is not None and (assets / COPY / "config.json").is_file():
        return assets / COPY
    if assets is not None and (Path(folder := Stored.read(assets).folder) / "config.json").is_file():
        return Path(folder)
    return Path(resolve_model(name, where))


def record_of(
    folder: Path, assets: Path | None, labels: Sequence[str], render: Callable[[], Prompt], what: str
) -> Stored:
    """The record of a new branch, or the verified one of a saved model.

    Args:
        folder: folder of the language model.
        assets: modality folder of a saved model; ``None`` for a new branch.
        labels: labels of the config.
        render: makes the prompt of a new branch.
        what: config key and name of the language model, for messages.

    Raises:
        CheckpointError: the saved model has another language model, or other labels.
    """
    found = file_digests(folder)
    if assets is None:
        return Stored(tuple(labels), render(), str(folder.absolute()), found)
    stored = Stored.read(assets)
    if stored.labels != tuple(labels):
        raise CheckpointError(
            f"{assets / STORED}: its prompt asks for other labels than {', '.join(labels)}; train again"
        )
    for name, digest in stored.files.items():
        if found.get(name) != digest:
            state = "differs" if name in found else "is missing"
            raise CheckpointError(
                f"{what}: {folder / name} {state}, so it is not the model that this checkpoint was made with (SHA-256 "
                f"{digest}); give that version, or train again"
            )
    return stored


def model_class(folder: Path, names: Sequence[str], what: str, instead: str) -> tuple[Any, Any]:
    """Find the class of the library that builds a language model.

    Args:
        folder: folder of the model.
        names: automatic classes of the library that are possible.
        what: config key and name of the model, for messages.
        instead: what is wrong with a model that none of them builds, and which one to name.

    Returns:
        The class, and the configuration to build the model from. Of a model that also speaks (Qwen2.5-Omni), it is that
        of the part that answers with text.

    Raises:
        ConfigError: none of the classes builds the model.
    """
    import transformers

    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ConfigError(f"{what} has no usable config.json: {first_line(error)}") from None
    kind = config.model_type
    config = getattr(config, "thinker_config", config)
    for name in names:
        auto = getattr(transformers, name)
        if type(config) in auto._model_mapping:
            return auto, config
    raise ConfigError(f"{what} is a {kind!r} model, {instead}")


def load_language_model(auto: Any, config: Any, folder: Path, what: str) -> Any:
    """Load a language model for inference, with its weights in the stored precision.

    Args:
        auto: class of the library that builds it, from :func:`model_class`.
        config: its configuration.
        folder: folder of the model.
        what: config key and name of the model, for messages.

    Raises:
        ConfigError: it is not a causal language model, lacks weights, or cannot be loaded.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would interfere with ours
    try:
        with quiet():
            model, report = auto.from_pretrained(
                str(folder),
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype="auto",
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        raise ConfigError(f"{what} does not load as a language model: {first_line(error)}") from None
    if getattr(model.config, "is_encoder_decoder", False):
        raise ConfigError(f"{what} has an encoder and a decoder; name a causal language model")
    if missing := sorted(report["missing_keys"]):
        raise ConfigError(
            f"{what} lacks the weights of {len(missing)} parameters, such as {missing[0]!r}, which would be random; "
            "name a complete language model"
        )
    return model.eval().requires_grad_(False)


def place(model: Any, device: torch.device) -> None:
    """Move a language model to a device, and its weights to the precision of the current autocast context.

    Buffers keep their precision, because rotary positions need it.

    Args:
        model: the language model.
        device: device of the next inputs.
    """
    autocast = torch.is_autocast_enabled(device.type)
    dtype = torch.get_autocast_dtype(device.type) if autocast else torch.float32
    first = next(model.parameters())
    if first.device == device and first.dtype == dtype:
        return
    model.to(device)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
