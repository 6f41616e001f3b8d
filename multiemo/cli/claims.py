"""The command claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multiemo.cli.common import DeviceOption, JsonOption, write_json


def claims(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Run folders, and JSON Lines files of predictions with and without each modality."),
    ],
    split: Annotated[str, typer.Option(help="Part of a run's own split: val, test or train.")] = "val",
    manifest: Annotated[Path | None, typer.Option(help="New path of a run's manifest, if it has moved.")] = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Show how often the label changes without the modality that a system credits most, beside a random one."""
    from multiemo.explanation.faithfulness.claims import claim_checks
    from multiemo.explanation.faithfulness.records import ClaimReport, Difference

    def cell(value: Difference) -> str:
        low, high = value.interval
        return f"{value.mean:.3f} [{low:.3f}, {high:.3f}]"

    checks = [
        check for source in sources for check in claim_checks(source, split=split, device=device, manifest=manifest)
    ]
    if json_file != "-":
        rows = [["system", "clips", "without the credited", "without a random one", "difference"]]
        rows += [[c.system, str(c.clips), cell(c.credited), cell(c.random), cell(c.difference)] for c in checks]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        typer.echo("\nshare of clips whose label changes, with 95% intervals over speakers")
    write_json(ClaimReport(checks=checks), json_file)
