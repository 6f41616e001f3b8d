"""Two processes (gloo, on the CPU) against one: same losses, same weights, no clip measured twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.fit_in_processes import CASES, fit_cases, make_samples
from tests.support.processes import start

pytestmark = pytest.mark.slow  # CI runs them beside the default tests
MODULE = "tests.support.fit_in_processes"


def run_two(folder: Path, names: str, *, resume: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    done = start(MODULE, folder, names, "resume" if resume else "anew")
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases in one process and in two."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "one").mkdir()
    fit_cases(folder / "one", list(CASES), resume=False)
    run_two(folder / "two", ",".join(CASES))
    return folder


def history(folder: Path, name: str, end: str = "") -> list[dict]:
    return json.loads((folder / name / f"said{end}.json").read_text())["history"]


def assert_close(one: Path, other: Path) -> None:
    ours, theirs = load_file(one), load_file(other)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=2e-3, atol=2e-4, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(fitted: Path, name: str) -> None:
    one, two = history(fitted / "one", name), history(fitted / "two", name)
    assert [r["step"] for r in one] == [r["step"] for r in two]
    for ours, theirs in zip(one, two, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)
        assert theirs["val"]["loss"] == pytest.approx(ours["val"]["loss"], rel=1e-3)
    assert one[-1]["loss"] < one[0]["loss"]
    assert_close(fitted / "one" / name / "model.safetensors", fitted / "two" / name / "model.safetensors")


def test_every_validation_clip_is_measured_once_and_in_order(fitted: Path) -> None:
    wanted = [s.id for s in make_samples(33, 1)]
    for seen in json.loads((fitted / "two" / "ddp" / "said.json").read_text())["seen"]:
        assert seen == wanted


def test_two_processes_resume_where_they_were(fitted: Path) -> None:
    """From the second state of many, within an epoch, with DDP and EMA and with FSDP."""
    names = ("ddp-ema", "fsdp")
    run_two(fitted / "two", ",".join(names), resume=True)
    for name in names:
        straight, again = history(fitted / "two", name), history(fitted / "two", name, "-resumed")
        assert [r["loss"] for r in again] == pytest.approx([r["loss"] for r in straight], rel=1e-5)
        assert_close(fitted / "two" / name / "model.safetensors", fitted / "two" / name / "model-resumed.safetensors")
