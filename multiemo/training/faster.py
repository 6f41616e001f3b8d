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
    cuda_graphs: bool = True,
    note: Callable[[str], None],
) -> None:
    """Run the encoders in the fastest way that is asked for and possible; undone by ``run_plainly``.

    Args:
        model: the model that is trained, on its device.
        accelerator: device, precision and processes.
        settings: training settings of the stage.
        compile_encoders: use ``torch.compile``.
        cuda_graphs: replay the encoders' passes as CUDA graphs, on one GPU, where they are not compiled or recomputed
            and do not read lengths back (``clip_by_clip``).
        note: called with a message for the user.
    """

    def failed(m: str, what: str, error: str) -> None:
        note(f"encoders.{m}: {what} failed, and the encoder goes on without it ({error})")

    alone = accelerator.num_processes == 1  # several processes exchange gradients within a pass
    recomputed = settings.gradient_checkpointing
    for m in model.modalities:
        encoder = model.encoders[m]
        if compile_encoders:
            compile_encoder(encoder, partial(failed, m, "torch.compile"))
        elif alone and not recomputed:
            if str(accelerator.mixed_precision) != "no":
                cast_together(encoder, partial(failed, m, "casting its weights together"))
            if cuda_graphs and accelerator.device.type == "cuda" and not encoder.clip_by_clip:
                graph_encoder(encoder, partial(failed, m, "capturing a CUDA graph"))
