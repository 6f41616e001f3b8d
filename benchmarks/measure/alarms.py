"""False alarms of the conflict scores on fresh clips of the demo's generator, of speakers whom its model has not seen.

The threshold of a conflict score is meant to be exceeded by 5% of clips *like those of validation*. So this measures
clips drawn as the demo corpus is drawn, and not clips that were planned to be hard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multiemo.evaluation import Collected
from multiemo.explanation.conflicts import conflicts_of
from multiemo.labels.polarity import polarity
from multiemo.metrics import mean_estimate
from multiemo.runs.model_folder import Bundle
from multiemo.types import Clip


def alarm_rates(bundle: Bundle, outputs: Collected, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """Share of flagged clips by pair of modalities.

    Args:
        bundle: the model; its calibration has the thresholds.
        outputs: calibrated outputs for the clips.
        clips: {id: clip}; ``modality_labels`` say what each modality shows.

    Returns:
        {pair: share of all clips that are flagged, of those whose two modalities show no opposite polarities, and of
        those that do}: each with an interval over speakers and its number of clips.
    """
    found: dict[str, dict[str, list[tuple[bool, str]]]] = {}
    for i, name in enumerate(outputs.ids):
        branches = {m: p[i] for m, p in outputs.branches.items() if outputs.presence[m][i]}
        shown = clips[name].modality_labels
        for one in conflicts_of(branches, bundle.calibration.conflict, bundle.labels):
            opposite = {polarity(shown.get(m, "neutral")) for m in (one.first, one.second)} == {"positive", "negative"}
            for key in ("all clips", "opposite polarities" if opposite else "no opposite polarities"):
                kind = found.setdefault(f"{one.first}+{one.second}", {}).setdefault(key, [])
                kind.append((one.flagged, outputs.speakers[i]))
    return {pair: {key: _share(flags) for key, flags in kinds.items()} for pair, kinds in sorted(found.items())}


def _share(flags: list[tuple[bool, str]]) -> dict[str, Any]:
    """The share of flagged clips, its interval over speakers, and the number of clips."""
    values, speakers = np.array([float(flag) for flag, _ in flags]), [speaker for _, speaker in flags]
    share = mean_estimate(values, speakers, low=0.0, high=1.0)
    return {"flagged": [round(v, 4) for v in (share.value, share.low, share.high)], "n": len(flags)}
