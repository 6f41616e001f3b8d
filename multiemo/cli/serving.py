"""The command serve."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from multiemo.cli.common import NOTICE, AsrLanguageOption, DeviceOption, LimitsOption, print_notice
from multiemo.extras import require
from multiemo.runs.folder.required_files import model_folder


def serve(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    host: Annotated[str, typer.Option(help="Address to listen on; the default answers this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, for uploads without a text.")
    ] = None,
    asr_language: AsrLanguageOption = None,
    most_mb: Annotated[float, typer.Option(min=0.001, help="Size of the largest request, megabytes.")] = 500.0,
    at_once: Annotated[int, typer.Option(min=1, help="Requests that are predicted at the same time.")] = 2,
    limits: LimitsOption = None,  # takes effect when it is parsed
    device: DeviceOption = "auto",
) -> None:
    """Serve a model over HTTP, with a page to try it (pip install "multiemo[serve]"); Ctrl-C ends it."""
    model_folder(run)
    for module in ("starlette", "uvicorn", "python_multipart"):
        require(module, "multiemo serve")
    from multiemo.serve.server import bind

    reserved = bind(host, port)
    print_notice()
    from multiemo.predict import load
    from multiemo.serve import create_app, run_server
    from multiemo.serve.app import LOOPBACK

    predictor = load(run, device=device, asr=asr, asr_language=asr_language)
    predictor.model.encoders.values()  # builds them now, so that no caller waits for it or finds that one is broken
    address = reserved.getsockname()
    local_only = host in LOOPBACK
    app = create_app(predictor, local_only=local_only, most_mb=most_mb, at_once=at_once, notice=NOTICE)
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    typer.echo(f"{predictor.describe().name}: http://{shown}:{address[1]}   (Ctrl-C ends it)")
    if not local_only:
        typer.echo("note: whoever can reach this address can use the model, without login or encryption", err=True)
    with suppress(KeyboardInterrupt):
        run_server(app, reserved)
    typer.echo("stopped", err=True)
