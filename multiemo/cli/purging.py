"""The command cache purge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multiemo.cli.common import JsonOption, write_json

if TYPE_CHECKING:
    from multiemo.runs.purge.records import PurgeReceipt


def purge(
    speaker: Annotated[list[str], typer.Option(help="A person, as NAME or CORPUS:NAME; repeatable.")],
    manifest: Annotated[
        list[Path] | None, typer.Option(help="Manifest with clips of the person; repeatable. Those of runs are known.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="Run, benchmark or folder of predictions to clean; repeatable.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Cache; default: $MULTIEMO_CACHE or the user's cache.")
    ] = None,
    media: Annotated[
        bool, typer.Option("--media", help="Also delete media files that only clips of the person use.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, list what would be removed.")] = False,
    json_file: JsonOption = None,
) -> None:
    """Remove a person from caches, manifests, splits, predictions and pages, with a receipt of what was removed."""
    from multiemo.data.cache.settings import default_cache
    from multiemo.errors import MultiemoError
    from multiemo.runs.purge.purge import purge as purge_person
    from multiemo.runs.purge.records import PurgeReceipts

    receipts = []
    for name in dict.fromkeys(speaker):
        receipt = purge_person(
            name, cache=folder or default_cache(), manifests=manifest or (), runs=run or (), media=media, dry=not yes
        )
        receipts.append(receipt)
        if json_file != "-":
            _show(name, receipt)
    write_json(PurgeReceipts(receipts=receipts), json_file)
    if yes and any("may still be in the file" in entry.why for receipt in receipts for entry in receipt.remains):
        raise MultiemoError("the cache was not rewritten; repeat the same command")


def _show(name: str, receipt: PurgeReceipt) -> None:
    if not receipt.removed:
        typer.echo(f"{name}: nothing found to remove")
    else:
        typer.echo(f"{name}: {'removed' if receipt.done else 'would be removed; --yes removes it'}")
    for entry in receipt.removed:
        typer.echo(f"  {entry.count:>6} {entry.what}: {entry.place}")
    if receipt.remains:
        typer.echo("not removed:")
    for rest in receipt.remains:
        typer.echo(f"  {rest.place}: {rest.why}")
