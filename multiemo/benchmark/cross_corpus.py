"""Train on each corpus of a merged manifest and test on every one of them: the full matrix.

Every column has the same clips: the test part of one corpus. No model has seen its speakers or, where they are unknown
or cannot be kept apart, its dialogues or clips. The diagonal is the figure within a corpus, other rows of a column are
models of other corpora. The folder holds::

    manifests/   rows and test rows of each corpus
    cells/       one run folder per corpus and seed; on-CORPUS.jsonl holds its predictions for another corpus
    cross_corpus.json  report.html  table.csv
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from multiemo.benchmark import results
from multiemo.benchmark.document import SystemFigures
from multiemo.benchmark.folder import open_folder
from multiemo.benchmark.predictions import pool, read_records
from multiemo.benchmark.trainings import Cell, run_cells
from multiemo.config import Config, save_config
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.data.prepare import clip_paths, join, reach, with_paths
from multiemo.data.splits.grouping import GROUP_BY, GroupBy
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError, SplitError
from multiemo.files import write_atomically
from multiemo.metrics import MAIN_FIGURE
from multiemo.pages import page_template
from multiemo.progress import Progress
from multiemo.records import Record, record
from multiemo.report import format_interval, format_number, markdown, write_cards
from multiemo.runs import evaluate_run
from multiemo.runs.folder.lock import lock_folder
from multiemo.runs.sources import has_label, open_manifest
from multiemo.types import Clip


@record
class TransferCell(Record):
    """One cell of the matrix: the largest subset of the models of one corpus on the test part of a corpus.

    Args:
        train: corpus of train and validation.
        test: corpus whose test part is measured.
        speakers: number of tested speakers.
        figures: figures, averaged over seeds, with intervals over speakers.
    """

    train: str
    test: str
    speakers: int
    figures: SystemFigures


@record
class CrossCorpusResult(Record):
    """The matrix: ``cross_corpus.json``.

    Args:
        name: name of the experiment.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        label_set: labels that all corpora share.
        figure: name of the main figure.
        corpora: names of the corpora, the rows and columns.
        group_by: {corpus: what is never in two of its parts}.
        seeds: seeds of the trainings.
        cells: the matrix, row by row.
        worst: {train corpus: the other corpus on which its models are worst}.
        command: the command line.
    """

    name: str
    task: str
    label_set: list[str]
    figure: str
    corpora: list[str]
    group_by: dict[str, str]
    seeds: list[int]
    cells: list[TransferCell]
    worst: dict[str, str]
    command: str = ""

    @property
    def unseen(self) -> str:
        """What no model has met of the test part of its own corpus."""
        units = {"speaker": "people", "group": "groups", "clip": "clips"}
        named = {corpus: units.get(unit, unit) for corpus, unit in self.group_by.items()}
        kinds = set(named.values())
        return kinds.pop() if len(kinds) == 1 else ", ".join(f"{unit} of {name}" for name, unit in named.items())

    def cell(self, train: str, test: str) -> TransferCell:
        """The cell of a row and a column."""
        return next(c for c in self.cells if (c.train, c.test) == (train, test))


def run_cross_corpus(
    config: Config, out: str | Path, *, command: str = "", progress: Progress | None = None
) -> CrossCorpusResult:
    """Train a config on each corpus of its manifest alone, and test every model on the test part of every corpus.

    Args:
        config: an experiment over a merged manifest; ``benchmark.seeds`` and ``benchmark.jobs`` are used.
        out: folder to write; unfinished work in it is continued.
        command: the command line, for the result.
        progress: receives the progress.

    Raises:
        MultiemoError: the corpora share no label set, a corpus cannot be split by people, or a training failed.
    """
    folder, progress = Path(out), progress or Progress()
    manifest = Path(str(config.data.manifest))
    clips = by_corpus(config, manifest)
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder, progress):
        open_folder(folder, config)
        save_config(config, folder / "config.yaml")
        configs = {name: _own_config(config, name, rows, manifest, folder) for name, rows in clips.items()}
        seeds = [config.seed + i for i in range(config.benchmark.seeds)]
        cells = [
            Cell(name, seed, own.model_copy(update={"seed": seed}), folder / "cells" / f"{name}-seed{seed}")
            for seed in seeds
            for name, own in configs.items()
        ]
        run_cells(cells, jobs=config.benchmark.jobs, progress=progress)
        tests = {name: _write_test(own, name, folder) for name, own in configs.items()}
        progress.stage("test on other corpora")
        for done, cell in enumerate(cells, start=1):
            _test_elsewhere(cell, tests)
            progress.update(done, len(cells))
        result = _result(config, cells, {name: own.data.split.group_by for name, own in configs.items()}, command)
        write_atomically(folder / "cross_corpus.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        write_atomically(folder / "table.csv", csv_table(result))
        write_atomically(folder / "report.html", _page(result, folder))
    return result


def by_corpus(config: Config, manifest: Path) -> dict[str, list[Clip]]:
    """{corpus: its rows}, for corpora in which every label of the label set occurs.

    Args:
        config: gives the task, the label set and where labels come from.
        manifest: the merged manifest.

    Raises:
        SplitError: there is only one corpus.
        ConfigError: a label does not occur in every corpus; the message names those that do.
    """
    found: dict[str, list[Clip]] = {}
    for clip in read_manifest(manifest):
        found.setdefault(clip.corpus, []).append(clip)
    if len(found) < 2:
        raise SplitError(
            f"{manifest}: every clip is of {', '.join(found) or 'no corpus'}; join manifests of several corpora with "
            "`multiemo merge`"
        )
    if config.task == "dimensions":
        return dict(sorted(found.items()))
    space = LabelSpace(config.label_set, config.task, config.data.label_from)
    known: dict[str, set[str]] = {}
    for name, rows in found.items():
        targets = [space.target(c) for c in rows if has_label(c, config.data.label_from, config.task)]
        known[name] = {space.labels[int(i)] for t in targets if t is not None for i in t.nonzero().flatten()}
    lacking = {name: [x for x in space.labels if x not in labels] for name, labels in known.items()}
    common = [x for x in space.labels if all(x in labels for labels in known.values())]
    if any(lacking.values()):
        name = next(name for name, labels in lacking.items() if labels)
        advice = f"set label_set=custom:{','.join(common)}" if len(common) > 1 else "choose corpora that share labels"
        raise ConfigError(
            f"label_set: no clip of {name} is {lacking[name][0]}, so a matrix would compare different tasks; labels of "
            f"{config.label_set} that all of {', '.join(found)} have: {', '.join(common) or 'none'}; {advice}"
        )
    return dict(sorted(found.items()))


def _own_config(config: Config, name: str, rows: Sequence[Clip], manifest: Path, folder: Path) -> Config:
    """The config of the trainings on one corpus; its rows are written to the folder."""
    path = folder / "manifests" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = reach(manifest.parent, path.parent, link="media") if any(clip_paths(c) for c in rows) else ""
    write_manifest([with_paths(clip, partial(join, prefix)) for clip in rows], path)
    split = config.data.split
    kind = split.kind if split.kind in ("kfold", "official") else "holdout"
    how = split.model_copy(update={"kind": kind, "group_by": _group_by(rows, split.group_by), "hash": None})
    data = config.data.model_copy(update={"manifest": str(path), "split": how})
    return config.model_copy(update={"data": data})


def _group_by(rows: Sequence[Clip], preferred: GroupBy) -> GroupBy:
    """The preferred unit if every row has it, else the next one that every row has."""
    order: list[GroupBy] = [preferred, *(unit for unit in GROUP_BY if unit != preferred)]
    return next(unit for unit in order if unit == "clip" or all(getattr(c, unit) is not None for c in rows))


def _write_test(config: Config, name: str, folder: Path) -> Path:
    """Write the test rows of a corpus; returns the path of the manifest."""
    path = folder / "manifests" / f"{name}.test.jsonl"
    write_manifest(open_manifest(config).part("test"), path)
    return path


def _test_elsewhere(cell: Cell, tests: Mapping[str, Path]) -> None:
    """Test a model on the other corpora, each once, and write its model card."""
    for name, path in tests.items():
        kept = cell.folder / f"on-{name}.jsonl"
        if name != cell.fold and not kept.is_file():
            report = evaluate_run(cell.folder, manifest=path, device=cell.config.device, by="cross-corpus")
            lines = (json.dumps(p, ensure_ascii=False) + "\n" for p in report.predictions)
            write_atomically(kept, "".join(lines))
    write_cards(cell.folder)


def _result(config: Config, cells: Sequence[Cell], units: dict[str, str], command: str) -> CrossCorpusResult:
    """Pool the predictions of all seeds for each pair of corpora."""
    names, figure = list(units), MAIN_FIGURE[config.task]
    matrix = []
    for train in names:
        for test in names:
            file = "predictions.jsonl" if train == test else f"on-{test}.jsonl"
            found = pool(train, [read_records(c.folder / file) for c in cells if c.fold == train])
            values = results.summarise(found, config.task)[found.full]
            matrix.append(TransferCell(train=train, test=test, speakers=len(set(found.speakers)), figures=values))
    others = {name: [c for c in matrix if c.train == name != c.test] for name in names}
    return CrossCorpusResult(
        name=config.name,
        task=config.task,
        label_set=[] if config.task == "dimensions" else list(config.columns),
        figure=figure,
        corpora=names,
        group_by=units,
        seeds=sorted({cell.seed for cell in cells}),
        cells=matrix,
        worst={name: min(row, key=lambda c: float(getattr(c.figures, figure))).test for name, row in others.items()},
        command=command,
    )


def text_table(result: CrossCorpusResult) -> list[list[str]]:
    """The matrix as rows of text, with a header; the worst other corpus of each row ends it."""
    rows = [["trained on", *result.corpora, "worst elsewhere"]]
    for train in result.corpora:
        cells = [result.cell(train, test).figures for test in result.corpora]
        shown = [f"{format_number(c.get(result.figure))} ({format_interval(c, result.figure)})" for c in cells]
        rows.append([train, *shown, result.worst[train]])
    return rows


def summary(result: CrossCorpusResult) -> str:
    """The matrix as Markdown."""
    head = (
        f"{result.name}: {result.figure} on the test part of each corpus, unseen {result.unseen}, "
        f"{len(result.seeds)} seeds; 95% intervals"
    )
    return "\n".join([head, "", *markdown(text_table(result))])


def csv_table(result: CrossCorpusResult) -> str:
    """One line for each cell of the matrix."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["train", "test", "n", "speakers", result.figure, "low", "high", "worst"])
    for c in result.cells:
        low, high = getattr(c.figures, f"{result.figure}_ci")
        value = getattr(c.figures, result.figure)
        writer.writerow([c.train, c.test, c.figures.n, c.speakers, value, low, high, result.worst[c.train] == c.test])
    return file.getvalue()


def _page(result: CrossCorpusResult, folder: Path) -> str:
    return page_template(Path(__file__).with_name("cross_corpus.html")).render(
        r=result, rows=text_table(result), config=(folder / "config.yaml").read_text("utf-8")
    )
