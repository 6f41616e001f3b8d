"""The table of cues by label."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cues import Named, cue_table


def _part(clip: int, name: str, score: float, label: str = "angry", deviation: float = float("nan")) -> Named:
    return Named(label, "speech", name, f"c{clip}", f"s{clip % 3}", score, deviation)


def test_the_part_that_adds_most_is_first_with_its_mean_deviation_and_the_share_of_clips_it_speaks_for() -> None:
    parts = [_part(i, "loudness", score, deviation=1.5) for i, score in enumerate([2.0, 1.0, 3.0, -1.0, 2.0, 2.0])]
    parts += [_part(i, "spectrum", 0.5) for i in range(6)]
    (found,) = cue_table(parts)
    assert (found["clips"], found["speakers"]) == (6, 3)
    assert [cue["name"] for cue in found["cues"]] == ["loudness", "spectrum"]
    first, second = found["cues"]
    assert first["score"][0] == pytest.approx(np.mean([2.0, 1.0, 3.0, -1.0, 2.0, 2.0]))
    assert first["score"][1] < first["score"][0] < first["score"][2]
    assert (first["share_for"], first["deviation"]) == (0.833, 1.5)
    assert second["deviation"] is None


def test_a_label_of_few_clips_and_a_part_of_few_clips_are_left_out() -> None:
    parts = [_part(i, "loudness", 1.0) for i in range(5)] + [_part(0, "pauses", 9.0)]
    parts += [_part(i, "loudness", 1.0, label="sad") for i in range(4)]
    (found,) = cue_table(parts)
    assert found["label"] == "angry"
    assert [cue["name"] for cue in found["cues"]] == ["loudness"]
