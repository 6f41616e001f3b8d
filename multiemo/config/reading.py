"""Reads configs from YAML with dotted overrides, and writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from multiemo.config.effect import idle, strange
from multiemo.config.recommended import BY_MODALITY
from multiemo.config.schema import Config
from multiemo.config.strict_yaml import read_yaml
from multiemo.errors import ConfigError
from multiemo.files import write_atomically

#: Numbers such as 1e-3, which YAML 1.1 reads as text.
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")


def parse_config(values: Mapping[str, Any]) -> Config:
    """The config of plain values.

    Raises:
        ConfigError: a key or value is wrong, or a key has no effect; the message names the key, the value and the
            remedy.
    """
    config = _resolve(values)
    _reject(_without_effect(config, values))
    return config


def stored_config(values: Mapping[str, Any]) -> Config:
    """The config stored by an earlier run; keys without effect are accepted, and no recipe is filled in.

    Raises:
        ConfigError: a key or value is wrong.
    """
    return _config({"recipes": {}, **values})


def _resolve(values: Mapping[str, Any]) -> Config:
    """The config of values that a user gives, with the recipes of its encoders unless it is complete.

    Raises:
        ConfigError: a key or value is wrong.
    """
    if _complete(values):
        return stored_config(values)
    if values.get("recipes"):
        raise ConfigError(
            f"recipes: {values['recipes']!r}: this key is filled in from the encoders; set the keys of a stage under "
            "per_stage, or set recipes to {} to use none"
        )
    return _config(values)


def _complete(values: Mapping[str, Any]) -> bool:
    """Whether values are those of a resolved config, as :func:`save_config` writes it."""
    return values.keys() >= Config.model_fields.keys() - {"recipes"}  # versions before recipes wrote none


def _config(values: Mapping[str, Any]) -> Config:
    odd = [key for key in values if not isinstance(key, str)]
    if odd:
        raise ConfigError(f"{odd[0]!r}: unknown config key; keys are words")
    return Config(**values)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply ``key.path=value`` overrides (values are YAML too).

    A key without effect is an error. The exception is a key of the file that has no effect only because of the
    overrides: a file describes a whole experiment, of which ``stages=[speech]`` selects a part. A complete file, as
    :func:`save_config` writes it, was checked when it was written; only keys that name a modality without an encoder
    are rejected in it, since they must have been added by hand.

    Settings that the encoders recommend are filled in (``recipes``), except in a complete file. An override of a key of
    ``training`` also replaces the recommended value in a complete file.

    Args:
        path: YAML file.
        overrides: ``key.path=value`` each.

    Raises:
        ConfigError: the file is missing or not a mapping, or a key or value is wrong, is given twice, or has no effect.
    """
    values = _mapping(Path(path))
    own = deepcopy(values)
    applied = [_apply(values, override) for override in overrides]
    for override, (key, value) in zip(overrides, applied, strict=True):
        if repr(_value_at(values, key)) != repr(value):  # compared as text, since NaN is not equal to itself
            raise ConfigError(f"override {override!r}: is replaced by a later one; give {key} once")
    keys = [key for key, _ in applied]
    if _complete(own):
        _drop_overridden(values, keys)
    config = _resolve(values)
    _check_effect(config, own, keys)
    return config


def load_stored(path: Path) -> Config:
    """Read a file written by :func:`save_config`; raises like :func:`stored_config`."""
    return stored_config(_mapping(path))


def _mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    try:
        values = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: the file must hold a mapping of keys, found {type(values).__name__}")
    return values


def save_config(config: Config, path: Path) -> None:
    """Write the complete config with all defaults, atomically."""
    write_atomically(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _check_effect(config: Config, own: dict[str, Any], overridden: Sequence[str]) -> None:
    """Reject keys without effect: overridden keys, and keys of the file that have none without the overrides either.

    Args:
        config: the resolved config.
        own: values of the file.
        overridden: paths of the overridden keys.
    """
    found = idle(config)
    if not found:
        return
    if "data" not in own and config.data.manifest:
        own["data"] = {}
    if isinstance(own.get("data"), dict) and "sources" not in own["data"]:
        own["data"].setdefault("manifest", config.data.manifest)  # a file may leave it to the command line
    try:
        in_file = _without_effect(stored_config(own), own)
    except ConfigError:
        in_file = found
    _reject(
        {
            path: why
            for path, why in found.items()
            if path in in_file or any(_within(path, key) or _within(key, path) for key in overridden)
        }
    )


def _without_effect(config: Config, values: Mapping[str, Any]) -> Mapping[str, str]:
    """{path of a key without effect: why} for values without overrides."""
    return strange(config) if _complete(values) else idle(config)


def _drop_overridden(values: dict[str, Any], keys: Sequence[str]) -> None:
    """Remove the stored recommendations in place of which an override gives a key of ``training``."""
    recipes = values.get("recipes")
    for m, settings in recipes.items() if isinstance(recipes, dict) else ():
        for key in list(settings) if isinstance(settings, dict) else ():
            path = f"training.{key}.{m}" if key in BY_MODALITY else f"training.{key}"
            if any(_within(path, given) for given in keys) and _value_at(values, path) is not None:
                del settings[key]


def _reject(found: Mapping[str, str]) -> None:
    """Raise an error that names the first key without effect, with its reason, and lists the others."""
    wrong = [f"{path}: cannot take effect: {why}" for path, why in found.items()]
    if wrong:
        more = f" (and {len(wrong) - 1} more: {', '.join(w.partition(':')[0] for w in wrong[1:])})" * (len(wrong) > 1)
        raise ConfigError(wrong[0] + more)


def _within(path: str, group: str) -> bool:
    return path == group or path.startswith(f"{group}.")


def _value_at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _apply(values: dict[str, Any], override: str) -> tuple[str, Any]:
    """Apply an override to the values in place; returns its key and value."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: write it as key.path=value, for instance training.epochs=5")
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        reason = f": {error}" if str(error).startswith("key ") else ""
        raise ConfigError(f"override {override!r}: {text!r} is not a YAML value{reason}") from None
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    *parents, last = key.split(".")
    here = values
    for part in parents:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
        if not isinstance(here, dict):
            raise ConfigError(f"override {override!r}: {part!r} is a value, not a group of keys")
    here[last] = value
    return key, deepcopy(value)
