"""How batches come: by how many workers, which stay, with which random numbers."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from multiemo.config import load_config
from multiemo.inputs import build_input, dataset
from multiemo.inputs.dataset import PreparedPart
from multiemo.inputs.text import TextInput
from multiemo.runs.batches import Part, cut_notes, prepare_part, worker_count
from multiemo.types import Clip, SpeechSpec, TextSpec, WaveformSpec
from tests.support.sounds import ready

CONFIG = """
name: loading
label_set: demo5
data: {manifest: none.jsonl, workers: 2}
encoders: {text: {name: text_transformer}}
stages: [text]
"""


class Words:
    """In place of a text preprocessor: the clip's number, and who has read it."""

    spec = TextSpec()

    def __call__(self, text: str, context: tuple[str, ...]) -> torch.Tensor:
        return torch.tensor([int(text), os.getpid()])


def make_part(folder: Path) -> Part:
    (folder / "config.yaml").write_text(CONFIG, "utf-8")
    clips = [Clip(id=str(i), corpus="c", text=str(i), label_set="demo5", label="happy") for i in range(24)]
    return prepare_part(load_config(folder / "config.yaml"), folder, clips, {"text": TextInput("text", Words())})


def epochs(part: Part, count: int = 3) -> tuple[list[list[int]], list[set[int]], list[float]]:
    """Clips, readers and the next random number of each epoch; the last one begins in its middle."""
    torch.manual_seed(0)
    loader = part.loader(("text",), range(24), 4, shuffle=True)
    clips, readers, drawn = [], [], []
    for epoch in range(count):
        loader.batch_sampler.epoch, loader.batch_sampler.start = epoch, 2 if epoch == count - 1 else 0
        seen = torch.cat([batch.inputs["text"] for batch in loader])
        clips.append(seen[:, 0].tolist())
        readers.append(set(seen[:, 1].tolist()))
        drawn.append(torch.rand(()).item())
    return clips, readers, drawn


def test_workers_are_as_many_as_asked_stay_and_change_nothing(tmp_path, monkeypatch):
    held, (mine, *_), numbers = epochs(make_part(tmp_path))
    assert mine == {os.getpid()}
    monkeypatch.setattr(dataset, "MEMORY_LIMIT", 0)
    read, readers, again = epochs(make_part(tmp_path))
    assert read == held
    assert len(read[-1]) == 16
    assert again == numbers
    assert len(readers[0]) == 2
    assert readers[0] == readers[1] == readers[2]


def test_a_resumed_epoch_draws_what_it_would_have_drawn(tmp_path, monkeypatch):
    """A new process makes its workers anew, where one that went on had kept them."""
    monkeypatch.setattr(dataset, "MEMORY_LIMIT", 0)
    part, state = make_part(tmp_path), []
    went_on, anew = part.loader(("text",), range(24), 4), part.loader(("text",), range(24), 4)
    for _ in range(2):
        state.append(torch.get_rng_state())
        list(went_on)
    after = torch.rand(())
    torch.set_rng_state(state[1])
    list(anew)
    assert torch.rand(()) == after


@pytest.mark.parametrize(("wanted", "sharing", "own"), [(8, "4", 2), (3, "4", 1), (5, None, 5)])
def test_processes_of_one_machine_share_its_workers(wanted, sharing, own, monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if sharing is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", sharing)
    assert worker_count(wanted) == own
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert worker_count(0) == 12 // int(sharing or 1)


@pytest.mark.parametrize("spec", [SpeechSpec(), WaveformSpec(), WaveformSpec(prosody=True)])
def test_training_says_of_how_many_clips_only_the_beginning_of_the_voice_is_read(spec: Any) -> None:
    entry: Any = build_input("speech", spec)
    prepare = entry.preprocessor
    noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 13).astype(np.float32)
    lengths = [len(ready(prepare(noise[: round(16000 * seconds)], 16000))) for seconds in (13, 12.5, 11.9, 2)]
    dataset: Any = SimpleNamespace(inputs={"speech": entry})
    part = Part(dataset, PreparedPart(lengths={"speech": [*lengths, 0]}), 0)
    (note,) = cut_notes(part)
    assert "only the first 12 s are read of 2 of 5 clips; encoders.speech.max_seconds" in note
    part.prepared.lengths["speech"] = lengths[2:]
    assert cut_notes(part) == []
