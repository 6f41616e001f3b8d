"""Configs from YAML and dotted overrides, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from multiemo.config.effect import idle
from multiemo.config.explain import explain
from multiemo.config.schema import Config
from multiemo.errors import ConfigError
from multiemo.files import write_atomically


def parse_config(values: Mapping[str, Any]) -> Config:
    """Check plain values.

    Raises:
        ConfigError: names the key, the value and what to do.
    """
    try:
        config = Config(**values)
    except ValidationError as error:
        raise explain(error, Config) from None
    for stage in config.stages:
        config.training_of(stage)
    return config


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply ``key.path=value`` overrides (values are YAML too).

    A key that cannot take effect is an error, but for one of the file that only the overrides leave without effect: a
    file describes a whole experiment, of which ``stages=[speech]`` asks for a part. A complete file, as
    :func:`save_config` writes it, was checked when it was made; its keys are no wishes any more.

    Raises:
        ConfigError: the file is missing or not a mapping, or a key or value is wrong, or cannot take effect.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: the file must hold a mapping of keys, found {type(values).__name__}")
    own = deepcopy(values)
    wishes = [_apply(values, override) for override in overrides]
    for override, (key, wish) in zip(overrides, wishes, strict=True):
        if _value_at(values, key) != wish:
            raise ConfigError(f"override {override!r}: is replaced by a later one; give {key} once")
    keys = [key for key, _ in wishes]
    config = parse_config(values)
    _check_effect(config, own, keys)
    return config


def save_config(config: Config, path: Path) -> None:
    """Write the complete config, every default spelled out; a reader never finds half of it."""
    write_atomically(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _check_effect(config: Config, own: dict[str, Any], overridden: Sequence[str]) -> None:
    """Refuse what cannot take effect: keys that were overridden, and those of the file by itself (``own``)."""
    found = idle(config)
    if not found:
        return
    if own.keys() >= Config.model_fields.keys():
        by_itself: Mapping[str, str] = {}
    else:
        if "data" not in own and config.data.manifest:
            own["data"] = {}
        if isinstance(own.get("data"), dict) and "sources" not in own["data"]:
            own["data"].setdefault("manifest", config.data.manifest)  # a file may leave it to the command line
        try:
            by_itself = idle(parse_config(own))
        except (ConfigError, TypeError):
            by_itself = found
    wrong = [
        f"{path}: cannot take effect: {why}"
        for path, why in found.items()
        if path in by_itself or any(_within(path, key) or _within(key, path) for key in overridden)
    ]
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
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: {text!r} is not a YAML value") from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        with suppress(ValueError):
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
