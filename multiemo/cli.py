"""The command line. Nothing heavy is imported before a command runs.

Exit codes: 0 done, 1 the work failed (one line on standard error), 2 wrong usage or config.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from multiemo import __version__
from multiemo.errors import ConfigError, MultiemoError

if TYPE_CHECKING:
    from multiemo.evaluate import Report

app = typer.Typer(
    help="Emotion recognition from text, voice and face: train branches, fuse them, measure honestly, predict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

cache_app = typer.Typer(help="Look into the cache of preprocessed inputs, or make it smaller.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")

CacheOption = Annotated[Path | None, typer.Option("--folder", help="Default: $MULTIEMO_CACHE or the user's cache.")]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; '-' is standard output.")]


def main() -> None:
    """Run the command line; errors the user can meet become one line."""
    try:
        app()
    except MultiemoError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        typer.echo("interrupted; a training run goes on with --resume, predict --out when it is run again", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Make any call to a model hub an error.")] = False,
) -> None:
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if version:
        typer.echo(f"multiemo {__version__}")
        raise typer.Exit


@app.command()
def demo(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/demo, or the next free number.")] = None,
) -> None:
    """Make a small synthetic corpus and go the whole path with it: train, fuse, evaluate, predict, report."""
    from multiemo.console import ConsoleObserver
    from multiemo.demo import run_demo
    from multiemo.report import format_table

    folder = out or _free_folder(Path("runs/demo"))
    with ConsoleObserver() as observer:
        result = run_demo(folder, overrides=tuple(overrides or ()), observer=observer)
    typer.echo(format_table(result.report))
    segment = result.example["segments"][0]
    shares = ", ".join(f"{m} {v:+.2f}" for m, v in segment["contribution"].items())
    typer.echo(f"\none test clip: {result.example['input']}")
    typer.echo(f"  made as {result.truth}, predicted {segment['best']} ({segment['probs'][segment['best']]:.2f})")
    typer.echo(f"  contribution of each modality to that probability: {shares}")
    typer.echo(f"\nreport: {result.folder / 'report.html'}")
    typer.echo(f"next:   multiemo predict {result.folder} VIDEO --text 'what is said in it'")


@app.command()
def prepare(
    corpus: Annotated[str, typer.Argument(help="Corpus adapter, for instance ravdess, meld or table.")],
    root: Annotated[Path, typer.Argument(help="Folder of the corpus as published.")],
    options: Annotated[list[str] | None, typer.Argument(metavar="[OPTION=VALUE]...")] = None,
    out: Annotated[Path, typer.Option(help="Manifest to write, .jsonl or .parquet.")] = Path("manifest.jsonl"),
) -> None:
    """Turn a corpus folder into a manifest: one row a clip."""
    from collections import Counter

    from multiemo.data.prepare import prepare as prepare_corpus

    given = {}
    for option in options or ():
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"option {option!r}: write it as name=value")
        given[key] = value
    made = prepare_corpus(corpus, root, out, given)
    for skipped in made.skipped[:20]:
        typer.echo(f"left out {skipped.what}: {skipped.reason}", err=True)
    if len(made.skipped) > 20:
        typer.echo(f"left out {len(made.skipped) - 20} more", err=True)
    labels = Counter(c.label if c.label else "several or none" for c in made.clips)
    people = len({c.speaker for c in made.clips if c.speaker})
    typer.echo(f"{out}: {len(made.clips)} clips, {people} speakers, {len(made.skipped)} left out")
    typer.echo("  " + ", ".join(f"{label} {count}" for label, count in labels.most_common()))


@app.command()
def merge(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests, .jsonl or .parquet.")],
    out: Annotated[Path, typer.Option(help="Manifest to write.")],
) -> None:
    """Put several manifests into one, for training on or measuring across corpora."""
    from multiemo.data.merge import merge as merge_manifests

    merged = merge_manifests(manifests, out)
    typer.echo(f"{out}: {len(merged.clips)} clips of {len(manifests)} manifests")
    for corpus in dict.fromkeys(clip.corpus for clip in merged.clips):
        clips = [clip for clip in merged.clips if clip.corpus == corpus]
        sets = " and ".join(dict.fromkeys(clip.label_set or "none" for clip in clips))
        people = len({clip.speaker for clip in clips if clip.speaker})
        typer.echo(f"  {corpus}: {len(clips)} clips, {people} speakers, label sets {sets}")
    if merged.shared is not None:
        typer.echo(f"  ids are corpus:id, since {merged.shared!r} is in two corpora")


@app.command()
def validate(
    manifest: Annotated[Path, typer.Argument(help="Manifest, .jsonl or .parquet.")],
    media: Annotated[bool, typer.Option("--media", help="Also open every file.")] = False,
) -> None:
    """Check a manifest; every bad row is named."""
    from multiemo.console import ConsoleObserver
    from multiemo.data.manifest import check_media, check_rows

    problems = check_rows(manifest)
    if media:
        with ConsoleObserver() as observer:
            observer.stage("open media")
            problems = sorted([*problems, *check_media(manifest, on_progress=observer.progress)], key=lambda p: p.row)
    for problem in problems:
        typer.echo(str(problem))
    if problems:
        typer.echo(f"error: {manifest}: {len(problems)} bad rows", err=True)
        raise typer.Exit(1)
    typer.echo(f"{manifest}: all rows are valid" + (", all media can be read" if media else ""))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file; see configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...")] = None,
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/run"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also trace some steps of each stage: RUN/profile.")
    ] = False,
) -> None:
    """Pretrain the branches and fine-tune the fused model; prints the validation table.

    With several processes: accelerate launch --num_processes 8 -m multiemo train ...
    """
    from multiemo.config import load_config
    from multiemo.console import ConsoleObserver

    checked = load_config(config, overrides or ())
    from multiemo.build import train as run_training
    from multiemo.report import format_table

    with ConsoleObserver() as observer:
        run = run_training(checked, out, resume=resume, profile=profile, observer=observer)
    if int(os.environ.get("RANK", "0")):
        return
    if run.validation is not None:
        typer.echo(format_table(run.validation))
        typer.echo(f"\nmodel: {run.folder / 'model'}")
        typer.echo(f"next:  multiemo evaluate {run.folder}    (reads the test part)")
        return
    for stage, result in run.stages.items():
        loss, guess = result.best["loss"], result.best["naive_loss"]
        typer.echo(f"{stage}: validation loss {loss:.3f}, of a guess {guess:.3f} (epoch {result.best_epoch})")
    for m in checked.modalities if "fuse" in run.stages else run.stages:
        typer.echo(f"next:  fine-tune it with init.{m}={run.folder / 'branches' / m}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    manifest: Annotated[Path | None, typer.Option(help="Evaluate on all labelled rows of this manifest.")] = None,
    split: Annotated[str, typer.Option(help="Part of the run's own split: test, val or train.")] = "test",
    json_file: JsonOption = None,
) -> None:
    """All subsets of modalities on the test part, with intervals; writes evaluation.json and report.html."""
    from multiemo.build import evaluate_run
    from multiemo.console import ConsoleObserver
    from multiemo.report import format_table, save_evaluation

    with ConsoleObserver() as observer:
        report: Report = evaluate_run(run, manifest=manifest, split=split, observer=observer)
    if manifest is None and split == "test":
        save_evaluation(run, report)
    if json_file != "-":
        typer.echo(format_table(report))
    _write_json(report.to_json(), json_file)


@app.command()
def benchmark(
    config: Annotated[Path, typer.Argument(help="YAML file; its benchmark section names the protocol.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write; a begun one is finished.")] = Path("runs/benchmark"),
    seeds: Annotated[int | None, typer.Option(help="Trainings of each fold (benchmark.seeds).")] = None,
    folds: Annotated[int | None, typer.Option(help="K folds of people (protocol kfold with benchmark.folds).")] = None,
    show_leak: Annotated[
        bool, typer.Option("--show-leak", help="Also train and test on shuffled clips, and print what that claims.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Train and test every fold with every seed; tables, tests, robustness, cost, and a report to send."""
    from multiemo.config import load_config
    from multiemo.console import ConsoleObserver

    given = list(overrides or ())
    given += [] if folds is None else ["benchmark.protocol=kfold", f"benchmark.folds={folds}"]
    given += [] if seeds is None else [f"benchmark.seeds={seeds}"]
    checked = load_config(config, given)
    from multiemo.benchmark.run import run_benchmark
    from multiemo.benchmark.tables import summary

    command = shlex.join(["multiemo", *sys.argv[1:]])
    with ConsoleObserver() as observer:
        result = run_benchmark(checked, out, show_leak=show_leak, command=command, observer=observer)
    if json_file != "-":
        typer.echo(summary(result))
        typer.echo(f"\nreport: {out / 'report.html'}   table: {out / 'table.csv'}, {out / 'table.tex'}")
    _write_json(result, json_file)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Evaluated runs or finished benchmarks, two or more.")],
    json_file: JsonOption = None,
) -> None:
    """Runs or benchmarks side by side with paired tests; refused where their test parts differ."""
    from multiemo.benchmark.compare import compare as compare_folders
    from multiemo.benchmark.tables import comparison

    result = compare_folders(folders)
    if json_file != "-":
        typer.echo(comparison(result))
    _write_json(result, json_file)


@cache_app.command()
def info(folder: CacheOption = None, json_file: JsonOption = None) -> None:
    """What the cache holds: entries by kind, bytes, limit, last uses."""
    from multiemo.data.cache import default_cache, default_limit
    from multiemo.data.cache_care import inspect, say_info

    found = inspect(folder or default_cache(), default_limit())
    if json_file != "-":
        typer.echo("\n".join(say_info(found)))
    _write_json(found.to_json(), json_file)


@cache_app.command()
def prune(
    folder: CacheOption = None,
    max_gb: Annotated[float | None, typer.Option(min=0, help="The least recently used go until this fits.")] = None,
    older_than: Annotated[float | None, typer.Option(min=0, help="Those not used for this many days go.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All go; removes a damaged cache too.")] = False,
    json_file: JsonOption = None,
) -> None:
    """Delete entries and give their space back to the disk; what is needed again is made again."""
    from multiemo.data.cache import default_cache
    from multiemo.data.cache_care import prune as prune_cache
    from multiemo.data.cache_care import say_pruned

    if max_gb is None and older_than is None and not everything:
        raise ConfigError("cache prune: say what goes: --max-gb GB, --older-than DAYS or --all")
    done = prune_cache(
        folder or default_cache(),
        max_bytes=None if max_gb is None else int(max_gb * 1e9),
        older_than=None if older_than is None else older_than * 86400,
        everything=everything,
    )
    if json_file != "-":
        typer.echo(say_pruned(done))
    _write_json(done.to_json(), json_file)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Run folder or model folder.")],
    inputs: Annotated[list[str] | None, typer.Argument(help="Videos, audio, images, folders or manifests.")] = None,
    text: Annotated[str | None, typer.Option(help="What is said; alone it is predicted by itself.")] = None,
    transcript: Annotated[Path | None, typer.Option(help="Text file with what is said.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for very many inputs; run again, it goes on.")] = None,
    engine: Annotated[str | None, typer.Option(help="With --out: local (processes; default) or ray.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="With --out: processes; default: one a core.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="With --out: also a manifest of the encoders' vectors.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Emotion of each segment of each input, with what each modality says and contributes."""
    if out is None and (engine is not None or workers is not None or embeddings):
        raise ConfigError("--engine, --workers and --embeddings are for very many inputs: give --out DIR too")
    if text is not None and transcript is not None:
        raise ConfigError("give --text or --transcript, not both")
    if transcript is not None:
        text = _read_transcript(transcript)
    if not inputs and text is None:
        raise ConfigError("nothing to predict: name a file or give --text")
    if out is not None:
        _predict_bulk(
            out,
            json_file,
            run=run,
            inputs=inputs or (),
            text=text,
            engine=engine,
            workers=workers,
            embeddings=embeddings,
        )
        return
    from multiemo.predict import expand, load, predict_all

    predictor = load(run)
    items = expand(inputs or (), text=text, context=predictor.context)
    result, failures = predict_all(predictor, items)
    if json_file != "-":
        for entry in result["inputs"]:
            _show(entry)
    _write_json(result, json_file)
    for _, message in failures:
        typer.echo(f"error: {message}", err=True)
    if failures:
        raise typer.Exit(1)


def _predict_bulk(out: Path, json_file: str | None, *, engine: str | None, **given: Any) -> None:
    from multiemo.bulk import predict_bulk
    from multiemo.console import ConsoleObserver

    with ConsoleObserver() as observer:
        summary = predict_bulk(out=out, engine=engine or "local", observer=observer, **given)
    if json_file != "-":
        typer.echo(f"{out / 'predictions.jsonl'}: {summary['predicted']} of {summary['inputs']} inputs")
        if "with_features" in summary:
            typer.echo(f"{out / 'features.jsonl'}: {summary['with_features']} clips with vectors")
    _write_json(summary, json_file)
    if summary["quarantined"]:
        where = out / "quarantine.jsonl"
        typer.echo(f"error: {summary['quarantined']} inputs could not be predicted; {where} says why", err=True)
        raise typer.Exit(1)


def _show(entry: dict[str, Any]) -> None:
    typer.echo(f"{entry['input']}: present: {', '.join(entry['present']) or 'nothing'}")
    for m, reason in entry["absent"].items():
        typer.echo(f"  {m} absent: {reason}")
    for note in entry["notes"]:
        typer.echo(f"  note: {note}")
    spans = [(s["start"], s["end"], s) for s in entry["segments"]] + [
        (s["start"], s["end"], s) for s in entry["skipped"]
    ]
    for start, end, said in sorted(spans, key=lambda span: span[:2]):
        if "label" not in said:
            why = "; ".join(f"{m}: {reason}" for m, reason in said["absent"].items())
            typer.echo(f"  {start:7.2f} .. {end:7.2f} s  nothing to go by ({why})")
            continue
        shares = ", ".join(f"{m} {v:+.2f}" for m, v in said["contribution"].items())
        best = f"{said['probs'][said['best']]:.2f}"
        if said["label"] != said["best"]:
            best = f"(best guess: {said['best']} {best})"
        typer.echo(f"  {start:7.2f} .. {end:7.2f} s  {said['label']:<10} {best}   ({shares})")


def _write_json(values: dict[str, Any], target: str | None) -> None:
    if target is None:
        return
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"--json: {target!r} cannot be written: {error.strerror}") from None


def _read_transcript(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"--transcript: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--transcript: {path} is not UTF-8 text; save it as UTF-8") from None


def _free_folder(base: Path) -> Path:
    number = 1
    while (folder := base if number == 1 else base.with_name(f"{base.name}-{number}")).exists():
        number += 1
    return folder
