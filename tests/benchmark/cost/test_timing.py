"""FLOPs of known layers, and the parts of a model that run for a subset of modalities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from multiemo.benchmark.cost import timing
from multiemo.benchmark.cost.timing import count_flops, restricted
from multiemo.data.collate import Collate
from multiemo.errors import MultiemoError
from multiemo.runs import load_bundle
from multiemo.runs.device import Compute
from multiemo.types import MODALITIES, Batch, Sample
from tests.support.runs import source_of


def batch_of(**inputs: torch.Tensor) -> Batch:
    sample = Sample("a", "c", "s", dict(inputs), {}, None, torch.full((3,), float("nan")))
    return Collate([m for m in MODALITIES if m in inputs], 2)([sample])


class Reads(nn.Module):
    """A module over one input of a batch."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.inner(batch.inputs["face"])


def test_flops_of_known_layers_match_their_closed_forms():
    steps, width = 10, 16
    x = batch_of(face=torch.randn(steps, width))
    assert count_flops(Reads(nn.Linear(width, 5)), x) == 2 * steps * width * 5
    # Four projections, two products of all pairs of steps, and the two layers after them.
    layer = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True).eval()
    attention = 2 * steps * width * 4 * width + 2 * 2 * steps * steps * width
    assert count_flops(Reads(layer), x) == attention + 2 * 2 * steps * width * 32
    # Four gates, each over the input and the state.
    assert count_flops(Reads(nn.LSTM(width, 8, batch_first=True).eval()), x) == 2 * steps * 4 * 8 * (width + 8)
    convolution = nn.Conv1d(steps, 3, 5, padding=2)
    assert count_flops(Reads(convolution), x) == 2 * width * 3 * steps * 5
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_encoder_that_is_not_shown_does_not_run(tiny_run: Path):
    bundle = load_bundle(tiny_run)
    source = source_of(tiny_run)
    clip = timing.choose_clips(bundle, source, 1)[0]
    one = timing.measure_clip(bundle, clip, source, ("T", "TSF"), 1, Compute(torch.device("cpu")))
    text = load_bundle(tiny_run / "branches" / "text")
    alone = timing.measure_clip(text, clip, source, ("T",), 1, Compute(torch.device("cpu")))
    assert alone.flops["T"] <= one.flops["T"] < one.flops["TSF"] / 2


def test_shown_hides_the_other_modalities():
    batch = restricted(batch_of(text=torch.ones(3, dtype=torch.int64), face=torch.ones(2, 4)), ("face",))
    assert {m: bool(here) for m, here in batch.presence.items()} == {"text": False, "face": True}


def test_clips_with_all_modalities_come_first(tiny_run: Path):
    bundle = load_bundle(tiny_run)
    source = source_of(tiny_run)
    chosen = timing.choose_clips(bundle, source, 3)
    assert len({c.id for c in chosen}) == 3
    assert all(c.text and c.video for c in chosen)
    silent = [replace(c, text=None, audio=None, video=None) for c in source.clips]
    with pytest.raises(MultiemoError, match="nothing to measure"):
        timing.choose_clips(bundle, replace(source, clips=silent), 1)
