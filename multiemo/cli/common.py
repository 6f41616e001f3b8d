"""What several commands share."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from multiemo.errors import ConfigError
from multiemo.files import unwritable, write_atomically

#: What Python makes of a byte in a file's name that is not UTF-8.
_NO_LETTER = re.compile("[\ud800-\udfff]")
JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; '-' is standard output.")]


DeviceOption = Annotated[
    str, typer.Option("--device", help="auto (a CUDA GPU when there is one), cpu, cuda, cuda:N or mps.")
]


def write_json(values: dict[str, Any], target: str | None) -> None:
    """To a file, to standard output (``-``), or nowhere."""
    if target is None:
        return
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    text = _NO_LETTER.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if target == "-":
        sys.stdout.write(text)
        return
    path = Path(target)
    if not path.exists() or path.is_file():
        write_atomically(path, text, error=ConfigError)
        return
    try:
        path.write_text(text, "utf-8")  # a pipe or a device
    except OSError as error:
        raise ConfigError(f"--json: {unwritable(path, error)}") from None
