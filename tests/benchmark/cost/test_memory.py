"""Peak memory is measured in the process that classifies."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from multiemo.benchmark.cost import memory
from multiemo.benchmark.cost.memory import peak_memory
from multiemo.errors import MultiemoError
from tests.support.runs import source_of


@pytest.mark.slow
def test_memory_is_that_of_the_process_that_classifies_alone(tiny_run: Path):
    source = source_of(tiny_run)
    clip = source.part("val")[0]
    text, full = (peak_memory(tiny_run, source, clip, key) for key in ("T", "TSF"))
    assert 100 < text.libraries < text.peak < full.peak < 2000
    assert text.libraries == pytest.approx(full.libraries, rel=0.05)
    ballast = np.ones(int(full.peak) * 2**17)  # as much again, in this process
    assert peak_memory(tiny_run, source, clip, "TSF").peak == pytest.approx(full.peak, rel=0.1)
    assert len(ballast)


def test_a_process_that_fails_says_why(tiny_run: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback ...\nOSError: no room\n")
    monkeypatch.setattr(memory, "subprocess", SimpleNamespace(run=lambda *_, **__: failed))
    source = source_of(tiny_run)
    clip = source.part("val")[0]
    with pytest.raises(MultiemoError, match=f"the memory that SF takes .*{clip.id}.*OSError: no room"):
        peak_memory(tiny_run, source, clip, "SF")
