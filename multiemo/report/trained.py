"""Trains a config and writes the model cards."""

from __future__ import annotations

import os
from pathlib import Path

from multiemo.config import Config
from multiemo.progress import Progress
from multiemo.report.card import write_cards
from multiemo.runs import Run
from multiemo.runs import train as train_run


def train(
    config: Config,
    out: str | Path = "runs/run",
    *,
    resume: bool = False,
    profile: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train all stages of a config and write a run folder, with a card in each model folder.

    The test part is not read. Under ``accelerate launch`` or ``torchrun`` every process calls this function, and the
    first one writes.

    Args:
        config: resolved config, see :mod:`multiemo.config`.
        out: run folder.
        resume: continue the run in ``out``.
        profile: write a trace of a few steps of each stage to ``out/profile``.
        progress: receives stages, steps, epochs and notes.

    Raises:
        MultiemoError: the config, manifest, split, media or a checkpoint is invalid.
        KeyboardInterrupt: on Ctrl-C; the run can be resumed.
    """
    run = train_run(config, out, resume=resume, profile=profile, progress=progress)
    if not int(os.environ.get("RANK", "0")):
        write_cards(run.folder)
    return run
