"""Commands that use a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from multiemo.cli.common import DeviceOption, JsonOption, TrackOption, say_left_out, write_json
from multiemo.errors import ConfigError
from multiemo.runs.folder.required_files import model_folder
from multiemo.types import DIMENSIONS

if TYPE_CHECKING:
    from multiemo.predict.prediction import InputPrediction, SegmentPrediction, TimelineSegment
    from multiemo.predict.reader import Segments


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    inputs: Annotated[list[str] | None, typer.Argument(help="Videos, audio, images, folders or manifests.")] = None,
    text: Annotated[str | None, typer.Option(help="What is said; alone it is predicted by itself.")] = None,
    transcript: Annotated[
        Path | None, typer.Option(help="What is said: subtitles of any kind, JSON with times, or plain text.")
    ] = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, for what has no transcript.")
    ] = None,
    segments: Annotated[str, typer.Option(help="auto, whole, speech (turns and pauses) or windows.")] = "auto",
    window: Annotated[
        float | None, typer.Option(help="Seconds of a window, or of the longest pause; default: 4.")
    ] = None,
    hop: Annotated[float | None, typer.Option(help="Seconds between windows that overlap.")] = None,
    track: TrackOption = None,
    cropped: Annotated[
        bool, typer.Option("--cropped", help="Images are face crops: no face is looked for in them.")
    ] = False,
    timeline: Annotated[Path | None, typer.Option(help="Folder for a timeline of each input.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="With --timeline: a format to write, such as srt, TextGrid or png; default: all."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for very many inputs; run again, it goes on.")] = None,
    engine: Annotated[str | None, typer.Option(help="With --out: local (processes; default) or ray.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="With --out: processes; default: one a core.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="With --out: also a manifest of the encoders' vectors.")
    ] = False,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Emotion of each segment of each input, with what each modality says and contributes."""
    if out is None and (engine is not None or workers is not None or embeddings):
        raise ConfigError("--engine, --workers and --embeddings are for very many inputs: give --out DIR too")
    if text is not None and transcript is not None:
        raise ConfigError("give --text or --transcript, not both")
    if asr is not None and (text is not None or transcript is not None):
        raise ConfigError("--asr writes down what has no words, and --text or --transcript gives them: leave one out")
    if window is not None and segments == "whole":
        raise ConfigError("--window: with --segments whole nothing is cut; leave one out")
    if formats and timeline is None:
        raise ConfigError("--format says how a timeline is written: give --timeline DIR too")
    if not inputs and text is None and transcript is None:
        raise ConfigError("nothing to predict: name a file or give --text")
    model_folder(run)
    if out is not None:
        chosen = timeline or transcript or asr or segments != "auto"
        if chosen or any(option is not None for option in (hop, window, track)):
            raise ConfigError(
                "--out takes the files as they are: no --timeline, --transcript, --asr, --track or segment options"
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

    writing = None
    if timeline is not None:
        from multiemo.predict.formats.folder import TimelineWriter

        writing = TimelineWriter(timeline, formats)
    words = None if transcript is None else read_transcript(transcript)
    how: dict[str, Any] = {} if window is None else {"window": window}
    predictor = load(
        run,
        device=device,
        segments=cast("Segments", segments),
        hop=hop,
        asr=asr,
        traces=writing is not None,
        track=track,
        **how,
    )
    left_out: list[LeftOut] = []
    items = expand(
        inputs or (), text=text, transcript=words, context=predictor.context, cropped=cropped, left_out=left_out
    )
    say_left_out(left_out)
    if (asr is not None or segments != "auto" or how) and not any(item.plays for item in items):
        raise ConfigError("--asr, --segments, --window and --hop are for films and sound files, and no input is one")
    entries: list[InputPrediction] = []
    failures: list[InputFailure] = []
    mute: OSError | None = None  # standard output takes no more
    for item, answer in zip(items, predictor.predict_many(items), strict=True):
        if not isinstance(answer, Answer):
            failures.append(InputFailure(input=item.name, error=str(answer)))
            continue
        entries.append(answer.entry)
        written: list[Path] = []
        if writing is not None:
            written, unwritten = writing.write(answer)
            failures += unwritten
        if json_file != "-" and mute is None:
            try:
                show(answer.entry, written)
            except OSError as error:
                if json_file is None and writing is None:
                    raise
                mute = error
    for failure in failures:
        typer.echo(f"error: {failure.error}", err=True)
    prediction = Prediction(
        inputs=entries, model=predictor.describe(), failures=failures or None, left_out=left_out or None
    )
    write_json(prediction, json_file)
    if mute is not None:
        raise mute
    if failures:
        raise typer.Exit(1)


def live(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    camera: Annotated[int | None, typer.Option(help="Number of the camera; default: 0.")] = None,
    no_camera: Annotated[bool, typer.Option("--no-camera", help="Leave the camera off.")] = False,
    microphone: Annotated[
        str | None, typer.Option(help="Number or name of the microphone; default: the usual one.")
    ] = None,
    no_microphone: Annotated[bool, typer.Option("--no-microphone", help="Leave the microphone off.")] = False,
    replay: Annotated[Path | None, typer.Option(help="A file at the speed of life, instead of the devices.")] = None,
    track: TrackOption = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, that writes down the words.")
    ] = None,
    segments: Annotated[str, typer.Option(help="speech (turns and pauses) or windows.")] = "speech",
    window: Annotated[float, typer.Option(help="Seconds of a window, or of the longest pause.")] = 4.0,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Webcam and microphone (pip install "multiemo[live]"), segment by segment; Ctrl-C ends it. Nothing is recorded."""
    if segments not in ("speech", "windows"):
        raise ConfigError(f"--segments: {segments!r} is not one of speech, windows")
    for name, wanted, off in (("camera", camera, no_camera), ("microphone", microphone, no_microphone)):
        if wanted is not None and (off or replay is not None):
            other = f"--no-{name}" if off else "--replay"
            raise ConfigError(f"--{name}: with {other} no {name} is opened; leave one of the two out")
    if track is not None and (replay is None or no_microphone):
        raise ConfigError("--track chooses among the audio tracks of a file: give --replay, without --no-microphone")
    if asr is not None and no_microphone:
        raise ConfigError("--asr writes down what is heard, and --no-microphone leaves the sound out; leave out one")
    model_folder(run)
    from multiemo.cli.live_view import show_live
    from multiemo.predict import load
    from multiemo.predict.live import Devices, in_real_time, listen
    from multiemo.predict.live import replay as replayed
    from multiemo.predict.prediction import LivePrediction

    predictor = load(run, device=device, window=window, asr=asr)
    rate = predictor.reader.rate
    cut = cast("Segments", segments)
    if replay is not None:
        film = replayed(replay, rate=rate, audio=not no_microphone, video=not no_camera, track=track)
        for note in film.absent.values():
            typer.echo(f"note: {note}", err=True)
        with predictor.stream(segments=cut, audio=film.has_audio, video=film.has_video, rate=rate) as stream:
            seen = show_live(listen(stream, in_real_time(film, rate)))
        for note in film.problems:
            typer.echo(f"note: {note}", err=True)
    else:
        with predictor.stream(segments=cut, audio=not no_microphone, video=not no_camera, rate=rate) as stream:
            with Devices(
                None if no_camera else camera or 0, None if no_microphone else microphone or "", rate
            ) as devices:
                seen = show_live(listen(stream, iter(devices)))
            if devices.dropped:
                typer.echo(f"note: {devices.dropped} pictures were dropped: the machine is too slow", err=True)
    write_json(LivePrediction(segments=seen, model=predictor.describe()), json_file)


def _predict_bulk(out: Path, json_file: str | None, *, engine: str | None, **given: Any) -> None:
    from multiemo.bulk import predict_bulk
    from multiemo.cli.console import ConsoleProgress

    with ConsoleProgress() as progress:
        summary = predict_bulk(out=out, engine=engine or "local", progress=progress, **given)
    if summary.left_out is not None:
        typer.echo(f"{summary.left_out} files were left out; {out / 'left_out.jsonl'} says why", err=True)
    if json_file != "-":
        typer.echo(f"{out / 'predictions.jsonl'}: {summary.predicted} of {summary.inputs} inputs")
        if summary.with_features is not None:
            typer.echo(f"{out / 'features.jsonl'}: {summary.with_features} clips with vectors")
    write_json(summary, json_file)
    if summary.quarantined:
        where = out / "quarantine.jsonl"
        typer.echo(f"error: {summary.quarantined} inputs could not be predicted; {where} says why", err=True)
        raise typer.Exit(1)


def show(entry: InputPrediction, written: Sequence[Path] = ()) -> None:
    """Print one input's segments, and the files of its timeline."""
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
            typer.echo(span + _said(segment) + words)
        else:
            typer.echo(f"{span}nothing to go by ({'; '.join(f'{m}: {why}' for m, why in segment.absent.items())})")
    if written:
        typer.echo(f"  timeline: {', '.join(map(str, written))}")


def _said(segment: SegmentPrediction) -> str:
    """Label and contributions of a segment, or its dimensions where the model has no labels."""
    if segment.label is None or segment.best is None or segment.probs is None:
        alone = "; ".join(f"{m}: {_dimensions(values)}" for m, values in segment.by_modality.items())
        return f"{_dimensions(segment)}   ({alone})"
    shares = ", ".join(f"{m} {v:+.2f}" for m, v in (segment.contribution or {}).items())
    best = f"{segment.probs[segment.best]:.2f}"
    if segment.label != segment.best:
        best = f"(best guess: {segment.best} {best})"
    line = f"{segment.label:<10} {best}   ({shares})"
    if segment.smoothed is not None and segment.smoothed.label != segment.best:
        line += f"   over time: {segment.smoothed.label}"
    return line


def _dimensions(said: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {said[name]:+.2f}" for name in DIMENSIONS if name in said)
