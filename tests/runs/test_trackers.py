"""Learning curves in TensorBoard files, Weights & Biases (offline) and MLflow (a local folder)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from multiemo.config import load_config
from multiemo.errors import ConfigError
from multiemo.progress import Progress
from multiemo.runs import trackers as module
from multiemo.runs import train


@pytest.fixture
def run(tiny_config, tmp_path):
    def start(*trackers: str) -> Path:
        config = load_config(
            tiny_config(tmp_path, modalities=("text",)), [f"trackers=[{', '.join(trackers)}]", "training.epochs=2"]
        )
        train(config, tmp_path / "run")
        return tmp_path / "run"

    return start


def test_tensorboard_has_every_epoch(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run("tensorboard") / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("text/val_uar")] == [1, 2]


@pytest.mark.slow
def test_mlflow_has_curves_and_config(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason='needs pip install "multiemo[trackers]"')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/curves.db")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "curves").as_uri())
    run("mlflow")
    (found,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert found.data.params["encoders.text.name"] == "text_transformer"
    assert found.data.metrics["text/epoch"] == 2
    history = mlflow.MlflowClient().get_metric_history(found.info.run_id, "text/loss")
    assert [point.step for point in history] == [1, 2]


@pytest.mark.slow
def test_weights_and_biases_offline(run, monkeypatch):
    pytest.importorskip("wandb", reason='needs pip install "multiemo[trackers]"')
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = run("wandb")
    assert list((folder / "wandb").glob("offline-run-*/*.wandb"))


def test_a_tracker_that_is_not_installed_is_named(run, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None if name == "wandb" else real(name))
    with pytest.raises(ConfigError, match=r"trackers: 'wandb' is not installed; pip install \"multiemo\[trackers\]\""):
        run("tensorboard", "wandb")


def test_a_tracker_that_fails_on_the_way_is_given_up(tiny_config, tmp_path, monkeypatch):
    class Broken:
        told = 0

        def log(self, values, step):
            self.told += 1
            raise ConnectionError("no route to host\nand more")

        def finish(self):
            raise AssertionError("it was given up")

    class Listening(Progress):
        said: tuple[str, ...] = ()

        def note(self, message):
            self.said += (message,)

    broken, progress = Broken(), Listening()
    opened = module.Trackers._open
    monkeypatch.setattr(
        module.Trackers, "_open", lambda self, name, *rest: broken if name == "mlflow" else opened(name, *rest)
    )
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: True)
    lines = ["trackers=[mlflow, tensorboard]", "training.epochs=2"]
    config = load_config(tiny_config(tmp_path, modalities=("text",)), lines)
    train(config, tmp_path / "run", progress=progress)
    assert broken.told == 1
    said = "trackers: 'mlflow' failed and is no longer used: no route to host; see metrics.jsonl"
    assert [s for s in progress.said if s.startswith("trackers")] == [said]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_no_tracker_at_all(run):
    folder = run()
    assert not (folder / "tensorboard").exists()
    assert (folder / "metrics.jsonl").is_file()
