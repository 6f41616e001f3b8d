"""The command line. Slow imports are deferred until a command runs.

Exit codes: 0 done, 1 the work failed (one line on standard error), 2 wrong usage or config.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from multiemo import network
from multiemo.cli import (
    anonymizing,
    applications,
    claims,
    corpus,
    explaining,
    exporting,
    predicting,
    privacy,
    purging,
    serving,
    training,
)
from multiemo.cli.common import OfflineOption, with_offline
from multiemo.errors import ConfigError, MultiemoError
from multiemo.version import __version__

app = typer.Typer(
    help="Emotion recognition from text, voice and face: train branches, fuse them, measure honestly, predict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

cache_app = typer.Typer(help="Show the cache of preprocessed inputs, or delete entries.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")

_COMMANDS: tuple[Callable[..., None], ...] = (
    training.demo,
    corpus.prepare,
    corpus.merge,
    corpus.validate,
    anonymizing.anonymize,
    training.train,
    training.evaluate,
    training.benchmark,
    training.cross_corpus,
    training.compare,
    training.card,
    claims.claims,
    privacy.privacy_report,
    predicting.predict,
    explaining.explain,
    predicting.live,
    serving.serve,
    exporting.export,
    applications.texts,
    applications.call,
    applications.mood,
)
for _command in _COMMANDS:
    app.command()(with_offline(_command))
for _command in (corpus.info, corpus.prune, purging.purge):
    cache_app.command()(with_offline(_command))


#: System errors about files that the user can fix.
_FILE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)


def main() -> None:
    """Run the command line; expected errors become one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may not be UTF-8, nor the terminal
    try:
        with _ended_by_sigterm():
            app()
    except MultiemoError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        typer.echo("interrupted; resume training with --resume, and predict --out with the same command", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno not in _FILE_ERRORS:
            raise
        typer.echo(f"error: {error.filename or 'the output'}: {error.strerror}", err=True)
        os._exit(1)  # a normal exit would flush standard output and fail again


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Context in which SIGTERM ends the command like an error, so that it removes its temporary files."""

    def end(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    offline: OfflineOption = False,
) -> None:
    if offline:
        network.stay_offline()
    if version:
        typer.echo(f"multiemo {__version__}")
        raise typer.Exit
