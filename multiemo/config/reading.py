"""Configs from YAML and dotted overrides, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from multiemo.config.effect import idle, strange
from multiemo.config.schema import Config
from multiemo.config.strict_yaml import read_yaml
from multiemo.errors import ConfigError
from multiemo.files import write_atomically

#: What YAML 1.1 reads as text and everybody else as a number.
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def parse_config(values: Mapping[str, Any]) -> Config:
    """Check plain values.

    Raises:
        ConfigError: names the key, the value and what to do; a key that cannot take effect is wrong too.
    """
    config = stored_config(values)
    _refuse(_of_itself(config, values))
    return config


def stored_config(values: Mapping[str, Any]) -> Config:
    """A config as it was written down when it was used: what had no effect then is nobody's wish now.

    Raises:
        ConfigError: a key or value is wrong.
    """
    odd = [key for key in values if not isinstance(key, str)]
    if odd:
        raise ConfigError(f"{odd[0]!r}: unknown config key; keys are words")
    return Config(**values)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply ``key.path=value`` overrides (values are YAML too).

    A key that cannot take effect is an error, but for one of the file that only the overrides leave without effect: a
    file describes a whole experiment, of which ``stages=[speech]`` asks for a part. A complete file, as
    :func:`save_config` writes it, was checked when it was made; its keys are no wishes any more, but for those that
    name a modality without an encoder, which nobody but an editor can have put there.

    Raises:
        ConfigError: the file is missing or not a mapping, or a key or value is wrong, stands there twice, or cannot
            take effect.
    """
    values = _mapping(Path(path))
    own = deepcopy(values)
    wishes = [_apply(values, override) for override in overrides]
    for override, (key, wish) in zip(overrides, wishes, strict=True):
        if repr(_value_at(values, key)) != repr(wish):  # as text: not-a-number is not equal to itself
            raise ConfigError(f"override {override!r}: is replaced by a later one; give {key} once")
    keys = [key for key, _ in wishes]
    config = stored_config(values)
    _check_effect(config, own, keys)
    return config


def load_stored(path: Path) -> Config:
    """What :func:`save_config` wrote; raises as :func:`stored_config`."""
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
    """Write the complete config, every default spelled out; a reader never finds half of it."""
    write_atomically(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _check_effect(config: Config, own: dict[str, Any], overridden: Sequence[str]) -> None:
    """Refuse what cannot take effect: keys that were overridden, and those of the file by itself (``own``)."""
    found = idle(config)
    if not found:
        return
    if "data" not in own and config.data.manifest:
        own["data"] = {}
    if isinstance(own.get("data"), dict) and "sources" not in own["data"]:
        own["data"].setdefault("manifest", config.data.manifest)  # a file may leave it to the command line
    try:
        by_itself = _of_itself(stored_config(own), own)
    except ConfigError:
        by_itself = found
    _refuse(
        {
            path: why
            for path, why in found.items()
            if path in by_itself or any(_within(path, key) or _within(key, path) for key in overridden)
        }
    )


def _of_itself(config: Config, values: Mapping[str, Any]) -> Mapping[str, str]:
    """What cannot take effect in values that nothing overrides."""
    return strange(config) if values.keys() >= Config.model_fields.keys() else idle(config)


def _refuse(found: Mapping[str, str]) -> None:
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
    """Set what an override says; its key and its value."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: write it as key.path=value, for instance training.epochs=5")
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        said = f": {error}" if str(error).startswith("key ") else ""
        raise ConfigError(f"override {override!r}: {text!r} is not a YAML value{said}") from None
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
