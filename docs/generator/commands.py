"""The reference of every command, argument and option."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_type_hints

import typer
from pydantic import TypeAdapter
from typer.models import ArgumentInfo

from generator.markdown import HEADER, cell, prose, type_in_words


def commands(application: typer.Typer) -> str:
    """The reference of every command, with its arguments and options."""
    text = (
        "# Command line\n\nExit codes: 0 done, 1 the work failed (a message on standard error), "
        "2 wrong usage or config. Progress goes to standard error.\n"
    )
    for name, function in _functions(application, "multiemo"):
        about = inspect.getdoc(function)
        text += f"\n## `{name}`\n\n" + (f"{prose(about)}\n\n" if about else "") + _parameters(name, function)
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
    text = HEADER.format("argument")
    for key, parameter in inspect.signature(function).parameters.items():
        annotation, info = typing.get_args(_annotated(hints[key]))[:2]
        if not info.help:
            raise SystemExit(f"{command} {key}: has no help")
        if isinstance(info, ArgumentInfo):
            name = info.metavar or key.upper()
        else:
            written = [d for d in (info.default, *(info.param_decls or ())) if isinstance(d, str)]
            name = ", ".join(written or (f"--{key.replace('_', '-')}",))
        default = "required" if parameter.default is parameter.empty else parameter.default
        kind = "flag" if default is False else type_in_words(TypeAdapter(_without_none(annotation)).json_schema())
        kind += "" if info.min is None else f" ≥ {info.min:g}"
        shown = "" if default in (None, False) else default if default == "required" else f"`{default}`"
        text += f"| `{name}` | {cell(kind)} | {shown} | {cell(info.help)} |\n"
    return text


def _annotated(hint: Any) -> Any:
    """The ``Annotated`` of a hint; Python 3.10 puts it into an ``Optional`` if the default is ``None``."""
    if typing.get_origin(hint) is Annotated:
        return hint
    return next(inner for inner in typing.get_args(hint) if typing.get_origin(inner) is Annotated)


def _without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``."""
    choices = typing.get_args(annotation)
    return choices[0] if type(None) in choices else annotation
