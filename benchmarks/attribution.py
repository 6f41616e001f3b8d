"""Attribution and conflict scores on synthetic clips whose modalities show known emotions, of unseen speakers.

    python benchmarks/attribution.py RUN [--speakers N] [--clips DIR] [--fresh N] [--text RUN [--text-manifest M.jsonl]]

RUN is the demo's model; it is recalibrated in memory on its validation part. With --fresh N, also the rate of false
alarms on clips of N fresh speakers, drawn like the demo corpus: once with thresholds from the validation part of the
run, once from other N fresh speakers. With --text, the contribution of each modality on the validation part of another
run. Prints tables, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure.alarms import alarm_rates
from measure.planned import Planned, planned_clips

from multiemo.calibration import Calibration
from multiemo.data.manifest.reading import read_manifest
from multiemo.evaluation import Collected, collect
from multiemo.explanation.conflicts import conflicts_of
from multiemo.explanation.modalities import attribute_clips
from multiemo.explanation.modality_summary import Attributed, summarise
from multiemo.metrics.separation import separation
from multiemo.runs import batches, load_bundle
from multiemo.runs.device import compute_of
from multiemo.runs.evaluation import _model_and_batches, calibrate_bundle
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.model_folder import Bundle
from multiemo.synthetic.corpus import make_corpus, make_planned

#: Seeds of the fresh corpora: the one that is measured, and the one whose thresholds are also tried. The demo has 7.
FRESH_SEEDS = (101, 102)


def validation_part(run: Path, bundle: Bundle, manifest: Path | None) -> batches.Part:
    """The preprocessed validation part of a run; ``manifest`` is the present path of its manifest if it has moved."""
    source, _ = stored_source(run, bundle, manifest)
    data = bundle.config.data.model_copy(update={"cache": cache_of(run, bundle.config.data.cache)})
    config = bundle.config.model_copy(update={"data": data})
    return batches.prepare_part(config, source.manifest.parent, part_of(source, "val"), bundle.inputs)


def outputs_of(bundle: Bundle, part: batches.Part, calibration: Calibration) -> Collected:
    """Outputs with calibrated probabilities."""
    found = collect(*_model_and_batches(bundle, part, compute_of(bundle.config, "cpu"), (0, 1)))
    found.probabilities = {k: calibration.apply(k, p, found.presence) for k, p in found.probabilities.items()}
    found.branches = {m: calibration.scaled_branch(m, p) for m, p in found.branches.items()}
    return found


def rank(planned: list[Planned], outputs: Collected, bundle: Bundle) -> dict[str, Any]:
    """How often the modality that carries the emotion is credited most, for the emotion that it shows."""
    rows = [i for i, clip in enumerate(planned) if clip.kind == "one"]
    labels, prior = bundle.labels, bundle.prior.double().numpy()
    chosen = [labels.index(clip.plan.label) for clip in planned]
    found = attribute_clips(outputs.probabilities, outputs.presence, prior, labels, chosen)
    first: dict[str, list[bool]] = {}
    failures = []
    for i in rows:
        shares, carrier = found[i].contribution, planned[i].modalities[0]  # type: ignore[union-attr]
        right = max(shares, key=shares.__getitem__) == carrier  # type: ignore[arg-type]
        first.setdefault(carrier, []).append(right)
        if not right:
            failures.append([outputs.ids[i], carrier, planned[i].plan.label, dict(shares)])
    shares = {m: round(float(np.mean(v)), 4) for m, v in first.items()}
    every = [right for rights in first.values() for right in rights]
    return {"clips": len(rows), "first": round(float(np.mean(every)), 4), "by_modality": shares, "failures": failures}


def conflict(planned: list[Planned], outputs: Collected, bundle: Bundle) -> dict[str, Any]:
    """AUROC of the score of planned contradictions against agreement, with and without neutral modalities."""
    scores: dict[str, list[tuple[float, str, str, bool]]] = {}
    for i, clip in enumerate(planned):
        if clip.kind == "one":
            continue
        branches = {m: p[i] for m, p in outputs.branches.items() if outputs.presence[m][i]}
        for one in conflicts_of(branches, bundle.calibration.conflict, bundle.labels):
            if (one.first, one.second) == clip.modalities:
                entry = (one.score, outputs.speakers[i], "+".join(clip.modalities), one.flagged)
                scores.setdefault(clip.kind, []).append(entry)
    found: dict[str, Any] = {}
    for against in (("agree", "half"), ("agree",)):
        for pair in (None, *sorted({e[2] for e in scores["contradict"]})):
            low = [e for kind in against for e in scores[kind] if pair in (None, e[2])]
            high = [e for e in scores["contradict"] if pair in (None, e[2])]
            names = np.array([e[1] for e in high])
            area = separation(
                np.array([e[0] for e in low]), np.array([e[1] for e in low]), np.array([e[0] for e in high]),
                (names, names),
            )  # fmt: skip
            found[f"{'+'.join(against)}: {pair or 'all pairs'}"] = {
                "auroc": [round(v, 4) for v in area],
                "flagged": round(float(np.mean([e[3] for e in high])), 4),
                "false_alarms": round(float(np.mean([e[3] for e in low])), 4),
                "n": [len(low), len(high)],
            }
    return found


def fresh_alarms(bundle: Bundle, speakers: int, scratch: Path) -> dict[str, Any]:
    """Rates of flagged clips on fresh clips of the demo's generator, with two sets of thresholds.

    Args:
        bundle: model, calibrated on the validation part of its run. Recalibrated on return.
        speakers: number of speakers to measure, and of others to calibrate on.
        scratch: folder for the clips.
    """
    parts = []
    for seed in FRESH_SEEDS:
        manifest = make_corpus(scratch / f"fresh{seed}", speakers=speakers, seed=seed)
        parts.append(batches.prepare_part(bundle.config, manifest.parent, read_manifest(manifest), bundle.inputs))
    measured, other = parts
    clips = {clip.id: clip for clip in measured.dataset.clips}
    found = {"validation of the run": alarm_rates(bundle, outputs_of(bundle, measured, bundle.calibration), clips)}
    bundle.calibration = calibrate_bundle(bundle, other, compute=compute_of(bundle.config, "cpu"))
    found[f"{speakers} other speakers"] = alarm_rates(bundle, outputs_of(bundle, measured, bundle.calibration), clips)
    return found


def contributions_of(run: Path, manifest: Path | None) -> dict[str, Any]:
    """Mean effects of the modalities on the validation part of a run."""
    bundle = load_bundle(run)
    outputs = outputs_of(bundle, validation_part(run, bundle, manifest), bundle.calibration)
    full = max(outputs.probabilities, key=len)
    chosen = outputs.probabilities[full].argmax(axis=1).tolist()
    prior = bundle.prior.double().numpy()
    found = attribute_clips(outputs.probabilities, outputs.presence, prior, bundle.labels, chosen)
    return summarise([Attributed.of(a, s) for a, s in zip(found, outputs.speakers, strict=True) if a]).overall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of the demo")
    parser.add_argument("--speakers", type=int, default=10, help="number of speakers")
    parser.add_argument("--clips", type=Path, help="folder for the clips; made before if it has a manifest")
    parser.add_argument("--fresh", type=int, default=0, help="number of fresh speakers for the rate of false alarms")
    parser.add_argument("--text", type=Path, help="another run, whose contributions are printed")
    parser.add_argument("--text-manifest", type=Path, help="its manifest, if it has moved")
    given = parser.parse_args()
    bundle, own = load_bundle(given.run), given.run / "corpus" / "manifest.jsonl"
    planned = planned_clips(given.speakers)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.clips or Path(scratch)
        manifest = folder / "manifest.jsonl"
        if not manifest.is_file():
            make_planned(folder, [(clip.person, clip.plan) for clip in planned])
        part = validation_part(given.run, bundle, own if own.is_file() else None)
        bundle.calibration = calibrate_bundle(bundle, part, compute=compute_of(bundle.config, "cpu"))
        clips = batches.prepare_part(bundle.config, folder, read_manifest(manifest), bundle.inputs)
        outputs = outputs_of(bundle, clips, bundle.calibration)
        place = {name: i for i, name in enumerate(outputs.ids)}
        assert [place[c.id] for c in clips.dataset.clips] == list(range(len(planned)))
        found = {"fit": bundle.calibration.conflict, "rank": rank(planned, outputs, bundle),
                 "conflict": conflict(planned, outputs, bundle)}  # fmt: skip
        if given.fresh:
            found["fresh"] = fresh_alarms(bundle, given.fresh, Path(scratch))
    ranks = found["rank"]
    print(f"informative modality first: {ranks['first']:.3f} of {ranks['clips']} clips; {ranks['by_modality']}")
    for name, values in found["conflict"].items():
        print(f"{name:<36} AUROC {values['auroc']}  flagged {values['flagged']}  false alarms {values['false_alarms']}")
    for thresholds, pairs in found.get("fresh", {}).items():
        for pair, kinds in pairs.items():
            shares = "; ".join(f"{kind} {share['flagged']} of {share['n']}" for kind, share in kinds.items())
            print(f"fresh clips, thresholds of {thresholds}, {pair}: {shares}")
    if given.text:
        found["contributions"] = contributions_of(given.text, given.text_manifest)
        for m, effect in found["contributions"]["contribution"].items():
            print(f"{given.text.name} {m:<7} mean |contribution| {effect['size']}  signed {effect['signed']}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
