"""The commands texts, call and mood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multiemo.cli.common import (
    AsrLanguageOption,
    DeviceOption,
    JsonOption,
    TrackOption,
    print_notice,
    refuse_replacing,
    write_json,
)
from multiemo.errors import ConfigError, MultiemoError
from multiemo.runs.folder.required_files import model_folder

if TYPE_CHECKING:
    from multiemo.applications.call_report import CallReport
    from multiemo.applications.mood_report import MoodLog


def texts(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder with a text encoder.")],
    table: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL, Parquet or Excel.")],
    column: Annotated[str, typer.Option(help="Column of the texts.")],
    out: Annotated[Path, typer.Option(help="Table to write: the same rows with the emotion of each.")],
    id_column: Annotated[
        str | None, typer.Option(help="Column that identifies rows without a text in the summary.")
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(help="Column that identifies the conversation of a row; its rows must be in order.")
    ] = None,
    speaker: Annotated[
        str | None, typer.Option(help="With --conversation: column that identifies the speaker.")
    ] = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Add the emotion of a text column to every row of a table: social media, surveys, tickets."""
    model_folder(run)
    print_notice()
    from multiemo.applications.texts import predict_texts
    from multiemo.cli.console import ConsoleProgress

    with ConsoleProgress() as progress:
        done = predict_texts(
            run,
            table,
            column=column,
            out=out,
            id_column=id_column,
            conversation=conversation,
            speaker=speaker,
            device=device,
            progress=progress,
        )
    if json_file != "-":
        typer.echo(f"{out}: {done.predicted} of {done.rows} rows, {done.rows_per_minute:.0f} a minute")
        for reason, count in done.without_text.items():
            typer.echo(f"  {count} not predicted: {reason}")
        if done.labels:
            typer.echo("  " + ", ".join(f"{label} {count}" for label, count in done.labels.items()))
        for note in done.notes:
            typer.echo(f"  note: {note}")
    write_json(done, json_file)
    for place, reason in done.failures.items():
        typer.echo(f"error: {table} {place}: {reason}", err=True)
    if done.failures:
        raise typer.Exit(1)


def call(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    recording: Annotated[Path, typer.Argument(help="File with sound; each channel of a stereo file is a speaker.")],
    left: Annotated[str, typer.Option(help="Name of the speaker on the first channel.")] = "left",
    right: Annotated[str, typer.Option(help="Name of the speaker on the second channel.")] = "right",
    track: TrackOption = None,
    transcript: Annotated[
        Path | None, typer.Option(help="File with what is said: subtitles of any kind, or JSON with times.")
    ] = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, for recordings without a transcript.")
    ] = None,
    asr_language: AsrLanguageOption = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Analyse a call: who speaks how much, how negative each speaker is, and when negativity rose and stayed."""
    model_folder(run)
    print_notice()
    from multiemo.applications.calls import analyse_call
    from multiemo.cli.console import ConsoleProgress

    with ConsoleProgress() as progress:
        found = analyse_call(
            run,
            recording,
            speakers=(left, right),
            track=track,
            transcript=transcript,
            asr=asr,
            asr_language=asr_language,
            device=device,
            progress=progress,
        )
    if json_file != "-":
        _show_call(found)
    write_json(found, json_file)


def mood(
    source: Annotated[Path, typer.Argument(help="Predictions, a table with dates, a media file or a folder.")],
    run: Annotated[Path | None, typer.Option(help="Run or model folder to predict clips with.")] = None,
    out: Annotated[Path | None, typer.Option(help="Table of the days to write.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Plot to write, .png or .html.")] = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Log the mood of one person: valence and arousal of each day with their uncertainty, and changes of level."""
    if run is None and device != "auto":
        raise ConfigError("--device is the device of a model: add --run")
    if run is not None:
        model_folder(run)
        print_notice()
    from multiemo.applications.mood import check_outputs, draw_days, mood_log, write_days
    from multiemo.cli.console import ConsoleProgress

    check_outputs(source, out, plot)
    refuse_replacing("--json", json_file, [source])
    with ConsoleProgress() as progress:
        log = mood_log(source, run=run, device=device, progress=progress)
    if json_file != "-":
        _show_mood(log)
    failures = [f"{clip}: could not be read: {log.left_out[clip]}" for clip in log.failed]
    for target, write in ((out, write_days), (plot, draw_days)):
        if target is not None:
            try:
                write(log, target)
            except (MultiemoError, OSError) as error:  # the other file is still written
                failures.append(str(error))
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)
    write_json(log, json_file)
    if failures:
        raise typer.Exit(1)


def _show_call(found: CallReport) -> None:
    typer.echo(f"{found.input}: {found.duration:.1f} s")
    for speaker in found.speakers:
        if speaker.negativity is None or speaker.talk_share is None:
            typer.echo(f"  {speaker.speaker}: not scored ({speaker.absent})")
            continue
        typer.echo(
            f"  {speaker.speaker}: {speaker.talk_seconds:.1f} s ({speaker.talk_share:.0%} of the talk), "
            f"{speaker.turns} turns, negativity {speaker.negativity:+.2f}"
        )
    for moment in found.moments:
        words = f"   {moment.text!r}" if moment.text else ""
        typer.echo(f"  {moment.time:7.1f} s  {moment.speaker}: {moment.why}{words}")
    if not found.moments:
        typer.echo("  no moment of escalation")
    for note in found.notes:
        typer.echo(f"  note: {note}")


def _show_mood(log: MoodLog) -> None:
    typer.echo(f"{log.first} to {log.last}: {log.clips} clips on {sum(day.clips > 0 for day in log.days)} days")
    for name, changes in log.changes.items():
        for change in changes:
            typer.echo(
                f"  {name} changed about {change.date} ({change.from_} to {change.to}): "
                f"{change.before:+.2f} to {change.after:+.2f}, p = {change.p:.3f}"
            )
        if not changes:
            typer.echo(f"  {name}: no change found")
    others = [f"{clip}: {reason}" for clip, reason in log.left_out.items() if clip not in set(log.failed)]
    for left in others[:10]:
        typer.echo(f"  left out {left}")
    if len(others) > 10:
        typer.echo(f"  left out {len(others) - 10} more")
    for note in log.notes:
        typer.echo(f"  note: {note}")
    typer.echo(f"  {log.meaning}")
