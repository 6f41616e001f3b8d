"""Does a system use what it claims? Remove the modality that it credits most, and see how often its label changes.

Works for runs, and for any other system from a JSON Lines file of its predictions with and without each modality.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from multiemo.arrays import Array
from multiemo.errors import ConfigError, ManifestError
from multiemo.evaluation.imported import label_shares, prediction_rows
from multiemo.explanation.faithfulness.records import ClaimCheck, Difference
from multiemo.metrics import mean_estimate
from multiemo.model import contributions
from multiemo.runs.evaluation import evaluate_run
from multiemo.tables.reading import open_table
from multiemo.types import MODALITIES, SUBSETS, Modality, subset_key


@dataclass(frozen=True, slots=True)
class ClaimedClip:
    """The labels of one clip with and without each modality.

    Args:
        speaker: speaker of the clip.
        present: modalities of the clip, at least two.
        labels: {subset key: label, in any form that can be compared}; of all ``present`` modalities, and without each.
        credited: the modality that is credited most.
    """

    speaker: str
    present: tuple[Modality, ...]
    labels: Mapping[str, object]
    credited: Modality

    def changes(self, removed: Modality) -> bool:
        """Whether the label changes without a modality."""
        rest = subset_key([m for m in self.present if m != removed])
        return self.labels[rest] != self.labels[subset_key(self.present)]


def claim_check(system: str, clips: Sequence[ClaimedClip]) -> ClaimCheck:
    """Compare removing the credited modality with removing a random one: the mean over all present modalities.

    Args:
        system: name of the system.
        clips: at least one clip.
    """
    speakers = [clip.speaker for clip in clips]
    credited = np.array([float(clip.changes(clip.credited)) for clip in clips])
    random = np.array([float(np.mean([clip.changes(m) for m in clip.present])) for clip in clips])
    return ClaimCheck(
        system=system,
        clips=len(clips),
        speakers=len(set(speakers)),
        credited=_difference(credited, speakers, 0.0),
        random=_difference(random, speakers, 0.0),
        difference=_difference(credited - random, speakers, -1.0),
    )


def claim_checks(
    source: str | Path,
    *,
    split: str = "val",
    device: str | torch.device = "auto",
    manifest: str | Path | None = None,
) -> list[ClaimCheck]:
    """Check a run, or the systems of a JSON Lines file.

    Each line of the file is one clip of one system::

        {"id": "c1", "speaker": "s1", "system": "X", "credited": "text", "labels": {"TS": "happy", "T": "happy",
         "S": "sad"}, "probs": {"TS": {"happy": 0.8, "sad": 0.2}, "T": ..., "S": ...}}

    ``labels`` and ``probs`` are by subset of modalities (T, S, F in that order). The longest key names the modalities
    of the clip, and every subset with one modality less is required. Without ``labels``, the most probable label
    counts. ``credited`` is the modality that the system itself names. Without it, ``probs`` of every subset are
    required, and the modality with the largest Shapley value for the label is credited. (The value without any
    modality does not affect which one that is.) ``system`` defaults to the name of the file.
    Clips with fewer than two modalities are left out.

    Args:
        source: run folder, or path of the file.
        split: part of a run's split; by default no test clip is read.
        device: device for a run.
        manifest: new path of a run's manifest, if it has moved.

    Raises:
        ConfigError: a run has fewer than two modalities, or no labels.
        ManifestError: a line of the file lacks something; the message names the line and the key.
    """
    path = Path(source)
    if path.is_dir():
        return [claim_check(path.name, list(_run_clips(path, split, device, manifest)))]
    systems: dict[str, list[ClaimedClip]] = {}
    for system, clip in _file_clips(path):
        systems.setdefault(system, []).append(clip)
    if not systems:
        raise ManifestError(f"{path}: no line has a clip with two modalities or more")
    return [claim_check(name, clips) for name, clips in systems.items()]


def _run_clips(run: Path, split: str, device: str | torch.device, manifest: str | Path | None) -> Iterator[ClaimedClip]:
    """The clips of a part of a run's split that have at least two modalities.

    Args:
        run: run folder.
        split: part of its split.
        device: device of the model.
        manifest: new path of its manifest, if it has moved.
    """
    report = evaluate_run(run, manifest=manifest, split=split, device=device, by="claims")
    if report.task == "dimensions" or len(report.full) < 2:
        what = "has no labels" if report.task == "dimensions" else "has one modality"
        raise ConfigError(f"{run}: {what}; name a fused model that predicts labels")
    found = 0
    for line in report.predictions:
        probs = {k: np.array(v, dtype=float) for k, v in line.get("probs", {}).items()}
        present = tuple(m for m in MODALITIES if subset_key([m]) in probs)
        if len(present) > 1:
            found += 1
            labels = dict(line.get("said", {}))
            yield ClaimedClip(line["speaker"], present, labels, _credited(probs, present, labels[subset_key(present)]))
    if not found:
        raise ConfigError(f"{run}: no clip of its {split} part has two modalities")


def _file_clips(path: Path) -> Iterator[tuple[str, ClaimedClip]]:
    """(system, clip) of each row that has at least two modalities."""
    for where, row in prediction_rows(open_table(path)):
        clip = _clip_of(row, where)
        if clip is not None:
            yield str(row.get("system") or path.stem), clip


def _clip_of(row: Mapping[str, Any], where: str) -> ClaimedClip | None:
    """The clip of one line; ``None`` if it has fewer than two modalities."""
    for key in ("id", "speaker"):
        if not isinstance(row.get(key), str):
            raise ManifestError(f"{where}: {key!r} is {row.get(key)!r}; give a string")
    probs, names = _probabilities(row, where)
    given = _by_subset(row, "labels", where)
    labels: dict[str, object] = {k: names[int(p.argmax())] for k, p in probs.items()} | given
    if not labels:
        raise ManifestError(f"{where}: has neither 'labels' nor 'probs'; give one of them by subset of modalities")
    full = max(labels, key=len)
    present = SUBSETS[full]
    if len(present) < 2:
        return None
    for m in present:
        rest = subset_key([o for o in present if o != m])
        if rest not in labels:
            raise ManifestError(f"{where}: 'labels' (or 'probs') lacks {rest!r}, the prediction without {m}")
    credited = row.get("credited")
    if credited is not None:
        if credited not in present:
            raise ManifestError(f"{where}: 'credited' is {credited!r}; choices: {', '.join(present)}")
        return ClaimedClip(row["speaker"], present, labels, cast(Modality, credited))
    for key, members in SUBSETS.items():
        if set(members) <= set(present) and key not in probs:
            raise ManifestError(f"{where}: 'probs' lacks {key!r}, which finding the credited modality needs; or give "
                                "'credited'")  # fmt: skip
    if labels[full] not in names:
        raise ManifestError(f"{where}: 'labels' has {labels[full]!r} for {full!r}, which 'probs' does not have")
    return ClaimedClip(row["speaker"], present, labels, _credited(probs, present, names.index(str(labels[full]))))


def _by_subset(row: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """A member whose keys are subsets of modalities."""
    values = row.get(key, {})
    if not isinstance(values, dict):
        raise ManifestError(f"{where}: {key!r} is a {type(values).__name__}; give an object by subset of modalities")
    unknown = [k for k in values if k not in SUBSETS]
    if unknown:
        raise ManifestError(f"{where}: {key!r} has the subset {unknown[0]!r}; choices: {', '.join(SUBSETS)}")
    return values


def _probabilities(row: Mapping[str, Any], where: str) -> tuple[dict[str, Array], list[str]]:
    """{subset: ``[C]``} and the C labels."""
    found, names = {}, list[str]()
    for key, values in _by_subset(row, "probs", where).items():
        shares = label_shares(values, f"{where}: 'probs' for {key!r}")
        names = names or list(shares)
        if set(shares) != set(names):
            raise ManifestError(f"{where}: 'probs' for {key!r} has other labels than the subset before")
        found[key] = np.array([shares[name] for name in names], dtype=float)
    return found, names


def _credited(probs: Mapping[str, Array], present: Sequence[Modality], label: object) -> Modality:
    """The modality with the largest Shapley value for a label (for several labels, for the most probable one)."""
    full = probs[subset_key(present)]
    column = label if isinstance(label, int) else int(full.argmax())
    shares = contributions(probs, np.zeros(len(full)).tolist(), present, column)
    return max(present, key=shares.__getitem__)


def _difference(values: Array, speakers: Sequence[str], low: float) -> Difference:
    found = mean_estimate(values, speakers, low=low, high=1.0)
    return Difference(mean=round(found.value, 6), interval=(round(found.low, 6), round(found.high, 6)))
