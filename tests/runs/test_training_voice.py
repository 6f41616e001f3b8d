"""The usual voice of the training clips, from training to the explanation of a single clip."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

import multiemo
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import CheckpointError
from multiemo.preprocess.voice.cues import voice_cues
from multiemo.runs import load_bundle, training_voice
from multiemo.runs.batches import prepare_part
from multiemo.runs.folder.source import stored_source
from multiemo.types import PROSODY_CHANNELS


def test_it_is_stored_with_the_model_and_measured_on_training_clips_only(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run)
    voice = bundle.voice
    assert voice is not None
    source, _ = stored_source(tiny_run, bundle, None)
    part = prepare_part(bundle.config, source.folder, source.part("train"), bundle.inputs, dialogue=source.clips)
    rows = part.rows_with(("speech",))
    tracks: list[Tensor] = [part.dataset[i].inputs["speech"][:, -len(PROSODY_CHANNELS) :] for i in rows]
    ranges = [cues.values["pitch_range"] for cues in map(voice_cues, tracks) if cues.known("pitch_level")]
    assert voice.clips == len(ranges)
    assert voice.mean["pitch_range"] == pytest.approx(sum(ranges) / len(ranges))
    assert voice == training_voice.training_voice(part)
    branch = load_bundle(tiny_run / "branches" / "speech").voice
    assert branch is not None
    assert branch.clips == voice.clips
    assert load_bundle(tiny_run / "branches" / "text").voice is None


def test_a_large_part_is_thinned_out(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    part = prepare_part(bundle.config, source.folder, source.part("train"), bundle.inputs, dialogue=source.clips)
    monkeypatch.setattr(training_voice, "_MOST_CLIPS", 5)
    found = training_voice.training_voice(part)
    assert found is not None
    assert found.clips <= 5


def test_a_folder_without_it_or_with_a_damaged_one(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run)
    bundle.facts = {k: v for k, v in bundle.facts.items() if k != "voice"}
    assert bundle.voice is None
    bundle.facts["voice"] = {"whose": "x"}
    with pytest.raises(CheckpointError, match=r"facts\.voice"):
        _ = bundle.voice


def test_a_single_clip_is_compared_with_the_training_clips(tiny_run: Path, small_corpus: Path) -> None:
    model = multiemo.load(tiny_run)
    name = next(c.video for c in read_manifest(small_corpus) if c.video and c.audio)
    [segment] = model.explain(str(small_corpus.parent / name)).segments
    speech = next(e for e in segment.evidence if e.modality == "speech")
    cues = {part.name: part for view in speech.views if view.unit == "cue" for part in view.parts}
    assert cues["pitch range"].deviation is not None
    assert "the training clips" in str(cues["pitch range"].detail)
    reading = next(r for r in segment.rules if r.modality == "speech")
    assert reading.label is not None
    assert any("the training clips" in reason.rule for reason in reading.reasons)
    assert any("compared with the training clips" in limit for limit in reading.limits)
    # Without the stored baseline, as in an older folder, the statistics of frames remain.
    model.bundle.facts.pop("voice")
    [segment] = model.explain(str(small_corpus.parent / name)).segments
    speech = next(e for e in segment.evidence if e.modality == "speech")
    cues = {part.name: part for view in speech.views if view.unit == "cue" for part in view.parts}
    assert cues["pitch range"].deviation is None
    assert cues["pitch level"].deviation is not None


def test_the_record_survives_the_file(tiny_run: Path) -> None:
    stored = json.loads((tiny_run / "model" / "config.json").read_text("utf-8"))["facts"]["voice"]
    assert replace(load_bundle(tiny_run).voice) == stored
