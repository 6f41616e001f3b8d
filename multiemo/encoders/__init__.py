"""Encoders, one folder per modality. Importing the package registers their names; modules are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiemo.encoders.recipes import RECIPES
from multiemo.lazy import lazy_names
from multiemo.registry import encoders

if TYPE_CHECKING:
    from multiemo.encoders.base import Encoder

__all__ = ["Encoder"]

#: {module of this package: {name that it registers: the modality it reads; ``None`` for any}}
_MODULES: dict[str, dict[str, str | None]] = {
    "face.face_timm": {"face_timm": "face"},
    "face.face_prompted": {"face_prompted": "face"},
    "face.face_rules": {"face_rules": "face", "face_rules_landmarks": "face"},
    "features.features": {"features": None},
    "speech.speech_prosody": {"speech_prosody": "speech"},
    "speech.speech_pretrained": {"speech_pretrained": "speech"},
    "speech.speech_prompted": {"speech_prompted": "speech"},
    "speech.speech_rules": {"speech_rules": "speech"},
    "text.text_transformer": {"text_transformer": "text"},
    "text.text_pretrained": {"text_pretrained": "text"},
    "text.text_prompted": {"text_prompted": "text"},
    "text.text_rules": {"text_rules": "text"},
}
for _module, _names in _MODULES.items():
    for _name, _modality in _names.items():
        encoders.announce(_name, f"{__name__}.{_module}", modality=_modality)
for _name, _recipes in RECIPES.items():
    encoders.recommend(_name, _recipes)

__getattr__ = lazy_names(__name__, {"Encoder": "multiemo.encoders.base"})
