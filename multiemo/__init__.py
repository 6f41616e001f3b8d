"""multiemo: emotion recognition from text, voice and face, fused late and measured honestly.

Importing the package loads no torch; the public names below are fetched when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiemo.build import train
    from multiemo.predict import Predictor, evaluate, load, stream

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "evaluate", "load", "stream", "train"]

_LAZY = {
    "load": ("multiemo.predict", "load"),
    "Predictor": ("multiemo.predict", "Predictor"),
    "train": ("multiemo.build", "train"),
    "evaluate": ("multiemo.predict", "evaluate"),
    "stream": ("multiemo.predict", "stream"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'multiemo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
