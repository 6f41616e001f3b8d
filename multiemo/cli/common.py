"""Options and output that several commands share."""

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

#: Surrogates, by which Python represents the bytes of a file name that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Largest number of files left out that are listed.
_MAX_LISTED = 20


def _writable(target: str | None) -> str | None:
    """Check that the file of ``--json`` can be written before the work begins, and return it.

    Raises:
        ConfigError: it cannot be written.
    """
    if target is None or target == "-":
        return target
    path = Path(target)
    try:
        exists = os.path.lexists(path)
        if not exists or path.is_file() or path.is_dir():  # a pipe can be opened only once
            with path.open("ab"):
                pass
        if not exists:
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
    typer.Option(min=1, help="Audio track of a file that has several, from 1; default: one that contains speech."),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto (a CUDA GPU if there is one), cpu, cuda, cuda:N or mps.")
]


def write_json(values: Mapping[str, Any], target: str | None) -> None:
    """Write JSON to a file, to standard output (``-``), or nowhere (``None``).

    Raises:
        MultiemoError: the file cannot be written.
    """
    if target is None:
        return
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    text = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
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


def print_left_out(left_out: Sequence[object]) -> None:
    """Print the files in folders that are not media to standard error."""
    for entry in left_out[:_MAX_LISTED]:
        typer.echo(f"left out {entry}", err=True)
    if len(left_out) > _MAX_LISTED:
        typer.echo(f"left out {len(left_out) - _MAX_LISTED} more", err=True)
