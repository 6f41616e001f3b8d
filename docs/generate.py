"""Write docs/reference/ and docs/schemas/ from the code: ``python docs/generate.py``; ``--check`` only compares.

Every key, option and command is documented where it is defined, in the ``Args`` of a docstring or the help of an
option; a missing description is an error here.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import typer
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined
from typer.models import ArgumentInfo

from multiemo.cli import app
from multiemo.config import Config
from multiemo.records import documented_arguments, json_schema_of
from multiemo.registry import Registry, corpora, encoders, fusions

DOCS = Path(__file__).parent
_NOTICE = "<!-- Written by docs/generate.py; do not edit. -->\n"
#: {name of a schema's file: the record, as module:class}.
RECORDS: dict[str, str] = {
    "benchmark": "multiemo.benchmark.document:BenchmarkResult",
    "bulk-summary": "multiemo.bulk.run:BulkSummary",
    "cache-info": "multiemo.data.cache.maintenance:CacheInfo",
    "cache-prune": "multiemo.data.cache.maintenance:Pruned",
    "call": "multiemo.applications.call_report:CallReport",
    "comparison": "multiemo.benchmark.document:ComparisonResult",
    "epoch": "multiemo.training.epochs:StageEpoch",
    "evaluation": "multiemo.evaluation:Report",
    "evaluation-read": "multiemo.runs.folder.evaluation_log:Reading",
    "live": "multiemo.predict.prediction:LivePrediction",
    "mood": "multiemo.applications.mood_report:MoodLog",
    "prediction": "multiemo.predict.prediction:Prediction",
    "prediction-line": "multiemo.evaluation:ClipPrediction",
    "protocol": "multiemo.benchmark.document:ProtocolSummary",
    "split": "multiemo.data.splits.split:StoredSplit",
    "texts": "multiemo.applications.texts:TextsReport",
    "timeline": "multiemo.predict.prediction:TimelineDocument",
}
#: Packages that register the parts when they are imported.
PARTS = ("multiemo.encoders", "multiemo.fusion", "multiemo.data.corpora")
#: Arguments of builders that come from code, never from a config.
_GIVEN = {"assets", "modality", "dims"}
_HEADER = "| {} | type | default | meaning |\n|---|---|---|---|\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or, with ``--check``, print a line for each that differs.

    Returns:
        1 where ``--check`` found a difference, else 0.
    """
    pages = generated(RECORDS)
    if "--check" not in arguments:
        for name, text in pages.items():
            (DOCS / name).parent.mkdir(exist_ok=True)
            (DOCS / name).write_text(text, "utf-8")
    stale = stale_files(pages, DOCS)
    for line in stale:
        print(line)
    return 1 if stale else 0


def generated(records: Mapping[str, str]) -> dict[str, str]:
    """{path below docs/: what the file holds}.

    Args:
        records: {name of a schema's file: the record, as module:class}.
    """
    for package in PARTS:
        import_module(package)
    pages = {
        "reference/configuration.md": _NOTICE + configuration(Config),
        "reference/encoders.md": _NOTICE + parts(),
        "reference/corpora.md": _NOTICE + adapters(),
        "reference/cli.md": _NOTICE + commands(app),
    }
    return pages | {f"schemas/{name}.json": schema(place) for name, place in records.items()}


def stale_files(pages: Mapping[str, str], folder: Path) -> list[str]:
    """A line for each file that is missing, out of date or no longer generated.

    Args:
        pages: as :func:`generated` gives them.
        folder: that of the documentation.
    """
    found = []
    for name, text in pages.items():
        file = folder / name
        if not file.is_file():
            found.append(f"{file}: is missing; run python docs/generate.py")
        elif file.read_text("utf-8") != text:
            found.append(f"{file}: is out of date; run python docs/generate.py")
    for file in sorted([*(folder / "reference").glob("*.md"), *(folder / "schemas").glob("*.json")]):
        if file.relative_to(folder).as_posix() not in pages:
            found.append(f"{file}: is not generated any more; delete it")
    return found


# ---------------------------------------------------------------------------------------------------- the configuration
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
        text += f"\n## {title}\n\n{_summary(found)}\n\n" + _keys(found)
        if found.model_config.get("extra") == "allow":
            text += "\nEvery other key is an option of that part: see [encoders.md](encoders.md).\n"
    return text


def _keys(model: type[BaseModel]) -> str:
    """The table of a model's keys."""
    rows = []
    meanings = documented_arguments(inspect.getdoc(model) or "")
    for name, field in model.model_fields.items():
        default = ... if field.is_required() else field.get_default(call_default_factory=True)
        annotation: Any = field.annotation
        if field.metadata:
            annotation = typing.Annotated[(annotation, *field.metadata)]
        where = f"{model.__name__}.{name}"
        rows.append((name, annotation, default, _meaning(name, meanings, where, import_module(model.__module__))))
    return _table("key", rows)


def _sections(model: type[BaseModel]) -> dict[type[BaseModel], list[str]]:
    """{each model of the config: the paths at which it occurs}."""
    found: dict[type[BaseModel], list[str]] = {}

    def visit(here: type[BaseModel], path: str) -> None:
        found.setdefault(here, []).append(path)
        for name, field in here.model_fields.items():
            for inner, keyed in _models(field.annotation):
                visit(inner, ".".join(part for part in (path, name, "MODALITY" if keyed else "") if part))

    visit(model, "")
    return found


def _models(annotation: Any, keyed: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """The models in an annotation, and whether they are the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, keyed
    for inner in typing.get_args(annotation):
        yield from _models(inner, keyed or typing.get_origin(annotation) is dict)


# ------------------------------------------------------------------------------------------- encoders, fusions, corpora
def _own(registry: Registry) -> Iterator[str]:
    """The names that the package itself registers, in order; a program that is running may have added others."""
    for name in registry:
        if registry.get(name, where="docs").__module__.startswith("multiemo."):
            yield name


def parts() -> str:
    """The reference of every encoder and fusion."""
    text = (
        "# Encoders and fusions\n\nAn encoder is named under `encoders.MODALITY`, a fusion under `fusion`: "
        "`{name: speech_prosody, width: 32}`. Every key but `name` is an option of the part.\n\n## Encoders\n"
    )
    nested: dict[type[BaseModel], None] = {}
    for name in _own(encoders):
        reads = encoders.facts(name)["modality"] or "any modality"
        text += f"\n### `{name}` ({reads})\n\n" + _part(encoders, name, nested)
    text += "\n## Fusions\n"
    for name in _own(fusions):
        text += f"\n### `{name}`\n\n" + _part(fusions, name, nested)
    for model in nested:
        text += f"\n## {model.__name__}\n\n{_summary(model)}\n\n" + _keys(model)
    return text


def adapters() -> str:
    """The reference of every corpus adapter."""
    text = (
        "# Corpora\n\n`multiemo prepare CORPUS ROOT --out M.jsonl [OPTION=VALUE ...]`; [data.md](../data.md#corpora) "
        "says how corpora are found and labels are mapped.\n\n"
        "| corpus | what the folder holds | labels | split |\n|---|---|---|---|\n"
    )
    for name in _own(corpora):
        cells = (_cell(_section(corpora.get(name, where="docs"), title)) for title in ("Folder", "Labels", "Split"))
        text += f"| [`{name}`](#{name}) | {' | '.join(cells)} |\n"
    for name in _own(corpora):
        builder = corpora.get(name, where="docs")
        about = (inspect.getdoc(import_module(builder.__module__)) or "").partition("\n\n")[0]
        text += f"\n## `{name}`\n\n{_prose(about)}\n\n" + _part(corpora, name, {})
    return text


def _section(builder: Callable[..., Any], title: str) -> str:
    """The text of one section of a docstring.

    Raises:
        SystemExit: there is no such section.
    """
    found = re.search(rf"^{title}:\n((?:    .*\n?)+)", inspect.getdoc(builder) or "", re.MULTILINE)
    if found is None:
        raise SystemExit(f"{builder.__name__}: its docstring has no section {title}")
    return " ".join(found[1].split())


def _part(registry: Registry, name: str, nested: dict[type[BaseModel], None]) -> str:
    """What a registered builder does, and a table of its options; adds their models to ``nested``."""
    builder = registry.get(name, where="docs")
    meanings = documented_arguments(inspect.getdoc(builder) or "")
    target: Callable[..., Any] = builder.__init__ if inspect.isclass(builder) else builder  # type: ignore[misc]
    hints = get_type_hints(target, include_extras=True)
    rows = []
    for key, parameter in inspect.signature(builder).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY or key in _GIVEN:
            continue
        if registry is encoders and name == "features" and key == "dim":
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        nested |= dict.fromkeys(model for model, _ in _models(hints[key]))
        module = import_module(builder.__module__)
        rows.append((key, hints[key], default, _meaning(key, meanings, f"{name}.{key}", module)))
    return f"{_summary(builder)}\n" + ("\n" + _table("option", rows) if rows else "")


def _meaning(key: str, meanings: Mapping[str, str], where: str, module: types.ModuleType) -> str:
    """The description of an option; where it refers to another class, that one's.

    Raises:
        SystemExit: there is none.
    """
    if key not in meanings:
        raise SystemExit(f"{where}: has no description; add it to Args in the docstring")
    elsewhere = re.search(r"see :class:`~?([\w.]+)`", meanings[key])
    if elsewhere:
        place, _, name = elsewhere[1].rpartition(".")
        other = documented_arguments(inspect.getdoc(getattr(import_module(place) if place else module, name)) or "")
        if key in other:
            return other[key]
    return meanings[key]


# ----------------------------------------------------------------------------------------------------- the command line
def commands(application: typer.Typer) -> str:
    """The reference of every command, its arguments and options."""
    text = (
        "# Command line\n\nExit codes: 0 done, 1 the work failed (a message on standard error), "
        "2 wrong usage or config. Progress goes to standard error.\n"
    )
    for name, function in _functions(application, "multiemo"):
        about = inspect.getdoc(function)
        text += f"\n## `{name}`\n\n" + (f"{_prose(about)}\n\n" if about else "") + _parameters(name, function)
    return text


def _functions(application: typer.Typer, name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each command's name and function, that of the application itself first."""
    root = application.registered_callback
    if root is not None and root.callback is not None:
        yield name, root.callback
    for command in application.registered_commands:
        if command.callback is not None:
            yield f"{name} {command.name or command.callback.__name__.replace('_', '-')}", command.callback
    for group in application.registered_groups:
        if group.typer_instance is not None:
            yield from _functions(group.typer_instance, f"{name} {group.name}")


def _parameters(command: str, function: Callable[..., Any]) -> str:
    """The table of a command's arguments and options.

    Raises:
        SystemExit: one of them has no help.
    """
    hints = get_type_hints(function, include_extras=True)
    text = _HEADER.format("argument")
    for key, parameter in inspect.signature(function).parameters.items():
        annotation, info = typing.get_args(hints[key])[:2]
        if not info.help:
            raise SystemExit(f"{command} {key}: has no help")
        if isinstance(info, ArgumentInfo):
            name = info.metavar or key.upper()
        else:
            written = [d for d in (info.default, *(info.param_decls or ())) if isinstance(d, str)]
            name = ", ".join(written or (f"--{key.replace('_', '-')}",))
        default = "required" if parameter.default is parameter.empty else parameter.default
        kind = "flag" if default is False else _words(TypeAdapter(_without_none(annotation)).json_schema())
        kind += "" if info.min is None else f" ≥ {info.min:g}"
        said = "" if default in (None, False) else default if default == "required" else f"`{default}`"
        text += f"| `{name}` | {_cell(kind)} | {said} | {_cell(info.help)} |\n"
    return text


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``."""
    choices = typing.get_args(annotation)
    return choices[0] if type(None) in choices else annotation


# -------------------------------------------------------------------------------------------------------------- schemas
def schema(place: str) -> str:
    """The JSON Schema of a record.

    Args:
        place: ``module:class``.
    """
    module, _, name = place.partition(":")
    return json.dumps(json_schema_of(getattr(import_module(module), name)), indent=2, ensure_ascii=False) + "\n"


# ----------------------------------------------------------------------------------------------------- tables and prose
def _table(first: str, rows: Sequence[tuple[str, Any, Any, str]]) -> str:
    text = _HEADER.format(first)
    for name, annotation, default, meaning in rows:
        kind = _words(TypeAdapter(annotation).json_schema())
        text += f"| `{name}` | {_cell(kind)} | {_default(default)} | {_cell(meaning)} |\n"
    return text


def _default(value: Any) -> str:
    if value is ... or value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        changed = value.model_dump(exclude_defaults=True)
        return f"`{json.dumps(changed)}`" if changed else "its defaults"
    if isinstance(value, Path):
        value = str(value)
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def _words(kind: Mapping[str, Any]) -> str:
    """A JSON Schema of one value in words.

    Example:
        >>> _words({"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}})
        'list of numbers from 0 to 1'
    """
    if "$ref" in kind:
        return "group of keys"
    if "anyOf" in kind:
        return " or ".join(_words(choice) for choice in kind["anyOf"])
    if "enum" in kind or "const" in kind:
        return ", ".join(f"`{choice}`" for choice in kind.get("enum", [kind.get("const")]))
    if kind.get("type") == "array":
        inner = _words(kind.get("items", {}))
        return f"list of {inner}" if inner.startswith("`") else f"list of {_plural(inner)}"
    if kind.get("type") == "object":
        if "additionalProperties" not in kind or kind["additionalProperties"] is True or "properties" in kind:
            return "group of keys"
        return f"{{{_words(kind.get('propertyNames', {'type': 'string'}))}: {_words(kind['additionalProperties'])}}}"
    names = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
    word = "path" if kind.get("format") == "path" else names[kind["type"]] if "type" in kind else "any value"
    return word + _limits(kind)


def _plural(word: str) -> str:
    first, space, rest = word.partition(" ")
    return f"{first}s{space}{rest}" if first in ("number", "integer", "text", "path") else word


def _limits(kind: Mapping[str, Any]) -> str:
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    limits = [f"{sign} {kind[key]:g}" for key, sign in _SIGNS.items() if key in kind]
    return " " + " and ".join(limits) if limits else ""


_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _summary(documented: Any) -> str:
    """The docstring's text above its first section."""
    return _prose(re.split(r"\n\n\w+:\n", inspect.getdoc(documented) or "")[0])


def _prose(text: str) -> str:
    """Docstring markup as Markdown; a paragraph or an item of a list is a line."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`").replace("::\n", ":\n")
    return "\n\n".join(
        "\n".join(" ".join(line.split()) for line in re.split(r"\n(?=- )", paragraph))
        for paragraph in text.split("\n\n")
    )


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
