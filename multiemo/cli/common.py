"""What several commands share."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from multiemo.errors import ConfigError, MultiemoError
from multiemo.files import unwritable, write_atomically

#: What Python makes of a byte in a file's name that is not UTF-8.
_NO_LETTER = re.compile("[\ud800-\udfff]")
#: What was left out of folders is listed up to this many.
_LISTED = 20


def _writable(target: str | None) -> str | None:
    """``--json`` as it was given, if it can be written: found out before the work is done.

    Raises:
        ConfigError: it cannot.
    """
    if target is None or target == "-":
        return target
    path = Path(target)
    try:
        there = os.path.lexists(path)
        if not there or path.is_file() or path.is_dir():  # a pipe takes nothing twice
            with path.open("ab"):
                pass
        if not there:
            path.unlink()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--json: {target!r} cannot be written: {getattr(error, 'strerror', error)}") from None
    return target


JsonOption = Annotated[
    str | None,
    typer.Option("--json", help="Write JSON to this file; '-' is standard output.", callback=_writable),
]
TrackOption = Annotated[
    int | None,
    typer.Option(min=1, help="Audio track of a file that has several, from 1; default: one on which somebody speaks."),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto (a CUDA GPU when there is one), cpu, cuda, cuda:N or mps.")
]


def write_json(values: Mapping[str, Any], target: str | None) -> None:
    """To a file, to standard output (``-``), or nowhere.

    Raises:
        MultiemoError: the file could be written before, and cannot any more.
    """
    if target is None:
        return
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    text = _NO_LETTER.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if target == "-":
        sys.stdout.write(text)
        return
    path = Path(target)
    if not path.exists() or path.is_file():
        write_atomically(path, text, error=MultiemoError)
        return
    try:
        path.write_text(text, "utf-8")  # a pipe or a device
    except OSError as error:
        raise MultiemoError(f"--json: {unwritable(path, error)}") from None


def say_left_out(left_out: Sequence[object]) -> None:
    """On standard error, what folders hold that is no media."""
    for what in left_out[:_LISTED]:
        typer.echo(f"left out {what}", err=True)
    if len(left_out) > _LISTED:
        typer.echo(f"left out {len(left_out) - _LISTED} more", err=True)
