"""Options and output that several commands share."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from multiemo import network
from multiemo.errors import ConfigError, MultiemoError
from multiemo.files import is_same_file, unwritable, write_atomically

if TYPE_CHECKING:
    from multiemo.predict import Item

#: Surrogates, by which Python represents the bytes of a file name that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Printed once by commands that predict emotions of people.
NOTICE = (
    "notice: the EU prohibits inferring emotions at work and in education, except for medical or safety reasons (AI "
    "Act, Article 5(1)(f)), and people must be told (Article 50(3)). Not legal advice; see the model's README.md"
)
#: File in the cache folder that exists once the notice has been printed.
NOTICE_STAMP = "notice-printed"
#: Largest number of files left out that are listed.
_MAX_LISTED = 20


OfflineOption = Annotated[bool, typer.Option("--offline", help="Treat any call over the network as an error.")]


def with_offline(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option ``--offline`` to a command; it also stands before the command's name."""

    @wraps(command)
    def call(*, offline: bool, **given: Any) -> None:
        if offline:
            network.stay_offline()
        command(**given)

    # Not get_type_hints: before Python 3.11, it hides the annotation of an argument whose default is None.
    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("offline", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=OfflineOption)
    parameters = [*signature.parameters.values(), option]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call


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


def _limit(given: str | None) -> str | None:
    """Set the limits of ``--limits`` for this process.

    Raises:
        ConfigError: a name or a value is wrong.
    """
    if given is not None:
        from multiemo.media.limits import add_limits

        add_limits(given)
    return given


LimitsOption = Annotated[
    str | None,
    typer.Option(
        "--limits",
        help="Largest media that are decoded, such as 'hours=2 file_gb=1'; also megapixels, frames, memory_gb.",
        callback=_limit,
    ),
]
AsrLanguageOption = Annotated[
    str | None,
    typer.Option(help="With --asr: code of the language that is spoken, such as zh; default: it is detected."),
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


def refuse_replacing(option: str, target: str | Path | None, inputs: Iterable[str | Path | None]) -> None:
    """Check that the file of an option is not one that is read.

    Args:
        option: name of the option.
        target: the file to write, if any.
        inputs: files that are read; ``None`` for those that were not given.

    Raises:
        ConfigError: it is one of them.
    """
    if target is not None and any(path is not None and is_same_file(target, path) for path in inputs):
        raise ConfigError(f"{option}: {str(target)!r} is a file to read; write to another file")


def check_words(text: str | None, transcript: Path | None, asr: str | None) -> None:
    """Check that what is said comes from one option.

    Args:
        text, transcript, asr: the options.

    Raises:
        ConfigError: options exclude each other.
    """
    if text is not None and transcript is not None:
        raise ConfigError("give --text or --transcript, not both")
    if asr is not None and (text is not None or transcript is not None):
        raise ConfigError("--asr is for files without a transcript; leave it out, or --text or --transcript")


def check_window(window: float | None, segments: str) -> None:
    """Check that there are windows for ``--window``.

    Raises:
        ConfigError: there are none.
    """
    if window is not None and segments == "whole":
        raise ConfigError("--window: with --segments whole there are no windows; leave one of them out")


def check_reading(
    items: Sequence[Item], *, asr: str | None, segments: str, window: float | None, track: int | None
) -> None:
    """Check that an item is read with the options of films and audio files.

    Args:
        items: all items of the command.
        asr, segments, window, track: the options.

    Raises:
        ConfigError: an option applies to none of the items.
    """
    if (asr is not None or segments != "auto" or window is not None) and not any(item.plays for item in items):
        raise ConfigError("--asr, --segments, --window and --hop apply to films and audio files, and no input is one")
    rows = [item.clip for item in items if item.clip is not None]
    if track is not None and not any(item.plays for item in items) and not any(row.audio or row.video for row in rows):
        raise ConfigError("--track is an audio track of a file, and no input has one; leave it out")


def print_notice() -> None:
    """Print the notice about the law to standard error, once per machine: a file in the cache folder remembers it."""
    from multiemo.data.cache.settings import default_cache

    stamp = default_cache() / NOTICE_STAMP
    if stamp.exists():
        return
    typer.echo(NOTICE, err=True)
    with suppress(OSError):  # it is printed again
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()


def print_left_out(left_out: Sequence[object]) -> None:
    """Print the files in folders that are not media to standard error."""
    for entry in left_out[:_MAX_LISTED]:
        typer.echo(f"left out {entry}", err=True)
    if len(left_out) > _MAX_LISTED:
        typer.echo(f"left out {len(left_out) - _MAX_LISTED} more", err=True)
