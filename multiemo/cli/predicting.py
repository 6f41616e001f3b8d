"""The commands predict and live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from multiemo.cli.common import (
    AsrLanguageOption,
    DeviceOption,
    JsonOption,
    LimitsOption,
    TrackOption,
    check_reading,
    check_window,
    check_words,
    print_left_out,
    print_notice,
    refuse_replacing,
    write_json,
)
from multiemo.errors import ConfigError
from multiemo.runs.folder.required_files import model_folder
from multiemo.types import DIMENSIONS

if TYPE_CHECKING:
    from multiemo.predict.prediction import InputPrediction, SegmentPrediction, TimelineSegment
    from multiemo.predict.reader import Segments


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    inputs: Annotated[list[str] | None, typer.Argument(help="Videos, audio, images, folders or manifests.")] = None,
    text: Annotated[
        str | None, typer.Option(help="What is said in the input; without an input, the text to predict.")
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(help="File with what is said: subtitles of any kind, JSON with times, or plain text."),
    ] = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, for files without a transcript.")
    ] = None,
    asr_language: AsrLanguageOption = None,
    segments: Annotated[
        str, typer.Option(help="How files are cut: auto, whole, speech (turns and pauses) or windows.")
    ] = "auto",
    window: Annotated[
        float | None, typer.Option(help="Length of a window and of the longest pause, seconds; default: 4.")
    ] = None,
    hop: Annotated[float | None, typer.Option(help="Seconds from one window to the next; default: no overlap.")] = None,
    track: TrackOption = None,
    enrol: Annotated[
        list[Path] | None,
        typer.Option(
            help="Other recordings (file, folder or manifest) of the one person in the inputs, unlabelled; for models "
            "with speaker_normalization."
        ),
    ] = None,
    limits: LimitsOption = None,  # takes effect when it is parsed
    cropped: Annotated[
        bool, typer.Option("--cropped", help="Images are already face crops; no face is searched in them.")
    ] = False,
    timeline: Annotated[Path | None, typer.Option(help="Folder to write a timeline of each input to.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="With --timeline: a format to write, such as srt, TextGrid or png; default: all."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a bulk prediction of very many inputs; the same call resumes it.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="With --out: local (processes; default) or ray.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --out: number of processes; default: one for each core.")
    ] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="With --out: also write the embeddings and a manifest of them.")
    ] = False,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Predict the emotion of each segment of each input, with the prediction and contribution of each modality."""
    if out is None and (engine is not None or workers is not None or embeddings):
        raise ConfigError("--engine, --workers and --embeddings apply to bulk predictions: add --out DIR")
    check_words(text, transcript, asr)
    check_window(window, segments)
    if formats and timeline is None:
        raise ConfigError("--format is the format of a timeline: add --timeline DIR")
    if not inputs and text is None and transcript is None:
        raise ConfigError("nothing to predict: name a file or give --text")
    refuse_replacing("--json", json_file, [*(inputs or ()), transcript])
    model_folder(run)
    print_notice()
    if out is not None:
        chosen = timeline or transcript or asr or asr_language or enrol or segments != "auto"
        if chosen or any(option is not None for option in (hop, window, track)):
            raise ConfigError(
                "--out cannot be combined with --timeline, --transcript, --asr, --track, --enrol or options of segments"
            )
        _predict_bulk(
            out,
            json_file,
            run=run,
            inputs=inputs or (),
            text=text,
            cropped=cropped,
            engine=engine,
            workers=workers,
            embeddings=embeddings,
            device=device,
        )
        return
    from multiemo.predict import Answer, LeftOut, expand, load
    from multiemo.predict.prediction import InputFailure, Prediction
    from multiemo.transcripts import read_transcript

    writer = None
    if timeline is not None:
        from multiemo.predict.formats.folder import TimelineWriter

        writer = TimelineWriter(timeline, formats)
    words = None if transcript is None else read_transcript(transcript)
    settings: dict[str, Any] = {} if window is None else {"window": window}
    predictor = load(
        run,
        device=device,
        segments=cast("Segments", segments),
        hop=hop,
        asr=asr,
        asr_language=asr_language,
        traces=writer is not None,
        track=track,
        **settings,
    )
    if enrol:
        known = predictor.enrol(enrol)
        typer.echo("enrolled: " + ", ".join(f"{count} clips of {m}" for m, count in known.items()), err=True)
    left_out: list[LeftOut] = []
    items = expand(
        inputs or (), text=text, transcript=words, context=predictor.context, cropped=cropped, left_out=left_out
    )
    print_left_out(left_out)
    check_reading(items, asr=asr, segments=segments, window=window, track=track)
    names = [""] * len(items)
    if writer is not None:
        names = writer.reserve(items, [*(inputs or ()), *([] if transcript is None else [transcript])])
    entries: list[InputPrediction] = []
    failures: list[InputFailure] = []
    closed: OSError | None = None  # set when standard output can no longer be written
    for item, name, answer in zip(items, names, predictor.predict_many(items), strict=True):
        if not isinstance(answer, Answer):
            failures.append(InputFailure(input=item.name, error=str(answer)))
            continue
        entries.append(answer.entry)
        written: list[Path] = []
        if writer is not None:
            written, unwritten = writer.write(answer, name)
            failures += unwritten
        if json_file != "-" and closed is None:
            try:
                show(answer.entry, written)
            except OSError as error:
                if json_file is None and writer is None:
                    raise
                closed = error
    for failure in failures:
        typer.echo(f"error: {failure.error}", err=True)
    prediction = Prediction(
        inputs=entries, model=predictor.describe(), failures=failures or None, left_out=left_out or None
    )
    write_json(prediction, json_file)
    if closed is not None:
        raise closed
    if failures:
        raise typer.Exit(1)


def live(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    camera: Annotated[int | None, typer.Option(help="Number of the camera; default: 0.")] = None,
    no_camera: Annotated[bool, typer.Option("--no-camera", help="Do not use a camera.")] = False,
    microphone: Annotated[
        str | None, typer.Option(help="Number or name of the microphone; default: that of the system.")
    ] = None,
    no_microphone: Annotated[bool, typer.Option("--no-microphone", help="Do not use a microphone.")] = False,
    replay: Annotated[Path | None, typer.Option(help="File to replay in real time instead of the devices.")] = None,
    track: TrackOption = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, that transcribes what is said.")
    ] = None,
    asr_language: AsrLanguageOption = None,
    segments: Annotated[
        str, typer.Option(help="How the stream is cut: speech (turns and pauses) or windows.")
    ] = "speech",
    window: Annotated[float, typer.Option(help="Length of a window and of the longest pause, seconds.")] = 4.0,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Predict a webcam and a microphone live (pip install "multiemo[live]"); Ctrl-C ends it. Nothing is recorded."""
    if segments not in ("speech", "windows"):
        raise ConfigError(f"--segments: {segments!r} is not one of speech, windows")
    for name, wanted, off in (("camera", camera, no_camera), ("microphone", microphone, no_microphone)):
        if wanted is not None and (off or replay is not None):
            other = f"--no-{name}" if off else "--replay"
            raise ConfigError(f"--{name}: with {other} no {name} is opened; leave one of the two out")
    if track is not None and (replay is None or no_microphone):
        raise ConfigError("--track is an audio track of a file: give --replay, without --no-microphone")
    if asr is not None and no_microphone:
        raise ConfigError("--asr transcribes sound, and --no-microphone switches it off; leave one of them out")
    model_folder(run)
    print_notice()
    from multiemo.cli.live_view import show_live
    from multiemo.predict import load
    from multiemo.predict.live import Devices, in_real_time, listen
    from multiemo.predict.live import replay as open_replay
    from multiemo.predict.prediction import LivePrediction

    predictor = load(run, device=device, window=window, asr=asr, asr_language=asr_language)
    rate = predictor.reader.rate
    cut = cast("Segments", segments)
    if replay is not None:
        film = open_replay(replay, rate=rate, audio=not no_microphone, video=not no_camera, track=track)
        for note in film.absent.values():
            typer.echo(f"note: {note}", err=True)
        with predictor.stream(segments=cut, audio=film.has_audio, video=film.has_video, rate=rate) as stream:
            shown = show_live(listen(stream, in_real_time(film, rate)))
        for note in film.problems:
            typer.echo(f"note: {note}", err=True)
    else:
        with predictor.stream(segments=cut, audio=not no_microphone, video=not no_camera, rate=rate) as stream:
            with Devices(
                None if no_camera else camera or 0, None if no_microphone else microphone or "", rate
            ) as devices:
                shown = show_live(listen(stream, iter(devices)))
            if devices.dropped:
                typer.echo(f"note: {devices.dropped} pictures were dropped: the machine is too slow", err=True)
            if devices.lost:
                lost = f"{devices.lost:.1f} s of sound were lost and are silence"
                typer.echo(f"note: {lost}: the machine is too slow", err=True)
    write_json(LivePrediction(segments=shown, model=predictor.describe()), json_file)


def _predict_bulk(out: Path, json_file: str | None, *, engine: str | None, **given: Any) -> None:
    """Run a bulk prediction and print its summary."""
    from multiemo.bulk import predict_bulk
    from multiemo.cli.console import ConsoleProgress

    with ConsoleProgress() as progress:
        summary = predict_bulk(out=out, engine=engine or "local", progress=progress, **given)
    if summary.left_out is not None:
        typer.echo(f"{summary.left_out} files were left out; see {out / 'left_out.jsonl'}", err=True)
    if json_file != "-":
        typer.echo(f"{out / 'predictions.jsonl'}: {summary.predicted} of {summary.inputs} inputs")
        if summary.with_features is not None:
            typer.echo(f"{out / 'features.jsonl'}: {summary.with_features} clips with embeddings")
    write_json(summary, json_file)
    if summary.quarantined:
        listed = out / "quarantine.jsonl"
        typer.echo(f"error: {summary.quarantined} inputs could not be predicted; see {listed}", err=True)
        raise typer.Exit(1)


def show(entry: InputPrediction, written: Sequence[Path] = ()) -> None:
    """Print the segments of one input, and the files of its timeline."""
    from multiemo.predict.prediction import SegmentPrediction, Words

    typer.echo(f"{entry.input}: present: {', '.join(entry.present) or 'nothing'}")
    for m, reason in entry.absent.items():
        typer.echo(f"  {m} absent: {reason}")
    if isinstance(entry.words, Words):
        language = entry.words.language
        typer.echo(f"  words: {entry.words.source}" + (f" ({language})" if language else ""))
    for note in entry.notes:
        typer.echo(f"  note: {note}")
    placed: list[TimelineSegment] = [*entry.segments, *entry.skipped]
    for segment in sorted(placed, key=lambda s: (s.start, s.end)):
        span = f"  {segment.start:7.2f} .. {segment.end:7.2f} s  "
        if isinstance(segment, SegmentPrediction):
            words = f"   {segment.text!r}" if len(placed) > 1 and segment.text is not None else ""
            typer.echo(span + _described(segment) + words)
        else:
            typer.echo(f"{span}nothing to go by ({'; '.join(f'{m}: {why}' for m, why in segment.absent.items())})")
    if written:
        typer.echo(f"  timeline: {', '.join(map(str, written))}")


def _described(segment: SegmentPrediction) -> str:
    """Label and contributions of a segment, or its dimensions if the model has no labels."""
    if segment.label is None or segment.best is None or segment.probs is None:
        by_modality = "; ".join(f"{m}: {_dimensions(values)}" for m, values in segment.by_modality.items())
        return f"{_dimensions(segment)}   ({by_modality})"
    shares = ", ".join(f"{m} {v:+.2f}" for m, v in (segment.contribution or {}).items())
    best = f"{segment.probs[segment.best]:.2f}"
    if segment.label != segment.best:
        best = f"(best guess: {segment.best} {best})"
    line = f"{segment.label:<10} {best}   ({shares})"
    if segment.smoothed is not None and segment.smoothed.label != segment.label:
        line += f"   over time: {segment.smoothed.label}"
    return line


def _dimensions(values: Mapping[str, Any]) -> str:
    """The dimensions among the members, as text."""
    return ", ".join(f"{name} {values[name]:+.2f}" for name in DIMENSIONS if name in values)
