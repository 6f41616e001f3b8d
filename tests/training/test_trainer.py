"""The loop on tiny feature models: it learns, resumes bit for bit, stops where it must."""

from __future__ import annotations

import signal
import weakref
from pathlib import Path

import pytest
import torch

from multiemo.config import TrainingConfig
from multiemo.errors import CheckpointError, TrainingError
from multiemo.training import checkpoint
from multiemo.training.objectives import Labels
from tests.support.tiny_training import Killed, assert_same_weights, fit, make_model, make_samples


def test_it_learns_and_keeps_the_best_epoch():
    model = make_model()
    result = fit(model, TrainingConfig(epochs=12, lr=5e-3))
    assert result.best["uar"] > 0.7
    assert result.best["uar"] == pytest.approx(max(r["val"]["uar"] for r in result.history), abs=1e-6)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    again = [r for r in result.history if r["epoch"] == result.best_epoch]
    assert again[0]["val"]["uar"] == pytest.approx(result.best["uar"], abs=1e-6)


WAYS = [
    {},
    {"ema": 0.9, "mixup": 0.4},
    {"accumulate": 2, "class_weights": 0.5},
    {"accumulate": 3, "save_steps": 1, "modulation": 0.5, "unfreeze": {"speech": 0.5}, "focal": 2.0},
    {"save_steps": 2, "keep": 3, "ema": 0.9, "balanced_sampling": 1.0, "layer_decay": {"face": 0.5}},
]


@pytest.mark.fault("kill -9 while training", "the resumed run ends with the weights of an undisturbed one, bit for bit")
@pytest.mark.parametrize("extra", WAYS)
@pytest.mark.parametrize("where", [{"after_epoch": 2}, {"after_step": 1}, {"after_step": 5}, {"after_step": 13}])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, extra, where):
    settings = TrainingConfig(epochs=5, lr=3e-3, modality_dropout=0.5, **extra)
    straight, broken, resumed = make_model(), make_model(), make_model()
    result = fit(straight, settings, tmp_path / "a")
    with pytest.raises(Killed):
        fit(broken, settings, tmp_path / "b", **where)
    torch.manual_seed(99)
    again = fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)
    without_time = [[{k: v for k, v in r.items() if k != "seconds"} for r in x.history] for x in (result, again)]
    assert without_time[0] == without_time[1]


@pytest.mark.fault(
    "kill -9 within an epoch, with `training.save_steps`",
    "it goes on from the last state, not from the last epoch",
)
def test_a_killed_run_goes_on_from_its_last_step_not_its_last_epoch(tmp_path):
    settings = TrainingConfig(epochs=2, save_steps=3)
    with pytest.raises(Killed):
        fit(make_model(), settings, tmp_path, after_step=5)
    seen = []
    fit(make_model(), settings, tmp_path, after_step=4, crash=lambda: seen.append(4))
    assert seen == [4]  # step 4 is done again, 3 is not
    with pytest.raises(Killed):
        fit(make_model(), settings, tmp_path / "other", after_step=5)
    fit(make_model(), settings, tmp_path / "other", after_step=3, crash=lambda: seen.append(3))
    assert seen == [4]


@pytest.fixture
def signals_count():
    """A shell starts what runs in the background with Ctrl-C ignored, which a run respects."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, TrainingError), (signal.SIGINT, KeyboardInterrupt)])
def test_signals_end_with_a_state_of_that_very_step(tmp_path, number, error, signals_count):
    settings = TrainingConfig(epochs=3, lr=3e-3)
    straight, broken, resumed = make_model(), make_model(), make_model()
    fit(straight, settings, tmp_path / "a")
    before = signal.getsignal(number)
    with pytest.raises(error, match="after step 11 is saved; continue with --resume"):
        fit(broken, settings, tmp_path / "b", after_step=11, crash=lambda: signal.raise_signal(number))
    assert signal.getsignal(number) is before
    assert (tmp_path / "b" / "step-00000011.safetensors").is_file()
    fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)


def test_a_signal_during_the_last_validation_is_not_swallowed(tmp_path):
    settings = TrainingConfig(epochs=2)
    with pytest.raises(TrainingError, match="after epoch 2 is saved"):
        fit(make_model(), settings, tmp_path, after_epoch=2, crash=lambda: signal.raise_signal(signal.SIGTERM))
    assert fit(make_model(), settings, tmp_path).epochs == 2


def test_the_best_weights_and_the_last_states_are_kept(tmp_path):
    result = fit(make_model(), TrainingConfig(epochs=4, lr=3e-3, save_steps=3, keep=2), tmp_path)
    steps = sorted(p.name for p in tmp_path.glob("step-*"))
    assert steps == ["step-00000030.safetensors", "step-00000032.safetensors"]
    assert [p.name for p in tmp_path.glob("best-*")] == [f"best-{result.best_epoch:05d}.safetensors"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_state_of_another_config_is_refused(tmp_path):
    settings = TrainingConfig(epochs=1)
    fit(make_model(), settings, tmp_path)
    with pytest.raises(CheckpointError, match="another config"):
        fit(make_model(), settings, tmp_path, identity="b")


@pytest.mark.fault("corrupted checkpoint", "the state before it is used; one line names it if there is none")
def test_a_damaged_state_gives_way_to_the_one_before_and_is_named_where_there_is_none(tmp_path):
    settings = TrainingConfig(epochs=3, lr=3e-3, keep=2)
    straight, broken = make_model(), make_model()
    fit(straight, settings, tmp_path)
    last, before = sorted(tmp_path.glob("step-*"), reverse=True)
    last.write_bytes(last.read_bytes()[:100])
    fit(broken, settings, tmp_path)
    assert_same_weights(straight, broken)
    for path in tmp_path.glob("step-*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"step-00000024\.safetensors.*remove .* to start this stage again"):
        fit(make_model(), settings, tmp_path)
    assert before.is_file()


@pytest.mark.fault(
    "disk full while a checkpoint is written",
    "one line names the file and the space it needs; the state before it stays",
)
def test_a_full_disk_ends_the_run_and_keeps_the_state_of_before(tmp_path, monkeypatch):
    settings = TrainingConfig(epochs=3, lr=3e-3)
    straight, resumed = make_model(), make_model()
    fit(straight, settings, tmp_path / "a")
    real = checkpoint.save_file
    written = []

    def full(tensors, path, metadata):
        written.append(path)
        if len(written) > 3:  # in the second epoch
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*free some space"):
        fit(make_model(), settings, tmp_path / "b")
    monkeypatch.setattr(checkpoint, "save_file", real)
    assert not list((tmp_path / "b").glob("*.tmp"))
    fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)


def test_a_loss_that_is_not_finite_names_the_clips():
    with pytest.raises(TrainingError, match="clip7"):
        fit(make_model(), TrainingConfig(epochs=1), samples=make_samples(60, 0, poison=7))


def test_patience_stops_early():
    result = fit(make_model(), TrainingConfig(epochs=50, lr=1e-7, patience=3))
    assert result.epochs == result.best_epoch + 3 < 50


def test_the_last_epoch_can_be_kept_whatever_validation_says():
    settings = TrainingConfig(epochs=6, lr=1e-7, patience=1)
    assert fit(make_model(), settings).epochs < 6
    result = fit(make_model(), settings.model_copy(update={"select": "last"}))
    assert result.epochs == result.best_epoch == 6
    assert result.best == {k: pytest.approx(v, abs=1e-6) for k, v in result.history[-1].val.items()}


def test_frozen_encoders_keep_their_weights_and_others_move():
    model = make_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fit(model, TrainingConfig(epochs=1, freeze=("speech",)))
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert not any(k.startswith("encoders.speech") for k in moved)
    assert any(k.startswith("encoders.face") for k in moved)


def test_states_leave_out_what_is_frozen_and_resume_without_it(tmp_path):
    settings = TrainingConfig(epochs=4, lr=3e-3, freeze=("speech",), ema=0.9)
    straight, broken, resumed = make_model(), make_model(), make_model()
    fit(straight, settings, tmp_path / "a")
    with pytest.raises(Killed):
        fit(broken, settings, tmp_path / "b", after_epoch=2)
    for path in (tmp_path / "b").glob("*.safetensors"):
        assert not [k for k in checkpoint.load_tensors(path)[0] if ".speech." in k and "encoders" in k]
    fit(resumed, settings, tmp_path / "b")
    assert_same_weights(straight, resumed)


def test_no_step_keeps_the_graph_of_the_one_before(monkeypatch):
    """While it is alive, weights stay tied to the stream that read them, though a CUDA graph reads them on another."""
    made = []
    forward = Labels.forward

    def watched(self, *arguments):
        assert not any(loss() is not None for loss in made), len(made)
        loss = forward(self, *arguments)
        made.append(weakref.ref(loss))
        return loss

    monkeypatch.setattr(Labels, "forward", watched)
    fit(make_model(), TrainingConfig(epochs=2, accumulate=2))
    assert len(made) >= 10
