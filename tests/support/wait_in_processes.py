"""Two processes prepare a part of which one share takes longer than a collective may. Run by ``test_preparing.py``."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs

from multiemo.config import load_config
from multiemo.encoders.features.features import FeatureEncoder
from multiemo.inputs import rows
from multiemo.inputs.sound import SpeechInput
from multiemo.media.reading import Media
from multiemo.progress import Progress
from multiemo.runs.batches import prepare_part
from multiemo.runs.device import accelerator_compute
from multiemo.runs.frozen.embeddings import embed_part
from multiemo.runs.frozen.once import Computer
from multiemo.training.parallel import ProcessBarrier, leave_processes
from multiemo.types import Clip, SpeechSpec

SECONDS = 4.0
CLIPS = 8


class Rows:
    """In place of a speech preprocessor."""

    spec = SpeechSpec(n_mels=0)

    def __call__(self, audio: np.ndarray, rate: int) -> torch.Tensor:
        return torch.from_numpy(audio)[:, None].expand(2, 11).clone()


def main(folder: Path, how: str) -> None:
    accelerator = Accelerator(cpu=True, kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=SECONDS))])
    rank, decoded = accelerator.process_index, []

    def decode(path: Path, *, start: float, **_: object) -> Media:
        decoded.append(str(round(start)))
        if round(start) % 2 == 0:  # those of the first process
            time.sleep(3 * SECONDS / CLIPS)
        return Media(audio=np.full(2, start, np.float32), rate=16000)

    rows.read_media = decode
    os.environ["MULTIEMO_CACHE"] = str(folder / "cache")
    facts = {"corpus": "c", "audio": "sound.wav", "label_set": "demo5", "label": "happy"}
    clips = [Clip(id=str(i), start=float(i), end=i + 1.0, **facts) for i in range(CLIPS)]
    config = load_config(folder / "config.yaml")
    accelerator.wait_for_everyone()
    if how == "collective":
        with accelerator.main_process_first():
            prepare_part(config, folder, clips, {"speech": SpeechInput("speech", Rows())})
    else:
        barrier = ProcessBarrier(accelerator)
        part = prepare_part(config, folder, clips, {"speech": SpeechInput("speech", Rows())}, barrier=barrier)
        encoder = FeatureEncoder(modality="speech", dim=11, hidden=4)
        embedded: list[int] = []
        encoder.register_forward_hook(lambda _, inputs, output: embedded.append(len(output)))
        torch.manual_seed(0)
        for parameter in encoder.parameters():
            torch.nn.init.normal_(parameter)
        computer = Computer(accelerator_compute(accelerator), barrier, {}, 64, Progress())
        made = embed_part(part, "speech", encoder, computer)
        with barrier.main_first():
            if rank == 0:
                time.sleep(1.5 * SECONDS)
        dist.barrier()  # the collectives themselves are still there, and still short
        said = {"decoded": decoded, "embedded": sum(embedded), "values": made.values.tolist()}
        (folder / f"{rank}.json").write_text(json.dumps(said))
    leave_processes()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
