"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multiemo.cli.common import JsonOption, write_json
from multiemo.runs.folder.required_files import model_folder


def export(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write: new, empty, or of an earlier export.")],
    json_file: JsonOption = None,
) -> None:
    """Write a model as ONNX files (pip install "multiemo[export]"), compared with the model on made-up clips."""
    model_folder(run)
    from multiemo.cli.console import ConsoleProgress
    from multiemo.export import export_model

    with ConsoleProgress() as progress:
        made = export_model(run, out, progress=progress)
    if json_file != "-":
        for graph in (*made.encoders.values(), made.fusion):
            size = (out / graph.file).stat().st_size / 1e6
            typer.echo(f"{out / graph.file}: {size:.1f} MB, differs from the model by at most {graph.difference:.1g}")
        typer.echo(f"{out / 'export.json'}: labels, inputs, and how a label is decided")
    write_json(made, json_file)
