"""The parts of a model, as a config names them: encoders, fusion, and the model of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multiemo import encoders as _announce_encoders  # noqa: F401
from multiemo import fusion as _register_fusions  # noqa: F401
from multiemo.config import Config
from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError, MultiemoError
from multiemo.fusion.base import Fusion
from multiemo.inputs import Input, kind_named
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions, suggest
from multiemo.types import Modality


def build_encoder(
    config: Config, modality: Modality, *, feature_dim: int | None = None, assets: Path | None = None
) -> Encoder:
    """The encoder that the config names for one modality.

    Args:
        feature_dim: columns of the data, for the ``features`` encoder.
        assets: folder of a checkpoint; a pretrained encoder then takes its architecture from there, not from a hub.

    Raises:
        ConfigError: unknown encoder, wrong modality, unknown option or value.
    """
    part = config.encoders[modality]
    where = f"encoders.{modality}"
    reads = encoders.facts(part.name)["modality"] if part.name in encoders else modality
    if reads not in (modality, None):
        fitting = encoders.names(modality=modality) + encoders.names(modality=None)
        raise ConfigError(f"{where}.name: {part.name!r} reads {reads}, not {modality}{suggest('', fitting)}")
    given: dict[str, Any] = {"modality": modality, "assets": assets}
    if feature_dim is not None:
        given["dim"] = feature_dim
    try:
        encoder: Encoder = encoders.build(part.name, part.options, where=where, **given)
    except MultiemoError:
        raise
    except (ValueError, TypeError, AssertionError, RuntimeError, ArithmeticError) as error:
        raise ConfigError(f"{where}: {part.name!r} cannot be built with these options: {error}") from error
    return encoder


def uses_features(config: Config, modality: Modality) -> bool:
    """Whether the encoder of a modality reads precomputed features."""
    return config.encoders[modality].name == "features"


def input_kind(config: Config, modality: Modality) -> type[Input]:
    """The kind of input that the encoder of a modality reads, known before it is built."""
    name = config.encoders[modality].name
    own = getattr(encoders.get(name, where=f"encoders.{modality}"), "input_kind", None)
    return kind_named(own or modality)


def build_fusion(config: Config, encoders_: Mapping[Modality, Encoder]) -> Fusion:
    """The fusion that the config names over these encoders.

    Raises:
        ConfigError: unknown fusion or option.
    """
    classes = len(config.columns)
    level = getattr(fusions.get(config.fusion.name, where="fusion"), "level", "embedding")
    dims = {m: classes if level == "decision" else e.out_dim for m, e in encoders_.items()}
    try:
        fusion: Fusion = fusions.build(config.fusion.name, config.fusion.options, where="fusion", dims=dims)
    except (ValueError, AssertionError) as error:
        raise ConfigError(f"fusion: {config.fusion.name!r} cannot be built with these options: {error}") from None
    return fusion


def assemble(config: Config, parts: Mapping[Modality, Encoder], *, fused: bool, **learnt: Any) -> EmotionModel:
    """Encoders, fusion and heads as one model; ``learnt`` are the priors and means that it takes."""
    return EmotionModel(
        parts,
        len(config.columns),
        fusion=build_fusion(config, parts) if fused else None,
        task=config.task,
        dimensions=config.dimensions,
        **learnt,
    )
