"""The command explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from multiemo.cli.common import (
    AsrLanguageOption,
    DeviceOption,
    JsonOption,
    TrackOption,
    check_reading,
    check_window,
    check_words,
    refuse_replacing,
    write_json,
)
from multiemo.errors import ConfigError, MultiemoError
from multiemo.runs.folder.required_files import model_folder

if TYPE_CHECKING:
    from multiemo.predict import Item, Predictor
    from multiemo.predict.reader import Segments

#: Defaults of ``--most`` and ``--clips``.
_MOST, _CLIPS = 8, 200


def explain(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    input_: Annotated[
        str | None, typer.Argument(metavar="[INPUT]", help="Video, audio, image or manifest.", show_default=False)
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="What is said in the input; without an input, the text to explain.")
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(help="File with what is said: subtitles of any kind, JSON with times, or plain text."),
    ] = None,
    asr: Annotated[
        str | None, typer.Option(help="Whisper model, by name or folder, if there is no transcript.")
    ] = None,
    asr_language: AsrLanguageOption = None,
    clip: Annotated[str | None, typer.Option(help="Id of the row, if the input is a manifest of several.")] = None,
    segments: Annotated[
        str, typer.Option(help="How a file is cut: auto, whole, speech (turns and pauses) or windows.")
    ] = "auto",
    window: Annotated[
        float | None, typer.Option(help="Length of a window and of the longest pause, seconds; default: 4.")
    ] = None,
    track: TrackOption = None,
    cropped: Annotated[
        bool, typer.Option("--cropped", help="The image is already a face crop; no face is searched in it.")
    ] = False,
    start: Annotated[float | None, typer.Option(help="Explain only segments after this time, seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="Explain only segments before this time, seconds.")] = None,
    most: Annotated[
        int, typer.Option(min=1, help="Largest number of segments to explain, the most telling ones.")
    ] = _MOST,
    language: Annotated[
        str | None, typer.Option(help="Language of the page: en or zh; default: zh if the words are Chinese, else en.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the explanation as a page to this HTML file.")] = None,
    whole: Annotated[
        bool, typer.Option("--global", help="Explain the model as a whole, on its validation part, without an input.")
    ] = False,
    split: Annotated[str, typer.Option(help="With --global: the part of the run's split.")] = "val",
    manifest: Annotated[
        Path | None, typer.Option(help="With --global: where the run's manifest is now, if it has moved.")
    ] = None,
    clips: Annotated[
        int, typer.Option(min=2, help="With --global: number of clips whose evidence is computed and checked.")
    ] = _CLIPS,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Explain a prediction: which modality decided, what inside it, what would have changed it, what rules say.

    With --global, explain the model as a whole: the cues of each label, confusions, errors by group, and how faithful
    its evidence is. The figures of faithfulness are stored beside the model, and every later explanation shows them.
    """
    if out is not None and out.suffix.lower() != ".html":
        raise ConfigError(f"--out: {out}: the name of the page must end in .html")
    for option, target in (("--out", out), ("--json", json_file)):
        refuse_replacing(option, target, [input_, transcript, manifest])
    if whole:
        unread = {
            "the input": input_ is not None,
            "--text": text is not None,
            "--transcript": transcript is not None,
            "--asr": asr is not None,
            "--asr-language": asr_language is not None,
            "--clip": clip is not None,
            "--segments": segments != "auto",
            "--window": window is not None,
            "--track": track is not None,
            "--cropped": cropped,
            "--start": start is not None,
            "--end": end is not None,
            "--most": most != _MOST,
            "--language": language is not None,
        }
        if given := [name for name, is_given in unread.items() if is_given]:
            raise ConfigError(f"--global explains the model as a whole: leave out {', '.join(given)}")
        _explain_model(run, out, json_file, split=split, manifest=manifest, clips=clips, device=device)
        return
    if split != "val" or manifest is not None or clips != _CLIPS:
        raise ConfigError("--split, --manifest and --clips apply to the model as a whole: add --global")
    if input_ is None and text is None:
        raise ConfigError("nothing to explain: name a file or give --text")
    if clip is not None and input_ is None:
        raise ConfigError("--clip is the id of a manifest row: name the manifest")
    check_words(text, transcript, asr)
    check_window(window, segments)
    if language is not None and out is None and json_file is not None:
        raise ConfigError("--language is that of a page or summary, and --json alone writes neither: add --out FILE")
    if out is not None and not out.absolute().parent.is_dir():
        raise ConfigError(f"--out: {out}: its folder does not exist")
    model_folder(run)
    from multiemo.predict import load
    from multiemo.predict.explanations.page.page import page_language, render_page
    from multiemo.predict.explanations.page.summary import summary_lines
    from multiemo.predict.explanations.page.wording import PageTexts

    if language is not None:
        PageTexts(language)
    settings: dict[str, Any] = {} if window is None else {"window": window}
    settings |= {"asr": asr, "asr_language": asr_language}
    predictor = load(run, device=device, segments=cast("Segments", segments), track=track, **settings)
    item = _only_item(predictor, input_, text, transcript, cropped, clip)
    check_reading([item], asr=asr, segments=segments, window=window, track=track)
    explanation = predictor.explain_item(item, start=start, end=end, most=most)
    if out is not None:
        from multiemo.files import write_atomically

        write_atomically(out, render_page(explanation, language), error=MultiemoError)
    if json_file != "-":
        if out is None and json_file is None:
            for line in summary_lines(explanation, PageTexts(language or page_language(explanation))):
                typer.echo(line)
        for written in (out, json_file):
            if written is not None:
                typer.echo(str(written))
        typer.echo("seconds: " + ", ".join(f"{step} {s:.2f}" for step, s in explanation.seconds.items()), err=True)
    write_json(explanation, json_file)


def _explain_model(
    run: Path,
    out: Path | None,
    json_file: str | None,
    *,
    split: str,
    manifest: Path | None,
    clips: int,
    device: str,
) -> None:
    """Measure the faithfulness of a run's evidence, and explain the run as a whole.

    Args:
        run: run folder.
        out: page to write.
        json_file: JSON to write.
        split: part of the run's split.
        manifest: where its manifest is now.
        clips: number of clips whose evidence is computed.
        device: device of the model.
    """
    from multiemo.cli.console import ConsoleProgress
    from multiemo.explanation.faithfulness.stored import measure_run
    from multiemo.explanation.overall.measure import explain_run
    from multiemo.report.overall import model_lines, write_model_page

    with ConsoleProgress() as progress:
        measure_run(run, manifest=manifest, clips=clips, device=device, progress=progress)
        found = explain_run(run, split=split, manifest=manifest, clips=clips, device=device, progress=progress)
    if out is not None:
        write_model_page(found, out)
    if json_file != "-":
        for line in model_lines(found) if out is None and json_file is None else ():
            typer.echo(line)
        for written in (out, json_file):
            if written is not None:
                typer.echo(str(written))
    write_json(found, json_file)


def _only_item(
    predictor: Predictor, source: str | None, text: str | None, transcript: Path | None, cropped: bool, clip: str | None
) -> Item:
    """The one item to explain.

    Args:
        predictor: the model.
        source: path of the input.
        text, transcript: its words, or a file with them.
        cropped: the input is a face crop.
        clip: id of a manifest row.

    Raises:
        ConfigError: the input holds several items, or not the one that ``clip`` names.
    """
    from multiemo.predict import expand
    from multiemo.transcripts import read_transcript

    words = None if transcript is None else read_transcript(transcript)
    sources = [] if source is None else [source]
    items = expand(sources, text=text, transcript=words, context=predictor.context, cropped=cropped)
    if clip is not None:
        found = [item for item in items if item.clip is not None and item.clip.id == clip]
        if not found:
            raise ConfigError(f"--clip: {source} has no row with the id {clip!r}")
        return found[0]
    if len(items) != 1:
        names = ", ".join(item.name for item in items[:3])
        raise ConfigError(
            f"{source}: holds {len(items)} inputs ({names} ...), and one is explained at a time; name a file, or a row "
            "of a manifest with --clip ID"
        )
    return items[0]
