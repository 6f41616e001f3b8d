"""Cues of the voice and action units behind each label: a table, then one JSON line.

    python benchmarks/cues.py MANIFEST RUN [RUN ...] [--clips N] [--top K]

The runs share the manifest; several folds of one corpus are pooled. Each drawn validation clip is explained for the
label that its model decides. A part has a score (what it adds to the log-odds of the label), the share of clips in
which it speaks for the label, and, where it is measured, its deviation from the training clips in standard deviations.
Means have intervals over speakers. No test part is read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.explanation.attribution import score_views
from multiemo.explanation.clips import clip_inputs
from multiemo.explanation.faithfulness.measure import draw_clips, explained_label
from multiemo.explanation.target import ClipTarget
from multiemo.metrics import mean_estimate
from multiemo.records import finite
from multiemo.runs import batches, load_bundle
from multiemo.runs.device import compute_of
from multiemo.runs.folder.source import stored_source
from multiemo.types import Modality

#: Kinds of parts that mean the same in every clip and are measured.
UNITS = ("cue", "column")
#: Fewest clips of a label of which a table is made.
FEWEST = 5


@dataclass(frozen=True, slots=True)
class Named:
    """One part of one clip.

    Args:
        label: label that is explained.
        modality: modality of the part.
        name: the cue or action unit.
        clip: the run and the id of the clip; a clip counts once for each model that explains it.
        speaker: its speaker.
        score: what the part adds to the log-odds of the label.
        deviation: in standard deviations of the training clips; NaN if it is not measured.
    """

    label: str
    modality: Modality
    name: str
    clip: str
    speaker: str
    score: float
    deviation: float


def named_parts(run: Path, manifest: Path, clips: int, seed: int) -> Iterator[Named]:
    """The parts of drawn validation clips of a run.

    Args:
        run: run folder.
        manifest: present path of its manifest.
        clips: number of clips.
        seed: seed of the draw.
    """
    bundle = load_bundle(run)
    source, _ = stored_source(run, bundle, manifest)
    compute = compute_of(bundle.config, "cpu")
    chosen = draw_clips(source.part("val"), clips, seed)
    part = batches.prepare_part(bundle.config, source.folder, chosen, bundle.inputs)
    for row in part.rows_with(bundle.model.modalities, labelled=False):
        sample, inputs = clip_inputs(part.dataset, row)
        label = explained_label(bundle, compute, sample)
        for m, clip in inputs.items():
            target = ClipTarget(bundle.model, bundle.calibration, compute, sample, m, label, bundle.labels)
            for view in score_views(clip, target).views:
                for one in view.parts if view.unit in UNITS else ():
                    deviation = float("nan") if one.deviation is None else one.deviation
                    clip_id, speaker = f"{run}: {sample.id}", sample.speaker
                    yield Named(bundle.labels[label], m, one.name, clip_id, speaker, one.score, deviation)


def cue_table(parts: Sequence[Named]) -> list[dict[str, Any]]:
    """The parts of each label and modality, strongest first."""
    groups: dict[tuple[str, Modality], dict[str, list[Named]]] = {}
    for part in parts:
        groups.setdefault((part.label, part.modality), {}).setdefault(part.name, []).append(part)
    found = []
    for (label, modality), names in sorted(groups.items()):
        clips = len({part.clip for same in names.values() for part in same})
        if clips < FEWEST:
            continue
        cues = [_cue(name, same) for name, same in names.items() if len(same) >= FEWEST]
        cues.sort(key=lambda cue: -cue["score"][0])
        speakers = len({part.speaker for same in names.values() for part in same})
        found.append({"label": label, "modality": modality, "clips": clips, "speakers": speakers, "cues": cues})
    return found


def _cue(name: str, parts: Sequence[Named]) -> dict[str, Any]:
    """The figures of one part."""
    scores, speakers = np.array([part.score for part in parts]), [part.speaker for part in parts]
    score = mean_estimate(scores, speakers)
    deviations = np.array([part.deviation for part in parts])
    deviation = None if np.isnan(deviations).all() else round(float(np.nanmean(deviations)), 3)
    return {
        "name": name,
        "score": [round(v, 4) for v in (score.value, score.low, score.high)],
        "share_for": round(float((scores > 0).mean()), 3),
        "deviation": deviation,
        "n": len(parts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="the manifest of all runs")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--clips", type=int, default=200, help="clips per run (default: 200)")
    parser.add_argument("--top", type=int, default=4, help="rows per label and modality (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")
    given = parser.parse_args()
    found = cue_table([p for run in given.runs for p in named_parts(run, given.manifest, given.clips, given.seed)])
    print("| label | modality | clips | part | score, 95% interval | share for | deviation, sd |")
    print("|---|---|---|---|---|---|---|")
    for one in found:
        for cue in one["cues"][: given.top]:
            score = "{:+.2f}, {:+.2f} to {:+.2f}".format(*cue["score"])
            deviation = "" if cue["deviation"] is None else f"{cue['deviation']:+.1f}"
            row = (one["label"], one["modality"], f"{one['clips']} of {one['speakers']}", cue["name"], score)
            print("| " + " | ".join((*row, f"{cue['share_for']:.0%}", deviation)) + " |")
    print(json.dumps(finite(found)))


if __name__ == "__main__":
    main()
