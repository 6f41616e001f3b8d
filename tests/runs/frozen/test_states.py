"""Layers above a frozen backbone learn from its cached states what they would learn from the clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from multiemo.config import load_config
from multiemo.encoders.common import reliability
from multiemo.errors import MediaError
from multiemo.progress import Progress
from multiemo.runs import Run, evaluate_run, train
from multiemo.runs.frozen import states as frozen_states
from multiemo.runs.model_folder import load_bundle
from tests.support.tiny_decoders import save_decoder
from tests.support.tiny_speech import save_model

Train = Callable[..., Run]


class Notes(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def speech_run(tiny_config, tmp_path: Path) -> Train:
    """Trains a speech branch over a frozen tiny model."""
    folders: dict[str, str] = {}

    def run(name: str, kind: str = "whisper", *overrides: str, progress: Progress | None = None) -> Run:
        if kind not in folders:
            folders[kind] = str(save_model(kind, tmp_path))
        encoder = f"{{name: speech_pretrained, model: '{folders[kind]}', freeze: all, out_dim: 8, max_seconds: 1.5}}"
        folder = tmp_path / name
        folder.mkdir()
        config = tiny_config(folder, modalities=("speech",), encoders=f"{{speech: {encoder}}}")
        cache = f"data.cache={tmp_path / 'cache'}"
        return train(load_config(config, [cache, *overrides]), folder / "run", progress=progress)

    return run


@pytest.fixture
def backbone_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the number of clips of each batch in which a backbone runs."""
    from multiemo.encoders.speech.speech_pretrained import SpeechPretrained

    seen: list[int] = []
    real = SpeechPretrained._hidden

    def counted(self, wave, *rest, **options):
        seen.append(len(wave))
        return real(self, wave, *rest, **options)

    monkeypatch.setattr(SpeechPretrained, "_hidden", counted)
    return seen


def assert_same(ours: Run, theirs: Run) -> None:
    for a, b in zip(ours.stages["speech"].history, theirs.stages["speech"].history, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-3)
        assert a["val"]["loss"] == pytest.approx(b["val"]["loss"], abs=1e-3)
    state = theirs.bundle.model.state_dict()
    for key, value in ours.bundle.model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=1e-2, atol=3e-3, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("whisper", []),
        pytest.param("wav2vec2-group", ["encoders.speech.prosody=true"], marks=pytest.mark.slow),
        pytest.param("hubert", ["encoders.speech.pooling=mean"], marks=pytest.mark.slow),
        ("whisper", ["encoders.speech.prosody=true", "encoders.speech.freeze=none", "encoders.speech.frozen_layers=1"]),
    ],
)
def test_training_from_cached_states_is_training_with_the_backbone_in_the_loop(
    kind: str, options: list[str], speech_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = ["encoders.speech.dropout=0"]
    # A tiny random model has almost constant columns, which are standardised: rounding to half precision would show.
    monkeypatch.setattr(frozen_states, "_compact", lambda states: states.float())
    cached = speech_run("cached", kind, *options, *quiet)
    monkeypatch.setattr("multiemo.runs.stage._frozen_samples", lambda *given: None)
    assert_same(cached, speech_run("looped", kind, *options, *quiet))


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_frozen_text_model_runs_once_for_each_clip(tiny_config, tmp_path: Path, monkeypatch, pooling: str) -> None:
    from multiemo.encoders.text.text_pretrained import TextPretrained

    seen: list[int] = []
    real = TextPretrained.token_states

    def counted(self, x, mask, **options):
        seen.append(len(x))
        return real(self, x, mask, **options)

    monkeypatch.setattr(TextPretrained, "token_states", counted)
    model = save_decoder(tmp_path / "model")
    encoder = f"{{name: text_pretrained, model: '{model}', freeze: true, pooling: {pooling}, max_tokens: 40}}"
    config = tiny_config(tmp_path, modalities=("text",), encoders=f"{{text: {encoder}}}")
    runs = []
    for epochs in (1, 4):
        seen.clear()
        cache = f"data.cache={tmp_path / f'cache{epochs}'}"
        train(load_config(config, [cache, f"training.epochs={epochs}"]), tmp_path / f"run{epochs}")
        runs.append(sum(seen))
    assert runs[0] == runs[1], "an epoch runs no backbone"


def test_what_is_hidden_from_frozen_lower_layers_is_not_taken_from_the_cache(speech_run: Train) -> None:
    lower = ["encoders.speech.freeze=none", "encoders.speech.frozen_layers=1"]
    run = speech_run("masked", "whisper", *lower, "training.objective=masked", "training.epochs=1")
    assert run.stages["speech"].history[0]["loss"] > 0


@pytest.mark.slow
def test_the_backbone_runs_once_for_each_clip(speech_run: Train, backbone_runs: list[int]) -> None:
    def clips_run(*given: str) -> int:
        backbone_runs.clear()
        speech_run(*given)
        return sum(backbone_runs)

    first = clips_run("first")
    after = clips_run("longer", "whisper", "training.epochs=6", "encoders.speech.out_dim=4")
    assert after < first, "the head has another size, the states are the same"
    assert after == clips_run("short", "whisper", "training.epochs=1"), "an epoch runs no backbone"
    assert clips_run("other", "whisper", "encoders.speech.whisper_window=30s") == first, "its states are others"


@pytest.mark.slow
def test_states_that_do_not_fit_into_memory_are_read_from_the_cache(
    speech_run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = speech_run("memory", "whisper", "encoders.speech.dropout=0")
    monkeypatch.setattr(frozen_states, "MEMORY_LIMIT", 0)
    assert_same(speech_run("disk", "whisper", "encoders.speech.dropout=0"), in_memory)
    monkeypatch.setattr("multiemo.data.cache.tensors.TensorCache.get", lambda self, key: None)
    with pytest.raises(
        MediaError, match=r"clip 'spk\d+-\d+': the cache .* has lost its hidden states.*MULTIEMO_CACHE_GB"
    ):
        speech_run("lost", "whisper", "encoders.speech.out_dim=4")


def test_states_that_fit_nowhere_are_not_kept(
    speech_run: Train, backbone_runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_states, "MEMORY_LIMIT", 0)
    monkeypatch.setattr(frozen_states, "_SHARE", 1e-9)
    notes = Notes()
    run = speech_run("loop", progress=notes)
    assert any("speech: the hidden states of the frozen backbone need" in note for note in notes.notes)
    epochs = len(run.stages["speech"].history)
    assert sum(backbone_runs) > epochs * run.validation.n


def test_values_beyond_half_precision_keep_their_range() -> None:
    states = torch.randn(5, 3)
    assert frozen_states._compact(states).dtype == torch.float16
    torch.testing.assert_close(frozen_states._compact(states).float(), states, rtol=1e-3, atol=1e-6)
    large = torch.tensor([[1.0, 1e6]])
    assert torch.equal(frozen_states._compact(large), large)


@pytest.mark.parametrize("beside", [False, True])
def test_an_evaluation_reads_pooled_states_from_the_cache(
    beside: bool, tiny_config, tmp_path: Path, backbone_runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FEWEST_CLIPS", 5), ("CLEAN", 0.0)):
        monkeypatch.setattr(reliability, name, value)  # every input is less reliable than the most usual one of train
    model, prosody = save_model("whisper", tmp_path), str(beside).lower()
    encoder = (
        f"{{name: speech_pretrained, model: '{model}', freeze: all, pooling: statistics, out_dim: 8, max_seconds: 1.5, "
        f"prosody: {prosody}}}"
    )
    face = "{name: face_timm, backbone: mobilenetv3_small_050, size: 32, frames: 3, dim: 32}"
    encoders = f"{{speech: {encoder}, face: {face}}}"
    options = {"encoders": encoders, "reliability": "true", "fusion": "{name: decision}"}
    config = tiny_config(tmp_path, modalities=("speech", "face"), **options)
    run = train(load_config(config, [f"data.cache={tmp_path / 'cache'}"]), tmp_path / "run")
    backbone_runs.clear()
    again = evaluate_run(run.folder, split="val")
    # Only that of the longest clip, to see that its states are pooled. What is beside states is no whole input.
    assert (sum(backbone_runs) == 1) != beside
    test = evaluate_run(run.folder)
    computed = sum(backbone_runs)
    assert evaluate_run(run.folder).predictions == test.predictions
    assert (sum(backbone_runs) == computed + 1) != beside
    computed = sum(backbone_runs)
    monkeypatch.setattr("multiemo.runs.evaluation.cache_states", lambda *_, **__: None)
    looped = evaluate_run(run.folder, split="val")
    assert sum(backbone_runs) > computed + 2
    for ours, theirs in zip(again.predictions, looped.predictions, strict=True):
        for key, values in theirs["probs"].items():
            assert ours["probs"][key] == pytest.approx(values, abs=2e-3)


def test_speakers_are_normalised_by_cached_states(speech_run: Train, backbone_runs: list[int]) -> None:
    speech_run("first")
    first = sum(backbone_runs)
    run = speech_run("normal", "whisper", "encoders.speech.speaker_normalization=true")
    assert sum(backbone_runs) - first < first, "what is usual for speakers is read from the cache"
    offset = load_bundle(run.folder).model.encoders["speech"].speaker_offset
    assert offset.fitted
    stranger, known = (evaluate_run(run.folder, split="val", enrol_clips=count) for count in (0, 3))
    assert known.predictions != stranger.predictions
