"""The commands demo, train, evaluate, benchmark and compare."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multiemo.cli.common import DeviceOption, JsonOption, write_json
from multiemo.runs.folder.required_files import model_folder, require_manifests

if TYPE_CHECKING:
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

    With several processes: accelerate launch --num_processes 8 -m multiemo train ...
    """
    from multiemo.cli.console import ConsoleProgress
    from multiemo.config import load_config

    checked = load_config(config, overrides or ())
    require_manifests(checked)
    from multiemo.report import format_table
    from multiemo.runs import train as run_training

    with ConsoleProgress() as progress:
        run = run_training(checked, out, resume=resume, profile=profile, progress=progress)
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
        report: Report = evaluate_run(run, manifest=manifest, split=split, device=device, progress=progress)
    if report.split == "test" and (manifest is None or split is not None):
        save_evaluation(run_folder_of(run) if run.name == "model" else run, report)
    if json_file != "-":
        typer.echo(format_table(report))
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


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Evaluated runs or finished benchmarks, two or more.")],
    json_file: JsonOption = None,
) -> None:
    """Compare runs or benchmarks with paired tests; their test parts must be the same."""
    from multiemo.benchmark.compare import compare as compare_folders
    from multiemo.benchmark.tables import comparison

    result = compare_folders(folders)
    if json_file != "-":
        typer.echo(comparison(result))
    write_json(result, json_file)


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
