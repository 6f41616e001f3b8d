"""The command anonymize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from multiemo.anonymize.settings import FaceMethod, Settings, VoiceMethod, WordMethod
from multiemo.cli.common import JsonOption, write_json

if TYPE_CHECKING:
    from multiemo.anonymize.records import AnonymizedFile


def anonymize(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Media files and transcripts, or a manifest.")],
    out: Annotated[
        Path, typer.Option(help="File to write for one file; else a new folder, or the one of an interrupted run.")
    ],
    faces: Annotated[str, typer.Option(help="Cover faces: pixelate, blur, box or keep.")] = "pixelate",
    detector: Annotated[
        str, typer.Option(help="Face detector: auto, centerface, haar, or the path of a YuNet .onnx file.")
    ] = "auto",
    voice: Annotated[str, typer.Option(help="Change voices: mcadams, shift or keep.")] = "mcadams",
    mcadams: Annotated[
        float, typer.Option(help="With --voice mcadams: the coefficient, 0.5 to 1.5; 1 changes nothing.")
    ] = 0.8,
    semitones: Annotated[
        float, typer.Option(help="With --voice shift: shift of pitch and formants, -12 to 12.")
    ] = -3.0,
    words: Annotated[
        str, typer.Option(help="Mask names, numbers and addresses in transcripts: mask, presidio or keep.")
    ] = "mask",
    json_file: JsonOption = None,
) -> None:
    """Write copies with covered faces, changed voices, masked words and no metadata."""
    settings = Settings(
        faces=cast(FaceMethod, faces),
        detector=detector,
        voice=cast(VoiceMethod, voice),
        mcadams=mcadams,
        semitones=semitones,
        words=cast(WordMethod, words),
    )
    from multiemo.anonymize.run import anonymize as write_copies
    from multiemo.cli.console import ConsoleProgress

    with ConsoleProgress() as progress:
        report = write_copies(inputs, out, settings, progress)
    if json_file != "-":
        for entry in report.files[:20]:
            typer.echo(_line(entry))
        if len(report.files) > 20:
            typer.echo(f"and {len(report.files) - 20} more files")
        if report.rows is not None:
            masked = ", ".join(f"{kind} {count}" for kind, count in (report.masked or {}).items()) or "nothing"
            typer.echo(f"{out}: {report.rows} rows; masked in their texts: {masked}")
        if report.left_out:
            typer.echo(f"left out {len(report.left_out)} rows with nothing but features, first {report.left_out[0]!r}")
        for note in report.notes:
            typer.echo(f"note: {note}")
    write_json(report, json_file)


def _line(entry: AnonymizedFile) -> str:
    parts = [f"{entry.out}: {entry.kind}"]
    if entry.seconds is not None:
        parts.append(f"{entry.seconds:.1f} s")
    if entry.faces is not None:
        counts = entry.faces
        parts.append(
            f"{counts.frames} frames: faces found in {counts.frames_found}, carried over in {counts.frames_carried}, "
            f"none in {counts.frames_without}"
        )
    if entry.whole_picture:
        parts.append("face crops, covered as a whole")
    if entry.masked is not None:
        parts.append("masked " + (", ".join(f"{kind} {count}" for kind, count in entry.masked.items()) or "nothing"))
    return "; ".join([", ".join(parts), *entry.notes])
