"""Kinds of input. Each module holds one: where a clip stores it, what is decoded for it, how it becomes a tensor.

Importing the package registers the names of the kinds. The module of a kind is imported when a model reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiemo.lazy import lazy_names
from multiemo.registry import inputs

if TYPE_CHECKING:
    from multiemo.inputs.base import Input
    from multiemo.inputs.kinds import build_input, kind_named, spec_from_dict

__all__ = ["Input", "build_input", "kind_named", "spec_from_dict"]

#: {module of this package: the kinds that it registers}
_MODULES: dict[str, tuple[str, ...]] = {
    "face": ("face",),
    "features": ("features",),
    "sound": ("speech", "waveform"),
    "text": ("text",),
    "text_rules": ("text_rules",),
}
for _module, _names in _MODULES.items():
    for _name in _names:
        inputs.announce(_name, f"{__name__}.{_module}")

__getattr__ = lazy_names(
    __name__,
    {
        "Input": "multiemo.inputs.base",
        **dict.fromkeys(("build_input", "kind_named", "spec_from_dict"), "multiemo.inputs.kinds"),
    },
)
