"""Builds the encoders and the fusion that a config names, and assembles the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multiemo import encoders as _announce_encoders  # noqa: F401
from multiemo import fusion as _register_fusions  # noqa: F401
from multiemo.config import Config
from multiemo.encoders.base import Encoder
from multiemo.encoders.common.channel_norm import replace_batch_norm
from multiemo.encoders.common.input_statistics import statistics_of
from multiemo.encoders.common.reliability import InputReliability
from multiemo.errors import ConfigError, MultiemoError
from multiemo.fusion.base import Fusion
from multiemo.inputs import Input, kind_named
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions, suggest
from multiemo.types import DIMENSIONS, InputSpec, Modality


def build_encoder(
    config: Config,
    modality: Modality,
    *,
    feature_dim: int | None = None,
    columns: tuple[str, ...] = (),
    assets: Path | None = None,
) -> Encoder:
    """Build the encoder that the config names for one modality.

    Args:
        config: resolved config.
        modality: modality of the encoder.
        feature_dim: number of feature columns in the data, for the ``features`` encoder.
        columns: their names; empty if the data do not name them.
        assets: modality folder of a saved model; a pretrained encoder reads its architecture from it, not from a hub.

    Raises:
        ConfigError: unknown encoder, wrong modality, unknown option or value.
    """
    part = config.encoders[modality]
    where = f"encoders.{modality}"
    reads = encoders.facts(part.name)["modality"] if part.name in encoders else modality
    if reads not in (modality, None):
        fitting = encoders.names(modality=modality) + encoders.names(modality=None)
        raise ConfigError(f"{where}.name: {part.name!r} reads {reads}, not {modality}{suggest('', fitting)}")
    given: dict[str, Any] = {"modality": modality, "assets": assets, "labels": config.columns, "task": config.task}
    if feature_dim is not None:
        given |= {"dim": feature_dim, "columns": columns}
    try:
        encoder: Encoder = encoders.build(part.name, part.options, where=where, **given)
    except MultiemoError:
        raise
    except (ValueError, TypeError, AssertionError, RuntimeError, ArithmeticError) as error:
        raise ConfigError(f"{where}: {part.name!r} cannot be built with these options: {error}") from error
    if config.privacy is not None:
        _remove_batch_norm(encoder, where)
    return encoder


def _remove_batch_norm(encoder: Encoder, where: str) -> None:
    """Replace batch normalisation, whose statistics would pass on clips without noise.

    Args:
        encoder: new encoder.
        where: config key of the encoder, for the message.

    Raises:
        ConfigError: a pretrained part has batch normalisation that training would update.
    """
    encoder.train()
    trained = {n for n, _ in encoder.named_parameters()} - (encoder.untrained or set())
    replaced = replace_batch_norm(encoder)
    pretrained = [n for n in replaced if encoder.untrained is not None and f"{n}.weight" in trained]
    if pretrained:
        raise ConfigError(
            f"{where}: {pretrained[0]} is a pretrained batch normalisation, which cannot be trained with privacy; "
            "freeze it, choose a backbone without one, or train from scratch"
        )


def uses_features(config: Config, modality: Modality) -> bool:
    """Whether the encoder of ``modality`` reads precomputed features."""
    return input_kind(config, modality) is kind_named("features")


def input_kind(config: Config, modality: Modality) -> type[Input]:
    """The input class that the encoder of a modality reads; does not build the encoder."""
    name = config.encoders[modality].name
    own = getattr(encoders.get(name, where=f"encoders.{modality}"), "input_kind", None)
    return kind_named(own or modality)


def build_fusion(config: Config, encoders_: Mapping[Modality, Encoder]) -> Fusion:
    """Build the fusion that the config names.

    Args:
        config: resolved config.
        encoders_: {modality: encoder}, whose embeddings it fuses.

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


def build_reliability(specs: Mapping[Modality, InputSpec]) -> dict[Modality, InputReliability]:
    """The reliability, not yet fitted, of each modality whose kind of input has statistics.

    Args:
        specs: {modality: specification of its input}.
    """
    found = {m: statistics_of(spec) for m, spec in specs.items()}
    return {m: InputReliability(statistics) for m, statistics in found.items() if statistics is not None}


def assemble(
    config: Config,
    parts: Mapping[Modality, Encoder],
    *,
    fused: bool,
    specs: Mapping[Modality, InputSpec] | None = None,
    **learnt: Any,
) -> EmotionModel:
    """Assemble encoders, fusion and heads into a model.

    Args:
        config: resolved config.
        parts: {modality: encoder}.
        fused: add the fusion; without it the model is a single branch.
        specs: {modality: specification of its input}, if the encoders are not built yet; theirs by default.
        learnt: priors and means of the training data, passed on to :class:`EmotionModel`.
    """
    heads = {m: head for m, part in parts.items() if (head := part.fixed_head(config.columns)) is not None}
    only = None if fused else next(iter(parts.values()))
    reliability = {}
    if fused and config.reliability:
        reliability = build_reliability(specs or {m: part.input_spec for m, part in parts.items()})
    return EmotionModel(
        parts,
        len(config.columns),
        fusion=build_fusion(config, parts) if fused else None,
        task=config.task,
        dimensions=config.dimensions,
        heads=heads,
        dimension_head=only.fixed_head(DIMENSIONS) if only is not None and config.dimensions else None,
        reliability=reliability,
        **learnt,
    )
