"""The commands demo, train, evaluate, benchmark and compare."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multiemo.cli.common import DeviceOption, JsonOption, write_json
from multiemo.runs.folder.required_files import model_folder, require_manifests

if TYPE_CHECKING:
    from multiemo.config import Config
    from multiemo.evaluation import Report
    from multiemo.runs import Run


def demo(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Keys of the config to set.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/demo, or the next free number.")] = None,
) -> None:
    """Run every step on a small synthetic corpus: train, fuse, evaluate, predict, report."""
    from multiemo.cli.console import ConsoleProgress
    from multiemo.demo import run_demo
    from multiemo.report import format_table

    folder = out or _free_folder(Path("runs/demo"))
    with ConsoleProgress() as progress:
        result = run_demo(folder, overrides=tuple(overrides or ()), progress=progress)
    typer.echo(format_table(result.report))
    segment = result.example["segments"][0]
    shares = ", ".join(f"{m} {v:+.2f}" for m, v in segment["contribution"].items())
    typer.echo(f"\none test clip: {result.example['input']}")
    typer.echo(f"  true label {result.truth}, predicted {segment['best']} ({segment['probs'][segment['best']]:.2f})")
    typer.echo(f"  contribution of each modality to that probability: {shares}")
    typer.echo(f"\nreport: {result.folder / 'report.html'}")
    typer.echo(f"next:   multiemo predict {result.folder} VIDEO --text 'what is said in it'")


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; see configs/.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Keys of the config to set.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/run"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also trace some steps of each stage: RUN/profile.")
    ] = False,
) -> None:
    """Pretrain the branches, fine-tune the fused model and print the validation table.

    A setting of a stage comes from per_stage, else from training (in the file or on the command line), else from the
    recipe of the stage's encoder, else from the defaults. OUT/config.yaml keeps the four apart; recipes={} uses none.

    With several processes: accelerate launch --num_processes 8 -m multiemo train ...
    """
    from multiemo.cli.console import ConsoleProgress
    from multiemo.config import load_config

    checked = load_config(config, overrides or ())
    require_manifests(checked)
    from multiemo.report import format_table
    from multiemo.report.trained import train as run_training
    from multiemo.training.parallel import leave_processes

    with ConsoleProgress() as progress:
        for note in _recipe_notes(checked):
            progress.note(note)
        run = run_training(checked, out, resume=resume, profile=profile, progress=progress)
    leave_processes()
    if int(os.environ.get("RANK", "0")):
        return
    if run.validation is not None:
        typer.echo(f"{format_table(run.validation)}\n")
    if run.bundle is not None:
        typer.echo(f"model: {run.folder / 'model'}")
        typer.echo(f"next:  {_next(run)}")
        return
    for stage, result in run.stages.items():
        if not result.best:
            typer.echo(f"{stage}: {result.epochs} epochs; no validation part")
            continue
        loss, naive = result.best["loss"], result.best["naive_loss"]
        typer.echo(f"{stage}: validation loss {loss:.3f}, naive {naive:.3f} (epoch {result.best_epoch})")
    for m in checked.modalities if "fuse" in run.stages else run.stages:
        typer.echo(f"next:  fine-tune it with init.{m}={run.folder / 'branches' / m}")


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or one of its branches.")],
    manifest: Annotated[
        Path | None,
        typer.Option(help="Evaluate on all labelled rows of this manifest; with --split: new path of the run's own."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Part of the run's own split: test (default), val or train.")
    ] = None,
    enrol_clips: Annotated[
        int,
        typer.Option(
            min=0,
            help="Compare each clip with this many others of its speaker, unlabelled (speaker_normalization); the "
            "run's own report stays as it is.",
        ),
    ] = 0,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Evaluate all subsets of modalities on the test part, with intervals; writes evaluation.json and report.html."""
    model_folder(run)
    from multiemo.cli.console import ConsoleProgress
    from multiemo.report import format_table, save_evaluation
    from multiemo.runs import evaluate_run
    from multiemo.runs.folder.evaluation_log import run_folder_of

    with ConsoleProgress() as progress:
        report: Report = evaluate_run(
            run, manifest=manifest, split=split, device=device, enrol_clips=enrol_clips, progress=progress
        )
    folder = run_folder_of(run) if run.name == "model" else run
    stored = report.split == "test" and (manifest is None or split is not None) and not enrol_clips
    if stored:
        save_evaluation(folder, report)
    if json_file != "-":
        typer.echo(format_table(report))
        if stored:
            typer.echo(f"report: {folder / 'report.html'}")
            typer.echo(f"next:  multiemo explain {folder} --global --out {folder / 'model.html'}")
    write_json(report, json_file)


def benchmark(
    config: Annotated[Path, typer.Argument(help="YAML file; its benchmark section names the protocol.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Keys of the config to set.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write; an unfinished benchmark in it is resumed.")] = Path(
        "runs/benchmark"
    ),
    seeds: Annotated[int | None, typer.Option(help="Number of trainings for each fold (benchmark.seeds).")] = None,
    folds: Annotated[
        int | None, typer.Option(help="Number of folds of people (protocol kfold with benchmark.folds).")
    ] = None,
    show_leak: Annotated[
        bool, typer.Option("--show-leak", help="Also measure a split of shuffled clips, which leaks speakers.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Train and test every fold with every seed; writes tables, paired tests, robustness, cost and a report."""
    from multiemo.cli.console import ConsoleProgress
    from multiemo.config import load_config

    given = list(overrides or ())
    given += [] if folds is None else ["benchmark.protocol=kfold", f"benchmark.folds={folds}"]
    given += [] if seeds is None else [f"benchmark.seeds={seeds}"]
    checked = load_config(config, given)
    require_manifests(checked)
    from multiemo.benchmark.run import run_benchmark
    from multiemo.benchmark.tables import summary

    command = shlex.join(["multiemo", *sys.argv[1:]])
    with ConsoleProgress() as progress:
        result = run_benchmark(checked, out, show_leak=show_leak, command=command, progress=progress)
    if json_file != "-":
        typer.echo(summary(result))
        typer.echo(f"\nreport: {out / 'report.html'}   table: {out / 'table.csv'}, {out / 'table.tex'}")
    write_json(result, json_file)


def cross_corpus(
    config: Annotated[Path, typer.Argument(help="YAML file over a merged manifest (multiemo merge).")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Keys of the config to set.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write; unfinished work in it is continued.")] = Path(
        "runs/cross_corpus"
    ),
    seeds: Annotated[int | None, typer.Option(help="Number of trainings on each corpus (benchmark.seeds).")] = None,
    json_file: JsonOption = None,
) -> None:
    """Train on each corpus alone and test on every one: a matrix, and model cards that quote the worst corpus."""
    from multiemo.cli.console import ConsoleProgress
    from multiemo.config import load_config

    checked = load_config(config, [*(overrides or ()), *([] if seeds is None else [f"benchmark.seeds={seeds}"])])
    require_manifests(checked)
    from multiemo.benchmark.cross_corpus import run_cross_corpus, summary

    with ConsoleProgress() as progress:
        result = run_cross_corpus(checked, out, command=shlex.join(["multiemo", *sys.argv[1:]]), progress=progress)
    if json_file != "-":
        typer.echo(summary(result))
        typer.echo(f"\nreport: {out / 'report.html'}   table: {out / 'table.csv'}")
    write_json(result, json_file)


def card(run: Annotated[Path, typer.Argument(help="Run folder, or one of its branches.")]) -> None:
    """Write the model card of a run, README.md of its model folder, again from what the run has recorded."""
    model_folder(run)
    from multiemo.report import write_card

    typer.echo(write_card(run))


def compare(
    systems: Annotated[
        list[Path],
        typer.Argument(
            help="Evaluated runs, finished benchmarks, and files with predictions of other systems (JSON Lines, CSV, "
            "TSV, Parquet, Excel): two or more; with --clips, one run."
        ),
    ],
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Compare on the clips that every file answers.")
    ] = False,
    manifest: Annotated[Path | None, typer.Option(help="New path of the runs' manifest, if it has moved.")] = None,
    clips: Annotated[
        Path | None, typer.Option(help="Only write the test clips, without labels, for another system to answer.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write comparison.html, .csv and .json to.")] = None,
    json_file: JsonOption = None,
) -> None:
    """Compare runs, benchmarks and predictions of other systems on the same test clips, with paired tests."""
    from multiemo.benchmark.compare import compare as compare_systems
    from multiemo.benchmark.compare import write_clips
    from multiemo.benchmark.tables import comparison
    from multiemo.errors import ConfigError

    if clips is not None:
        if len(systems) != 1:
            raise ConfigError("--clips: name one evaluated run or benchmark, whose test clips are written")
        typer.echo(f"{clips}: {write_clips(clips, systems[0], manifest)} clips")
        return
    result = compare_systems(systems, allow_missing=allow_missing, manifest=manifest)
    if json_file != "-":
        typer.echo(comparison(result))
    if out is not None:
        from multiemo.benchmark.comparison_page import write_comparison

        page = write_comparison(out, result)
        if json_file != "-":
            typer.echo(f"\npage: {page}")
    write_json(result, json_file)


def _recipe_notes(config: Config) -> Iterator[str]:
    """For each stage, the settings that come from the recipe of its encoder."""
    for m, settings in config.recipes.items():
        values = ((key, value[m] if isinstance(value, dict) else value) for key, value in settings.items())
        yield f"{m}: recipe of {config.encoders[m].name}: {', '.join(f'{key} {value}' for key, value in values)}"


def _next(run: Run) -> str:
    """The next command for a finished run."""
    splits = json.loads((run.folder / "splits.json").read_text("utf-8"))
    tested = run.bundle is not None and splits[run.bundle.facts["stage"]]["parts"]["test"]
    if tested:
        return f"multiemo evaluate {run.folder}    (reads the test part)"
    return f"multiemo evaluate {run.folder} --manifest M.jsonl    (of people that it has not seen)"


def _free_folder(base: Path) -> Path:
    """The first of ``base``, ``base-2`` ... that does not exist."""
    number = 1
    while (folder := base if number == 1 else base.with_name(f"{base.name}-{number}")).exists():
        number += 1
    return folder
