"""The reference of every key of a config."""

from __future__ import annotations

from pydantic import BaseModel

from generator.markdown import key_table, models_in, summary


def configuration(model: type[BaseModel]) -> str:
    """The reference of every key of a config."""
    text = (
        "# Configuration keys\n\nEvery key of a config, with its default. "
        "[configuration.md](../configuration.md) explains how they work together. A key without a default is required. "
        "On the command line a key is written with its full path: `training.epochs=5`.\n"
    )
    for found, places in _sections(model).items():
        places = [place for place in places if place] or [""]
        title = " and ".join(f"`{place}`" for place in places) if places != [""] else "Top level"
        text += f"\n## {title}\n\n{summary(found)}\n\n" + key_table(found)
        if found.model_config.get("extra") == "allow":
            text += "\nEvery other key is an option of that part: see [encoders.md](encoders.md).\n"
    return text


def _sections(model: type[BaseModel]) -> dict[type[BaseModel], list[str]]:
    """{each model of the config: the paths at which it occurs}."""
    found: dict[type[BaseModel], list[str]] = {}

    def visit(here: type[BaseModel], path: str) -> None:
        found.setdefault(here, []).append(path)
        for name, field in here.model_fields.items():
            for inner, keyed in models_in(field.annotation):
                visit(inner, ".".join(part for part in (path, name, "MODALITY" if keyed else "") if part))

    visit(model, "")
    return found
