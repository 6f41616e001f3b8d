"""The references of encoders, fusions and corpora."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import BaseModel

from generator.markdown import cell, description_of, key_table, models_in, option_table, prose, summary
from multiemo.data.corpora.licences import TERMS
from multiemo.records import documented_arguments
from multiemo.registry import Registry, corpora, encoders, fusions

#: Packages that register the parts when they are imported.
PARTS = ("multiemo.encoders", "multiemo.fusion", "multiemo.data.corpora")
#: Arguments of builders that come from code, never from a config.
_GIVEN = {"assets", "modality", "dims"}
#: The same for encoders; adapters of corpora have options of these names.
_GIVEN_ENCODERS = {"labels", "task"}


def parts() -> str:
    """The reference of every encoder and fusion."""
    text = (
        "# Encoders and fusions\n\nAn encoder is named under `encoders.MODALITY`, a fusion under `fusion`: "
        "`{name: speech_prosody, width: 32}`. Every key but `name` is an option of the part.\n\n## Encoders\n"
    )
    nested: dict[type[BaseModel], None] = {}
    for name in own_names(encoders):
        reads = encoders.facts(name)["modality"] or "any modality"
        text += f"\n### `{name}` ({reads})\n\n" + part(encoders, name, nested) + _recipes(name)
    text += "\n## Fusions\n"
    for name in own_names(fusions):
        text += f"\n### `{name}`\n\n" + part(fusions, name, nested)
    for model in nested:
        text += f"\n## {model.__name__}\n\n{summary(model)}\n\n" + key_table(model)
    return text


def _recipes(name: str) -> str:
    """The training settings that an encoder recommends, a row for each case; nothing if it recommends none."""
    recipes = encoders.recipes(name)
    if not recipes:
        return ""
    text = "\nRecipe for its own stage ([how recipes apply](../configuration.md#recipes)):\n\n"
    text += "| options | settings |\n|---|---|\n"
    for recipe in recipes:
        when = ", ".join(f"`{key}`" if value is True else f"`{key}: {value}`" for key, value in recipe.when.items())
        settings = ", ".join(f"`{key}: {value}`" for key, value in recipe.settings.items())
        text += f"| {when or 'otherwise'} | {settings or 'the defaults'} |\n"
    return text


def adapters() -> str:
    """The reference of every corpus adapter."""
    text = (
        "# Corpora\n\n`multiemo prepare CORPUS ROOT --out M.jsonl [OPTION=VALUE ...]`; [data.md](../data.md#corpora) "
        "explains how corpora are found and labels are mapped.\n\n"
        "| corpus | what the folder holds | labels | split | terms of use, as published |\n|---|---|---|---|---|\n"
    )
    for name in own_names(corpora):
        cells = (cell(_section(corpora.get(name, where="docs"), title)) for title in ("Folder", "Labels", "Split"))
        text += f"| [`{name}`](#{name}) | {' | '.join(cells)} | {TERMS.get(name, '')} |\n"
    for name in own_names(corpora):
        builder = corpora.get(name, where="docs")
        about = (inspect.getdoc(import_module(builder.__module__)) or "").partition("\n\n")[0]
        text += f"\n## `{name}`\n\n{prose(about)}\n\n" + part(corpora, name, {})
    return text


def own_names(registry: Registry) -> Iterator[str]:
    """The names that the package itself registers, in order; the running program may have added others."""
    for name in registry:
        if registry.get(name, where="docs").__module__.startswith("multiemo."):
            yield name


def _section(builder: Callable[..., Any], title: str) -> str:
    """The text of one section of a docstring.

    Raises:
        SystemExit: the docstring has no such section.
    """
    found = re.search(rf"^{title}:\n((?:    .*\n?)+)", inspect.getdoc(builder) or "", re.MULTILINE)
    if found is None:
        raise SystemExit(f"{builder.__name__}: its docstring has no section {title}")
    return " ".join(found[1].split())


def part(registry: Registry, name: str, nested: dict[type[BaseModel], None]) -> str:
    """The description of a registered builder, and a table of its options.

    Args:
        registry: of the builder.
        name: under which it is registered.
        nested: gets the config models of the options.
    """
    builder = registry.get(name, where="docs")
    meanings = documented_arguments(inspect.getdoc(builder) or "")
    target: Callable[..., Any] = builder.__init__ if inspect.isclass(builder) else builder  # type: ignore[misc]
    hints = get_type_hints(target, include_extras=True)
    rows = []
    for key, parameter in inspect.signature(builder).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY or key in _GIVEN:
            continue
        if registry is encoders and (key in _GIVEN_ENCODERS or (name, key) == ("features", "dim")):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        nested |= dict.fromkeys(model for model, _ in models_in(hints[key]))
        module = import_module(builder.__module__)
        rows.append((key, hints[key], default, description_of(key, meanings, f"{name}.{key}", module)))
    return f"{summary(builder)}\n" + ("\n" + option_table("option", rows) if rows else "")
