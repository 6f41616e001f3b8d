"""How the encoders of a training run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from multiemo.config import TrainingConfig
from multiemo.training import faster
from multiemo.training.trainer import Trainer
from tests.support.tiny_training import labels, make_loader, make_model, make_samples


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways in which encoders were made to run."""
    ways: list[str] = []
    for name in ("compile_encoder", "graph_encoder", "cast_together"):
        monkeypatch.setattr(faster, name, lambda encoder, failed, name=name: ways.append(name))
    return ways


CUDA = torch.device("cuda")
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "precision", "processes", "options", "ways"),
    [
        (CUDA, "bf16", 1, {}, ["cast_together", "graph_encoder"]),
        (CUDA, "no", 1, {}, ["graph_encoder"]),
        (CUDA, "bf16", 1, {"cuda_graphs": False}, ["cast_together"]),
        (CUDA, "bf16", 2, {}, []),
        (CUDA, "bf16", 1, {"compile_encoders": True}, ["compile_encoder"]),
        (CPU, "bf16", 1, {}, ["cast_together"]),
        (CPU, "no", 1, {}, []),
    ],
)
def test_how_each_encoder_runs(
    device: torch.device, precision: str, processes: int, options: Any, ways: list[str], chosen: list[str]
) -> None:
    whole = SimpleNamespace(clip_by_clip=False)
    accelerator: Any = SimpleNamespace(device=device, mixed_precision=precision, num_processes=processes)
    model: Any = SimpleNamespace(modalities=("text", "face"), encoders={"text": whole, "face": whole})
    faster.run_faster(model, accelerator, TrainingConfig(), **options, note=pytest.fail)
    assert chosen == ways * 2
    chosen.clear()
    faster.run_faster(model, accelerator, TrainingConfig(gradient_checkpointing=True), **options, note=pytest.fail)
    assert set(chosen) <= {"compile_encoder"}, "recomputed layers would not find their copies or graph"
    chosen.clear()
    whole.clip_by_clip = True
    faster.run_faster(model, accelerator, TrainingConfig(), **options, note=pytest.fail)
    assert chosen == [way for way in ways if way != "graph_encoder"] * 2, "lengths are read back to the host"


def test_training_in_half_precision_casts_weights_together_and_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainingConfig(epochs=2, accumulate=2)
    learnt = []
    for together in (True, False):
        AcceleratorState._reset_state(True)
        accelerator = Accelerator(cpu=True, mixed_precision="bf16")
        model = make_model()
        samples = make_samples(40, 0)
        copied: list[int] = []
        with monkeypatch.context() as patch:
            real = torch._foreach_copy_
            patch.setattr(torch, "_foreach_copy_", lambda *a, real=real, n=copied: (n.append(1), real(*a))[1])
            if not together:
                patch.setattr(faster, "cast_together", lambda *_: None)
            trainer = Trainer(accelerator, settings, seed=4, note=pytest.fail)
            trainer.fit(labels(model, settings), make_loader(samples, model.modalities), lambda _: {"uar": 1.0})
        assert bool(copied) == together
        assert all(encoder._compiled_call_impl is None for encoder in model.encoders.values())
        learnt.append(model.state_dict())
    AcceleratorState._reset_state(True)
    for name, value in learnt[0].items():
        assert torch.equal(value, learnt[1][name]), name
