"""Rows of a manifest as explanations read them."""

from __future__ import annotations

from collections import Counter

import torch

from multiemo.explanation.clips import clip_inputs, spread
from multiemo.inputs.material import Audio, Pictures, Utterance
from multiemo.runs.batches import prepare_part
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.model_folder import load_bundle


def test_raw_forms_are_those_that_the_tensors_were_made_from(tiny_run) -> None:
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    part = prepare_part(bundle.config, source.folder, part_of(source, "val"), bundle.inputs, dialogue=source.clips)
    kinds = {"text": Utterance, "speech": Audio, "face": Pictures}
    seen: Counter[str] = Counter()
    for index in range(len(part.dataset)):
        sample, inputs = clip_inputs(part.dataset, index)
        assert inputs.keys() == sample.inputs.keys()
        for m, clip in inputs.items():
            seen[m] += 1
            assert isinstance(clip.raw, kinds[m])
            made = bundle.inputs[m].prepare(clip.raw)
            assert torch.equal(made.tensor, clip.tensor)
    assert set(seen) == set(bundle.model.modalities)


def test_drawn_rows_are_spread_over_speakers() -> None:
    speakers = ["a"] * 50 + ["b"] * 5 + ["c"] * 2
    rows = [2 * i for i in range(57)]
    drawn = spread(rows, speakers, 9, seed=1)
    assert Counter(speakers[row // 2] for row in drawn) == {"a": 4, "b": 3, "c": 2}
    assert drawn == sorted(set(drawn))
    assert drawn != spread(rows, speakers, 9, seed=2)
    assert spread(rows, speakers, 99, seed=0) == rows
