"""Sections of the model card about use: licences, intended use, and the law."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from multiemo.data.corpora.licences import terms_of
from multiemo.errors import MultiemoError
from multiemo.report.tables import markdown

_NOT_STATED = "not stated in the model's folder"

INTENDED_USE = [
    "Research on how emotions are expressed in words, voice and face, and summaries over many clips that a person",
    "checks. Labels are what raters or actors attributed to a clip, not what its speaker felt. Do not use them to",
    "decide about a person (employment, education, credit, policing, health), or on people who have not agreed to it.",
]
LAW = [
    "In the European Union, the AI Act (Regulation (EU) 2024/1689) prohibits AI systems that infer emotions of people",
    "at work and in education, except for medical or safety reasons (Article 5(1)(f)). Elsewhere, people who are",
    "exposed to an emotion recognition system must be told (Article 50(3)), and data protection law applies to their",
    "recordings and to predictions about them. The Act defines such systems by biometric data, such as voices and",
    "faces (Article 3(39)). Other countries have other rules. This is a notice, not legal advice.",
]


def licences(corpora: Iterable[str], encoders: dict[str, dict[str, Any]]) -> list[str]:
    """The licences of the data and of the pretrained weights.

    Args:
        corpora: corpora of the training clips; empty if unknown.
        encoders: {modality: settings of its encoder}.
    """
    rows = [["corpus", "terms"], *([name, terms_of(name)] for name in sorted(set(corpora)))]
    lines = markdown(rows) if len(rows) > 1 else ["The corpora are not known; see the terms of the data."]
    weights = [["modality", "pretrained weights", "licence"]]
    weights += map(list, _pretrained(encoders))
    lines += ["", *markdown(weights)] if len(weights) > 1 else ["", "No pretrained weights were used."]
    return [*lines, "", "Weights that were trained on data may not be used more freely than its terms allow."]


def _pretrained(encoders: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Modality, source and licence of the pretrained weights of each encoder that has any."""
    for m, settings in encoders.items():
        model, checkpoint = settings.get("model"), settings.get("checkpoint")
        if settings.get("pretrained"):
            yield m, str(settings["backbone"]), _timm_licence(str(settings["backbone"]))
        elif isinstance(model, str):
            is_name = model.startswith("package:") or (model.count("/") == 1 and not Path(model).exists())
            yield m, model if is_name else Path(model).name, _licence(model)
        elif checkpoint is not None:
            yield m, Path(str(checkpoint)).name, _NOT_STATED


def _licence(name: str) -> str:
    """The licence that the front matter of a model's README states, if there is a copy on this machine."""
    from multiemo.encoders.common.pretrained import resolve_model

    try:
        readme = Path(resolve_model(name, "card", local_only=True)) / "README.md"
        return str(yaml.safe_load(readme.read_text("utf-8").split("---\n")[1])["license"])
    except (MultiemoError, OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return _NOT_STATED


def _timm_licence(backbone: str) -> str:
    """The licence that timm records for its published weights."""
    import timm

    found = timm.get_pretrained_cfg(backbone)
    return str(getattr(found, "license", None) or _NOT_STATED)
