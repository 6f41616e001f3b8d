"""Every registered fusion over the same frozen branches, on clean and on corrupted clips.

    python benchmarks/fusions.py RUN [RUN ...] --out DIR [--seeds 3] [--split test]

RUN is a trained run with its branches; give the folds of one seed of a benchmark to pool their clips. Each fusion is
trained in the stage ``fuse`` over these branches, with each of two learning rates, of which validation selects one.
Each is measured with and without ``reliability``, by the label with the highest logit. Every corrupted clip is encoded
once for all fusions. Babble and the telephone are used in measuring only: nothing is trained or fitted on corrupted
clips. ``DIR`` keeps finished parts, so the script can be stopped and started again. Prints a table of UAR, then one
JSON line. Reading the test part is logged in the folders of the runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import multiemo.fusion  # noqa: F401  (registers)
from multiemo.benchmark.robustness.answers import Bench
from multiemo.benchmark.robustness.corrupted_clips import Forms, gather
from multiemo.benchmark.robustness.corruptions import CORRUPTIONS, Corruption
from multiemo.config import Config, PartConfig
from multiemo.errors import MultiemoError
from multiemo.metrics import estimates, label_measure, paired_tests
from multiemo.registry import fusions
from multiemo.runs import load_bundle, train
from multiemo.runs.batches import prepare_part
from multiemo.runs.folder.evaluation_log import count_read
from multiemo.runs.folder.source import stored_source
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import Modality

RATES = (1e-2, 1e-3)
EPOCHS = 15
CORRUPTED = (replace(CORRUPTIONS["babble"], severities=(20.0, 10.0, 0.0, -5.0)),
             replace(CORRUPTIONS["telephone"], severities=(0.0,)))  # fmt: skip
#: {condition: modalities that are taken away}, besides the corruptions.
REMOVED: dict[str, tuple[Modality, ...]] = {
    "clean": (),
    "no voice": ("speech",),
    "no face": ("face",),
    "voice alone": ("text", "face"),
}


def config_of(run: Path, source: Source, fusion: str, rate: float, seed: int) -> Config:
    """The config that trains a fusion over the branches of a run.

    Args:
        run: run folder with its branches.
        source: manifest and split of the run.
        fusion: name of the fusion.
        rate: learning rate.
        seed: seed of the stage.
    """
    config = load_bundle(run).config
    modalities = tuple(config.encoders)
    stage = {"epochs": EPOCHS, "lr": rate, "freeze": list(modalities), "branch_loss": 0.0, "class_weights": 1.0}
    return config.model_copy(
        update={
            "seed": seed,
            "fusion": PartConfig(name=fusion),
            "reliability": True,
            "stages": ("fuse",),
            "per_stage": {"fuse": {**stage, "patience": EPOCHS}},
            "branches": {m: str((run / "branches" / m).resolve()) for m in modalities},
            "data": config.data.model_copy(update={"manifest": str(source.manifest.resolve())}),
            "trackers": (),
        }
    )


def best_model(run: Path, source: Source, fusion: str, seed: int, out: Path) -> Bundle:
    """The fusion with the learning rate that is best on validation; finished trainings are read from ``out``."""
    found: list[tuple[float, Path]] = []
    for rate in RATES:
        folder = out / f"{fusion}_{seed}_{rate:g}"
        if not (folder / "validation.json").is_file():
            train(config_of(run, source, fusion, rate, seed), folder)
        report = json.loads((folder / "validation.json").read_text("utf-8"))
        found.append((report["subsets"][max(report["subsets"], key=len)]["uar"], folder))
    return load_bundle(max(found, key=lambda each: each[0])[1])


def encoded(run: Path, source: Source, bundle: Bundle, split: str, out: Path) -> dict[str, Any]:
    """Embeddings, presence and reliability of a part under every condition, from a file in ``out`` or computed.

    Args:
        run: run folder.
        source: its manifest and split.
        bundle: any fused model over its branches.
        split: the part.
        out: folder of the file.
    """
    path = out / f"{split}.pt"
    if path.is_file():
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]
    clips = source.part(split)
    bench = Bench(bundle, prepare_part(bundle.config, source.folder, clips, bundle.inputs, dialogue=source.clips))
    clean = bench.embeddings, bench.presence, bench.reliability
    conditions = {
        name: (bench.embeddings, {m: p & (m not in gone) for m, p in bench.presence.items()}, bench.reliability)
        for name, gone in REMOVED.items()
    }
    fitting = [c for c in CORRUPTED if c.function is not None and c.function.fits(bundle.inputs["speech"])]
    forms = Forms(bench.clips, source, bundle, fitting, gather(bundle, source, fitting, 0), 0)
    changed: dict[str, list[Any]] = {}
    for i in range(len(forms)):
        found = forms[i]
        if isinstance(found, MultiemoError):
            raise found
        for c in fitting:
            for severity, form in zip(c.severities, found[c.name], strict=True):
                changed.setdefault(condition(c, severity), []).append(_encoded_clip(bench, i, form))
    for name, rows in changed.items():
        parts: list[dict[str, Tensor]] = [dict(part) for part in clean]
        for part, values in zip(parts, zip(*rows, strict=True), strict=True):
            part["speech"] = torch.cat(values)
        conditions[name] = tuple(parts)  # type: ignore[assignment]
    batch = bench.collate(bench.samples)
    result = {"conditions": conditions, "truth": batch.target.argmax(1), "speakers": [s.speaker for s in bench.samples]}
    torch.save(result, path)
    count_read(load_bundle(run), bench.clips, by="fusions", split=split, compute=bench.compute)
    return result


def condition(corruption: Corruption, severity: float) -> str:
    return f"{corruption.name} {severity:g}"


@torch.inference_mode()
def _encoded_clip(bench: Bench, i: int, form: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Embedding ``[1, D]``, presence ``[1]`` and reliability ``[1]`` of one corrupted voice."""
    inputs: dict[Modality, Tensor] = {} if form is None else {"speech": torch.from_numpy(form)}
    batch = bench.collate([replace(bench.samples[i], inputs=inputs)]).to(bench.compute.device)
    with bench.compute.autocast():
        embedding = bench.model.encode(batch)["speech"]
    return embedding, batch.presence["speech"], bench.model.input_reliability(batch)["speech"]


@torch.inference_mode()
def labels_of(bundle: Bundle, part: tuple[Any, Any, Any], reliable: bool) -> np.ndarray:
    """Column of the highest logit of each clip."""
    embeddings, presence, reliability = part
    return bundle.model.fuse(embeddings, presence, reliability if reliable else {}).argmax(1).numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", default="test")
    given = parser.parse_args(arguments)
    predicted: dict[tuple[str, bool, str], list[list[np.ndarray]]] = {}
    truth, speakers = [], []
    for number, run in enumerate(given.runs):
        source, out = stored_source(run, load_bundle(run), None)[0], given.out / f"fold{number}"
        for seed in range(given.seeds):
            for fusion in fusions.names():
                bundle = best_model(run, source, fusion, seed, out)
                part = encoded(run, source, bundle, given.split, out)
                for name, shown in part["conditions"].items():
                    for reliable in (False, True):
                        runs = predicted.setdefault((fusion, reliable, name), [[] for _ in range(given.seeds)])
                        runs[seed].append(labels_of(bundle, shown, reliable))
        truth.append(part["truth"].numpy())
        speakers += part["speakers"]
    report(predicted, np.concatenate(truth), speakers, given)


def report(
    predicted: dict[tuple[str, bool, str], list[list[np.ndarray]]],
    truth: np.ndarray,
    speakers: list[str],
    given: argparse.Namespace,
) -> None:
    """Print the table and the JSON line.

    Args:
        predicted: {(fusion, with reliability, condition): for each seed, the labels of the clips of each run}.
        truth: ``[N]`` true labels of all runs.
        speakers: ``[N]`` speaker of each clip.
        given: the command line.
    """
    measure = label_measure(int(truth.max()) + 1)
    pooled = {key: np.stack([np.concatenate(folds) for folds in seeds]) for key, seeds in predicted.items()}
    names = list(dict.fromkeys(name for _, _, name in pooled))
    print(f"UAR of {len(truth)} clips of {len(set(speakers))} speakers, {given.seeds} seeds, part {given.split}\n")
    print("| fusion | reliability | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    rows = []
    for fusion, reliable in dict.fromkeys((f, r) for f, r, _ in pooled):
        found: dict[str, Any] = {}
        for name in names:
            labels, alone = pooled[fusion, reliable, name], pooled[fusion, reliable, "no voice"]
            plain = pooled[fusion, False, name]
            uar = estimates(measure, truth, labels, speakers)["uar"]
            found[name] = {"uar": uar.value, "ci": [uar.low, uar.high]}
            for against, other in (("no voice", alone), ("without reliability", plain)):
                if not (labels == other).all():
                    test = paired_tests(measure, truth, labels, other, speakers)["uar"]
                    found[name][f"minus {against}"] = {"uar": test.difference, "ci": [test.low, test.high], "p": test.p}
        cells = [f"{found[name]['uar']:.3f}" for name in names]
        print(f"| {fusion} | {'yes' if reliable else '-'} | " + " | ".join(cells) + " |")
        rows.append({"fusion": fusion, "reliability": reliable, "conditions": found})
    facts = {"benchmark": "fusions", "split": given.split, "seeds": given.seeds, "runs": [r.name for r in given.runs]}
    print("\n" + json.dumps({**facts, "clips": len(truth), "speakers": len(set(speakers)), "rows": rows}))


if __name__ == "__main__":
    main()
