"""Evidence inside one modality, one module per kind of input.

Importing the package registers the names of the kinds. The module of a kind is imported when it is explained. A kind
without a module is explained by its time steps (``steps``).
"""

from multiemo.registry import evidence

#: {module of this package: the kinds of input that it explains}
_MODULES: dict[str, tuple[str, ...]] = {
    "face": ("face",),
    "features": ("features",),
    "speech": ("speech", "waveform"),
    "text": ("text",),
}
for _module, _names in _MODULES.items():
    for _name in _names:
        evidence.announce(_name, f"{__name__}.{_module}")
