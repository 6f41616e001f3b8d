"""The rate of false alarms of conflict scores on fresh clips."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.measure.alarms import alarm_rates
from multiemo.calibration.conflict import LEVELS, ConflictCalibration, PairConflict
from multiemo.types import Clip

HAPPY, ANGRY, NEUTRAL = [0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]


def test_flags_are_counted_over_all_clips_and_apart_for_those_that_show_opposite_polarities() -> None:
    pair = PairConflict(
        slope=1.0, intercept=0.0, quantiles=[0.1] * len(LEVELS), threshold=0.5, auroc=1.0, auroc_ci=(1.0, 1.0),
        clips=20, speakers=2, mismatched=20,
    )  # fmt: skip
    shown = [("happy", "angry")] * 3 + [
        ("happy", "happy"),
        ("neutral", "happy"),
        ("angry", "angry"),
        ("happy", "angry"),
    ]
    texts = [HAPPY, HAPPY, HAPPY, HAPPY, ANGRY, ANGRY, HAPPY]
    voices = [ANGRY, ANGRY, HAPPY, HAPPY, HAPPY, NEUTRAL, ANGRY]
    clips = {
        f"c{i}": Clip(id=f"c{i}", corpus="x", speaker=f"s{i}", label_set="demo5", label="happy",
                      modality_labels={"text": text, "speech": voice})
        for i, (text, voice) in enumerate(shown)
    }  # fmt: skip
    outputs: Any = SimpleNamespace(
        ids=list(clips),
        speakers=[f"s{i}" for i in range(7)],
        branches={"text": np.array(texts), "speech": np.array(voices)},
        presence={"text": np.ones(7, bool), "speech": np.arange(7) < 6},
    )
    calibration = SimpleNamespace(conflict=ConflictCalibration(pairs={"TS": pair}))
    bundle: Any = SimpleNamespace(calibration=calibration, labels=("happy", "angry", "neutral"))
    found = alarm_rates(bundle, outputs, clips)["text+speech"]
    assert {kind: (share["flagged"][0], share["n"]) for kind, share in found.items()} == {
        "all clips": (0.5, 6),
        "opposite polarities": (0.6667, 3),
        "no opposite polarities": (0.3333, 3),
    }
