"""Chooses how the encoders of a training run: compiled, as CUDA graphs, with weights cast together, or as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from accelerate import Accelerator

from multiemo.config import TrainingConfig
from multiemo.model import EmotionModel
from multiemo.training.casts import cast_together
from multiemo.training.compiled import compile_encoder
from multiemo.training.graphs import graph_encoder


def run_faster(
    model: EmotionModel,
    accelerator: Accelerator,
    settings: TrainingConfig,
    *,
    compile_encoders: bool = False,
    cuda_graphs: bool = False,
    note: Callable[[str], None],
) -> None:
    """Run the encoders in the fastest way that is asked for and possible; undone by ``run_plainly``.

    Args:
        model: the model that is trained, on its device.
        accelerator: device, precision and processes.
        settings: training settings of the stage.
        compile_encoders: use ``torch.compile``.
        cuda_graphs: replay the encoders' passes as CUDA graphs.
        note: called with a message for the user.
    """

    def failed(m: str, what: str, error: str) -> None:
        note(f"encoders.{m}: {what} failed, and the encoder goes on without it ({error})")

    obstacle = _obstacle(accelerator, settings)
    if cuda_graphs and obstacle is not None:
        note(f"cuda_graphs has no effect: {obstacle}")
    mixed = str(accelerator.mixed_precision) != "no"
    for m in model.modalities:
        if compile_encoders:
            compile_encoder(model.encoders[m], partial(failed, m, "torch.compile"))
        elif mixed and accelerator.num_processes == 1 and not settings.gradient_checkpointing:
            cast_together(model.encoders[m], partial(failed, m, "casting its weights together"))
        if cuda_graphs and obstacle is None:
            graph_encoder(model.encoders[m], partial(failed, m, "capturing a CUDA graph"))


def _obstacle(accelerator: Accelerator, settings: TrainingConfig) -> str | None:
    """Why a training cannot be captured as CUDA graphs; ``None`` if it can."""
    if accelerator.device.type != "cuda":
        return f"this training runs on {accelerator.device.type}"
    if accelerator.num_processes > 1:
        return "several processes exchange gradients within a pass"
    return "activations are recomputed" if settings.gradient_checkpointing else None
