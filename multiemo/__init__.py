"""multiemo: emotion recognition from text, voice and face, fused late and measured honestly.

Importing the package loads no torch; the public names below are fetched when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiemo.lazy import lazy_names
from multiemo.network import apply as _apply_network_settings
from multiemo.version import __version__

if TYPE_CHECKING:
    from multiemo.config import Config, load_config
    from multiemo.predict import Predictor, evaluate, load, stream
    from multiemo.progress import Progress
    from multiemo.report.trained import train

_apply_network_settings()

__all__ = [
    "Config",
    "Predictor",
    "Progress",
    "__version__",
    "evaluate",
    "load",
    "load_config",
    "stream",
    "train",
]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("Config", "load_config"), "multiemo.config"),
        "load": "multiemo.predict",
        "Predictor": "multiemo.predict",
        "train": "multiemo.report.trained",
        "Progress": "multiemo.progress",
        "evaluate": "multiemo.predict",
        "stream": "multiemo.predict",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
