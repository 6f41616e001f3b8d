"""The script for GPUs runs on any machine and says what it cannot measure there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.measure import fused, kernels
from tests.support.no_copies import needs_fake_gpu, no_copies
from tests.support.paths import ROOT

pytestmark = needs_fake_gpu


@pytest.mark.slow
def test_the_script_on_a_cpu() -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--steps", "6"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table, line = done.stdout.rsplit("\n", 2)[0], done.stdout.splitlines()[-1]
    found = json.loads(line)
    assert found["step"]["multiemo"]["ms"] > 0
    assert found["step"]["bare loop"]["ms"] > 0
    for value in (found["step"]["multiemo, no CUDA graphs"], found["kernel_ms"], found["ravdess"]):
        assert value == {"not_measured": "no GPU"}
    assert table.count("not measured (no GPU)") >= 4
    assert found["preparation"]["prosody_difference"] < 1e-3
    assert found["preparation"]["box_difference_px"] < 0.01
    counts = [way["all"]["kernels"] for way in found["queued"].values()]
    assert counts[0] > counts[-1] > 500
    assert found["queued"]["weights cast together"]["text"]["kernels"] < found["queued"]["no masks"]["text"]["kernels"]


@pytest.mark.slow
def test_a_whole_step_copies_nothing_to_the_device() -> None:
    """Encoders, fusion, heads, losses, clipping and the optimiser."""
    with no_copies():
        found = kernels.queued(fused.TINY, "weights cast together")
    assert found["all"]["kernels"] > 500
