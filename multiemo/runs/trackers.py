"""Logs the learning curves of a run to TensorBoard, Weights & Biases and MLflow."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multiemo.config import Config
from multiemo.errors import ConfigError, NetworkError, first_line
from multiemo.extras import install_command
from multiemo.progress import Progress


class Trackers:
    """The trackers that the config names, opened through accelerate.

    Args:
        config: resolved config of the run.
        folder: run folder. TensorBoard and Weights & Biases write to it; MLflow writes to ``MLFLOW_TRACKING_URI`` if
            that is set, else to the run folder. Weights & Biases uploads only with ``WANDB_MODE=online``.
        progress: receives a note when a tracker fails during the run, which continues without it.

    Raises:
        ConfigError: the package of a tracker is not installed, or the tracker cannot be started.
        NetworkError: it would log to a server, and the network is forbidden.
    """

    def __init__(self, config: Config, folder: Path, progress: Progress) -> None:
        self._progress = progress
        for name in config.trackers:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(f"trackers: {name!r} is not installed; {install_command(name)} or remove it")
        self._trackers = {name: self._open(name, config, folder) for name in config.trackers}

    @staticmethod
    def _open(name: str, config: Config, folder: Path) -> Any:
        from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

        try:
            if name == "tensorboard":
                tracker = TensorBoardTracker("tensorboard", str(folder))
            elif name == "wandb":
                tracker = WandBTracker("multiemo", name=f"{config.name}-{folder.name}", dir=str(folder))
            else:
                tracker = MLflowTracker("multiemo", logging_dir=str(folder / "mlflow"), run_name=config.name)
            tracker.start()
            if name != "tensorboard":  # its files lie beside config.yaml
                tracker.store_init_configuration(_flat(config.model_dump(mode="json")))
        except NetworkError as error:
            raise NetworkError(f"trackers: {name!r}: {error}") from None
        except Exception as error:  # the clients share no base exception
            raise ConfigError(
                f"trackers: {name!r} cannot be started: {first_line(error)}; log in to it, or remove it"
            ) from error
        return tracker

    def log(self, stage: str, record: Mapping[str, Any]) -> None:
        """Log one epoch of a stage to every tracker.

        Args:
            stage: name of the stage, used as a prefix of the metrics.
            record: the epoch's line of ``metrics.jsonl``.
        """
        values = {f"{stage}/loss": record["loss"], f"{stage}/lr": record["lr"]}
        values |= {f"{stage}/val_{name}": value for name, value in record["val"].items()}
        values[f"{stage}/epoch"] = record["epoch"]
        # Weights & Biases requires increasing steps, but epochs restart with each stage.
        self._each(lambda name, tracker: tracker.log(values, step=None if name == "wandb" else record["epoch"]))

    def close(self) -> None:
        """Flush and close every tracker."""
        self._each(lambda _, tracker: tracker.finish())

    def _each(self, call: Callable[[str, Any], None]) -> None:
        """Call a function for every tracker and drop those that fail; ``metrics.jsonl`` has the same curves."""
        for name, tracker in list(self._trackers.items()):
            try:
                call(name, tracker)
            except Exception as error:  # as above
                del self._trackers[name]
                self._progress.note(
                    f"trackers: {name!r} failed and is no longer used: {first_line(error)}; see metrics.jsonl"
                )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested config values as ``key.path: value``, a form that all trackers accept."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = str(value)
    return flat
