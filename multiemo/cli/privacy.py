"""The command privacy-report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from multiemo.cli.common import DeviceOption, JsonOption, write_json

if TYPE_CHECKING:
    from multiemo.privacy.measure import People


def privacy_report(
    place: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder; or a manifest, whose voices are attacked.")],
    protection: Annotated[
        list[str] | None,
        typer.Option(
            help="A protection to compare with none, repeatable: 'mcadams 0.8', 'shift -3', pixelate, blur, box, mask, "
            "presidio, 'centre [MODALITY]' or 'noise S [MODALITY]' (precomputed features). Default: a usual one for "
            "each modality."
        ),
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Branch of the run to measure, repeatable; default: all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: RUN/privacy, which model cards and receipts quote.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Part of the run with people whom it has not learnt: test or val.")
    ] = "test",
    people: Annotated[
        str, typer.Option(help="Who is attacked: held-out (the people of --split), or all people of the manifest.")
    ] = "held-out",
    manifest: Annotated[Path | None, typer.Option(help="New path of the manifest of the run.")] = None,
    clips: Annotated[int, typer.Option(help="Largest number of clips of a person in the attacks.")] = 20,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Also train the protected branch on protected clips, and evaluate it.")
    ] = False,
    shadows: Annotated[
        int, typer.Option(help="Shadow models of each branch for membership inference: even, from 6; 0 for none.")
    ] = 6,
    face_attacker: Annotated[
        str | None,
        typer.Option(help="A timm model that attacks faces too: a name with published weights, or local-dir:FOLDER."),
    ] = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, to measure how many words remain.")
    ] = None,
    asr_clips: Annotated[int, typer.Option(help="With --asr: number of clips.")] = 40,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Measure who is recognised and what a model remembers, before and after protections; writes JSON and a page."""
    from multiemo.cli.console import ConsoleProgress
    from multiemo.errors import ConfigError
    from multiemo.privacy.measure import MANIFESTS, PrivacySettings, measure_privacy
    from multiemo.privacy.page import report_lines, write_report
    from multiemo.runs.folder.evaluation_log import run_folder_of
    from multiemo.runs.folder.privacy_report import FOLDER

    is_manifest = place.suffix.lower() in MANIFESTS
    if out is None and is_manifest:
        raise ConfigError("--out: name a folder for the report of a manifest")
    settings = PrivacySettings(
        protections=tuple(protection or ()),
        modalities=tuple(dict.fromkeys(modality or ())),
        split=split,
        people=cast("People", people),
        clips=clips,
        retrain=retrain,
        shadows=shadows,
        face_attacker=face_attacker,
        asr=asr,
        asr_clips=asr_clips,
    )
    with ConsoleProgress() as progress:
        report = measure_privacy(place, settings, manifest=manifest, device=device, progress=progress)
    folder = out or run_folder_of(place) / FOLDER
    page = write_report(report, folder)
    if out is None:
        from multiemo.report.card import write_cards

        write_cards(folder.parent)
    if json_file != "-":
        for line in report_lines(report):
            typer.echo(line)
        typer.echo(f"\nreport: {page}")
    write_json(report, json_file)
