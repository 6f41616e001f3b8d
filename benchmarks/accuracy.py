"""Every figure of README's table of accuracy, from the folders of the corpora to one JSON file.

    python benchmarks/accuracy.py --data DIR --all                 every row; a night on two cores
    python benchmarks/accuracy.py --data DIR ravdess fer2013       some rows
    python benchmarks/accuracy.py --table FILE                     the table of a result, put into README.md

``DIR`` has one folder per corpus: ``ravdess``, ``fer2013``, ``meld``, ``goemotions/original``, ``emotiontalk``. Rows
with Whisper or e5 need those models in the local cache of the hub, or a network. Each row is one or more commands that
a user would type (they are printed); runs are kept in ``--out``, and a row that was interrupted continues where it
stopped. Finished rows are taken from there. The result is ``benchmarks/results/<date>-accuracy.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from multiemo.benchmark.predictions import Predictions, pool, read_records
from multiemo.benchmark.results import summarise

ROOT = Path(__file__).parent.parent
SEEDS = 3
#: {corpus: its folder below the data folder}.
FOLDERS = {
    "ravdess": "ravdess",
    "fer2013": "fer2013",
    "meld": "meld",
    "goemotions": "goemotions/original",
    "emotiontalk": "emotiontalk",
}
#: What the table of README.md lies between.
BEGIN, END = "<!-- accuracy -->", "<!-- /accuracy -->"
TITLES = {"uar": "UAR", "macro_f1": "macro F1", "wf1": "WF1", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        title: what was measured.
        name: key of the figure.
        subset: key of the subset of modalities.
        classic: whether the classic baseline on the same folds is shown beside it.
    """

    title: str
    name: str
    subset: str
    classic: bool = False


@dataclass(frozen=True)
class Row:
    """One experiment.

    Args:
        corpora: corpora whose manifests it reads.
        protocol: what is tested on what, for the table.
        figures: what is taken from the result.
        config: config file; benchmarked with ``options``.
        options: further words of the command.
        before: commands that run first, without the leading ``multiemo``.
        composite: trained and evaluated once per seed, since a composite cannot be benchmarked.
        enrol_clips: number of other clips of its speaker that each test clip is compared with (``enrolment.py``).
    """

    corpora: tuple[str, ...]
    protocol: str
    figures: tuple[Figure, ...]
    config: str
    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    composite: bool = False
    enrol_clips: int = 0


SIX_FOLDS = ("--folds", "6")
#: What ``precision: auto`` chooses on a GPU; on a CPU with bf16 instructions a text model takes two thirds of the time,
#: and faces at 64 px five eighths.
BF16 = "precision=bf16"
RAVDESS = "RAVDESS, 18 actors in six folds"
WHISPER = "configs/ravdess_whisper.yaml"
ROWS: dict[str, Row] = {
    "ravdess": Row(
        ("ravdess",), RAVDESS,
        (
            Figure("voice, from scratch", "uar", "S", classic=True),
            Figure("face (action units)", "uar", "F", classic=True),
            Figure("fused", "uar", "TSF", classic=True),
        ),
        "configs/ravdess_av.yaml", SIX_FOLDS,
    ),
    "ravdess_av_whisper": Row(
        ("ravdess",), RAVDESS,
        (
            Figure("voice, Whisper-base frozen", "uar", "S"),
            Figure("fused, voice by Whisper-base", "uar", "TSF"),
        ),
        "configs/ravdess_av_whisper.yaml", SIX_FOLDS,
    ),
    "ravdess_known": Row(
        ("ravdess",), f"{RAVDESS}, people known from 8 other clips without labels",
        (
            Figure("voice, Whisper-base frozen", "uar", "S"),
            Figure("face (action units)", "uar", "F"),
            Figure("fused, voice by Whisper-base", "uar", "TSF"),
        ),
        "configs/ravdess_av_whisper.yaml",
        (
            *SIX_FOLDS, "--seeds", "1", "benchmark.baselines=false",
            "encoders.face.speaker_normalization=true", "encoders.speech.speaker_normalization=true",
        ),
        enrol_clips=8,
    ),
    "ravdess_whisper_prosody": Row(
        ("ravdess",), RAVDESS, (Figure("voice, Whisper-base frozen, and prosody", "uar", "S"),),
        WHISPER, (*SIX_FOLDS, "encoders.speech.prosody=true"),
    ),
    "ravdess_whisper_lora": Row(
        ("ravdess",), RAVDESS, (Figure("voice, Whisper-base with adapters", "uar", "S"),),
        "configs/ravdess_whisper_lora.yaml", (*SIX_FOLDS, "--seeds", "1"),
    ),
    "ravdess_whisper_finetuned": Row(
        ("ravdess",), RAVDESS, (Figure("voice, Whisper-base fine-tuned", "uar", "S"),),
        "configs/ravdess_whisper_finetuned.yaml", (*SIX_FOLDS, "--seeds", "1"),
    ),
    "fer2013": Row(
        ("fer2013",), "FER2013, published test part",
        (Figure("face, from scratch", "accuracy", "F", classic=True),),
        "configs/fer2013_face.yaml", (BF16,),
    ),
    "meld": Row(
        ("meld", "goemotions"), "MELD, published dev part",
        (Figure("words, MiniLM by way of GoEmotions", "wf1", "T", classic=True),),
        "configs/meld_text.yaml",
        (BF16, "init.text={runs}/goemotions_text/branches/text"),
        (f"train configs/goemotions_text.yaml {BF16} --out {{runs}}/goemotions_text",),
    ),
    "meld_e5": Row(
        ("meld",), "MELD, published dev part", (Figure("words, e5-small", "wf1", "T"),),
        "configs/meld_e5.yaml", (BF16,),
    ),
    "goemotions": Row(
        ("goemotions",), "GoEmotions, published dev part",
        (Figure("words, MiniLM", "macro_f1", "T", classic=True),),
        "configs/goemotions_text.yaml", (BF16,),
    ),
    "emotiontalk": Row(
        ("emotiontalk",), "EmotionTalk, published val part",
        (Figure("Chinese words, from scratch", "macro_f1", "T", classic=True),),
        "configs/emotiontalk_text.yaml",
    ),
    "emotiontalk_e5": Row(
        ("emotiontalk",), "EmotionTalk, published val part",
        (Figure("Chinese words, e5-small", "macro_f1", "T"),),
        "configs/emotiontalk_e5.yaml", (BF16,),
    ),
    "composite": Row(
        ("meld", "ravdess", "fer2013"), "composite of MELD, RAVDESS and FER2013",
        (Figure("fused", "uar", "TSF"),),
        "configs/composite.yaml", composite=True,
    ),
}  # fmt: skip


def run(name: str, data: Path, out: Path) -> dict[str, Any]:
    """Run a row, or what is left of it.

    Args:
        name: key of ``ROWS``.
        data: folder of the corpora.
        out: folder of manifests and runs.

    Returns:
        ``{"commands": [...], "systems": {system: {subset: figures}}}``.
    """
    row, runs = ROWS[name], out / "runs"
    commands = [_prepare(corpus, data, out) for corpus in row.corpora]
    done = [command for command in commands if command is not None]
    for line in row.before:
        command = line.format(runs=runs).split()
        target = Path(command[-1])
        if not (target / "validation.json").is_file():
            resume = ["--resume"] if (target / "config.yaml").is_file() else []
            done.append(_call([*command, *resume], out))
    options = [option.format(runs=runs) for option in row.options]
    if not row.composite:
        seeds = [] if "--seeds" in options else ["--seeds", str(SEEDS)]
        words = [*options, *seeds, "benchmark.robustness=false"]  # the table quotes no corrupted clips
        done.append(_call(["benchmark", row.config, *words, "--out", str(runs / name)], out))
        result = json.loads((runs / name / "benchmark.json").read_text("utf-8"))
        if row.enrol_clips:
            known = _enrol(runs / name, row.enrol_clips)
            done.append(known["command"])
            return {"commands": done, "seeds": result["seeds"], "systems": known["systems"]}
        return {"commands": done, "seeds": result["seeds"], "systems": result["systems"]}
    folders = [runs / f"{name}_seed{seed}" for seed in range(SEEDS)]
    for seed, folder in enumerate(folders):
        if not (folder / "validation.json").is_file():
            resume = ["--resume"] if (folder / "config.yaml").is_file() else []
            done.append(_call(["train", row.config, *options, f"seed={seed}", "--out", str(folder), *resume], out))
        if not (folder / "predictions.jsonl").is_file():
            done.append(_call(["evaluate", str(folder)], out))
    predictions: Predictions = pool(name, [read_records(folder / "predictions.jsonl") for folder in folders])
    return {"commands": done, "seeds": list(range(SEEDS)), "systems": {"multiemo": summarise(predictions)}}


def _prepare(corpus: str, data: Path, out: Path) -> str | None:
    """Prepare a manifest, unless it is there. Configs look for it in ``manifests`` below the working directory."""
    manifest = out / "manifests" / f"{corpus}.jsonl"
    if manifest.is_file():
        return None
    return _call(["prepare", corpus, str((data / FOLDERS[corpus]).resolve()), "--out", str(manifest)], out)


def _enrol(folder: Path, clips: int) -> dict[str, Any]:
    """Test a benchmark's trainings again on known people; ``stranger`` are the same trainings on unknown ones."""
    words = [
        "benchmarks/enrolment.py",
        str(folder),
        "--clips",
        "0",
        str(clips),
        "--json",
        str(folder / "enrolment.json"),
    ]
    line = " ".join(["python", *words])
    print(f"$ {line}", flush=True)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    found = json.loads((folder / "enrolment.json").read_text("utf-8"))["clips"]
    return {"command": line, "systems": {"multiemo": found[str(clips)], "stranger": found["0"]}}


def _call(words: Sequence[str], out: Path) -> str:
    """Run a command of multiemo in the output folder; return it as one line."""
    given = [str((ROOT / word).resolve()) if word.startswith("configs/") else word for word in words]
    line = " ".join(["multiemo", *words])
    print(f"$ {line}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "multiemo", *given], cwd=out, check=True)
    return line


def table(results: dict[str, Any]) -> str:
    """The rows of a result as a Markdown table, in the order of ``ROWS``."""
    lines = ["| tested on | | figure | multiemo | 95% interval | seeds | classic |", "|---|---|---|---|---|---|---|"]
    for name, row in ROWS.items():
        if name not in results["rows"]:
            continue
        result = results["rows"][name]
        for figure in row.figures:
            ours = result["systems"]["multiemo"][figure.subset]
            low, high = ours[f"{figure.name}_ci"]
            classic = ""
            if figure.classic and "classic" in result["systems"]:
                classic = f"{result['systems']['classic'][figure.subset][figure.name]:.3f}"
            lines.append(
                f"| {row.protocol} | {figure.title} | {TITLES[figure.name]} | {ours[figure.name]:.3f} "
                f"| {low:.3f} .. {high:.3f} | {len(result['seeds'])} | {classic} |"
            )
    return "\n".join(lines)


def put_table(page: Path, results: dict[str, Any]) -> None:
    """Replace the table of a page, which lies between two marks, by that of a result."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page}: no {BEGIN} ... {END}, between which the table is written")
    page.write_text(f"{before}{begin}\n{table(results)}\n{end}{after}", "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"rows to run: {', '.join(ROWS)}")
    parser.add_argument("--all", action="store_true", help="run every row")
    parser.add_argument("--data", type=Path, help="folder of the corpora")
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"), help="folder of manifests and runs")
    parser.add_argument("--result", type=Path, help="file of the result, if not that of today")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only put the table of a result into README.md")
    given = parser.parse_args(arguments)
    if given.table is not None:
        put_table(ROOT / "README.md", json.loads(given.table.read_text("utf-8")))
        return 0
    names = list(ROWS) if given.all else given.rows
    unknown = [name for name in names if name not in ROWS]
    if unknown or not names or given.data is None:
        parser.error(f"no row {unknown[0]!r}" if unknown else "name rows or give --all, and give --data")
    path = given.result or ROOT / "benchmarks" / "results" / f"{date.today():%Y-%m-%d}-accuracy.json"
    results = json.loads(path.read_text("utf-8")) if path.is_file() else {"rows": {}}
    for name in names:
        results["rows"][name] = run(name, given.data.resolve(), given.out.resolve())
        path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(table(results))
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
