"""Effect of smoothing over time on the labels in the dialogues of a test part, and the share of the commonest label.

    python benchmarks/dialogues.py RUN [RUN ...]

Turns without times are taken as four seconds long. Prints one table per run, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.calibration import shown_keys
from multiemo.metrics import label_measure
from multiemo.runs import evaluate_run, load_bundle
from multiemo.runs.evaluation import dialogues_of
from multiemo.runs.folder.source import stored_source
from multiemo.smoothing import smoothed_dialogues

#: Mean durations of a label for the smoothing, seconds.
STAYS = (2.5, 5.0, 10.0, 20.0)


def measure(run: Path) -> dict[str, Any]:
    """Measure the full subset of a run with single labels, without smoothing and smoothed with several durations.

    Args:
        run: run folder; its test part is read, and the read is logged.
    """
    bundle = load_bundle(run)
    report = evaluate_run(run)
    key, labels = report.full, list(bundle.labels)
    records = [r for r in report.predictions if r["target"] is not None and key in r["probs"]]
    probabilities = np.array([r["probs"][key] for r in records])
    truth = np.array([int(np.argmax(r["target"])) for r in records])
    clips = stored_source(run, bundle, None)[0].clips
    dialogues = dialogues_of([r["id"] for r in records], clips)
    rows = [turn.row for turns in dialogues for turn in turns]
    by_id = {clip.id: clip for clip in clips}
    presence = {m: np.array([_has(by_id[r["id"]], m) for r in records]) for m in bundle.model.modalities}
    shown = shown_keys(key, presence)
    prior = bundle.prior.double().numpy()

    def figures(values: Any) -> dict[str, float]:
        predicted = bundle.calibration.decide([shown[i] for i in rows], values)
        found = label_measure(len(labels)).plain(truth[rows], predicted)
        loss = float(-np.log(np.clip(values[np.arange(len(rows)), truth[rows]], 1e-12, None)).mean())
        return {**{name: round(value, 4) for name, value in found.items()}, "loss": round(loss, 4)}

    most = int(prior.argmax())
    return {
        "run": run.name,
        "clips": len(rows),
        "dialogues": len(dialogues),
        "label": labels[most],
        "share": round(float((truth == most).mean()), 4),
        "mean_probability": round(float(probabilities[:, most].mean()), 4),
        "as_it_is": figures(probabilities[rows]),
        "smoothed": {
            str(stay): figures(smoothed_dialogues(dialogues, probabilities, prior, stay, "single")) for stay in STAYS
        },
        "stay_seconds": bundle.calibration.stay_seconds,
    }


def _has(clip: Any, modality: str) -> bool:
    """Whether a clip has a modality."""
    sources = {"text": clip.text, "speech": clip.audio or clip.video, "face": clip.video or clip.image}
    return bool(sources[modality]) or modality in clip.features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder")
    found = [measure(run) for run in parser.parse_args().runs]
    for result in found:
        print(f"{result['run']}: {result['clips']} clips of {result['dialogues']} dialogues; {result['label']} is "
              f"{result['share']:.3f} of them, mean probability {result['mean_probability']:.3f}; the model smooths by "
              f"{result['stay_seconds']} s")  # fmt: skip
        for name, figures in {"unsmoothed": result["as_it_is"], **result["smoothed"]}.items():
            print(f"  {name:>10}  " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
