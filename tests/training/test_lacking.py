"""Shares of a batch that lack a modality: two processes do what one does, and neither waits for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.lacking_in_processes import CASES, CONTROLS, make_sampler, make_samples
from tests.support.processes import start

MODULE = "tests.support.lacking_in_processes"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases in one process and in two."""
    folder = tmp_path_factory.mktemp("lacking")
    for count in (1, 2):
        (folder / str(count)).mkdir()
        done = start(MODULE, folder / str(count), ",".join(CASES), 240, count=count)
        assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_shares_lack_what_others_have_and_batches_lack_it_altogether() -> None:
    samples = make_samples()
    kinds = set()
    for epoch in range(2):
        shares = []
        for rank in range(2):
            sampler = make_sampler(samples, rank=rank, processes=2)
            sampler.epoch = epoch
            shares.append(list(sampler))
        for pair in zip(*shares, strict=True):
            for m in ("text", "speech", "face"):
                having = sorted(sum(m in samples[i].inputs for i in share) for share in pair)
                kinds.add((m, having[0], min(having[1], 2)))
    assert kinds >= {("text", 0, 1), ("text", 0, 2), ("speech", 0, 1), ("face", 0, 2), ("face", 0, 1), ("face", 0, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one_where_shares_lack_a_modality(fitted: Path, name: str) -> None:
    one, two = (json.loads((fitted / count / f"{name}.json").read_text()) for count in "12")
    for ours, theirs in zip(one, two, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], abs=2e-6)
        assert theirs["val"]["loss"] == pytest.approx(ours["val"]["loss"], abs=2e-6)
    ours, theirs = (load_file(fitted / count / f"{name}.safetensors") for count in "12")
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLS)
def test_processes_that_do_not_know_what_the_others_have_wait_in_vain(tmp_path: Path, name: str) -> None:
    done = start(MODULE, tmp_path, name, 8)
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())
