"""Learning curves of a run: TensorBoard files in its folder, Weights & Biases, MLflow."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multiemo.config import Config
from multiemo.errors import ConfigError, first_line
from multiemo.extras import install_command
from multiemo.progress import Progress


class Trackers:
    """What the config's ``trackers`` name, through accelerate.

    Args:
        config: of the run.
        folder: of the run; TensorBoard and Weights & Biases write there, MLflow where ``MLFLOW_TRACKING_URI`` says,
            else there too.
        progress: is told of a tracker that failed later; the run goes on without it.

    Raises:
        ConfigError: the package of a tracker is not installed, or it cannot be reached at the start.
    """

    def __init__(self, config: Config, folder: Path, progress: Progress) -> None:
        self._progress = progress
        for name in config.trackers:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(f"trackers: {name!r} is not installed; {install_command(name)} or leave it out")
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
            if name != "tensorboard":  # the config lies beside its files
                tracker.store_init_configuration(_flat(config.model_dump(mode="json")))
        except Exception as error:  # the clients of three services raise what they like
            raise ConfigError(
                f"trackers: {name!r} cannot be started: {first_line(error)}; log in to it, or leave it out"
            ) from error
        return tracker

    def log(self, stage: str, record: Mapping[str, Any]) -> None:
        """One epoch of one stage."""
        values = {f"{stage}/loss": record["loss"], f"{stage}/lr": record["lr"]}
        values |= {f"{stage}/val_{name}": value for name, value in record["val"].items()}
        values[f"{stage}/epoch"] = record["epoch"]
        # Weights & Biases wants steps that never fall, and epochs begin anew with each stage.
        self._each(lambda name, tracker: tracker.log(values, step=None if name == "wandb" else record["epoch"]))

    def close(self) -> None:
        """Write what is left."""
        self._each(lambda _, tracker: tracker.finish())

    def _each(self, tell: Callable[[str, Any], None]) -> None:
        """Tell every tracker; one that fails is given up, as the run's own log has the same curves."""
        for name, tracker in list(self._trackers.items()):
            try:
                tell(name, tracker)
            except Exception as error:  # as above
                del self._trackers[name]
                self._progress.note(
                    f"trackers: {name!r} failed and gets nothing more: {first_line(error)}; see metrics.jsonl"
                )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested config values as ``key.path: value``, which all trackers take."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = str(value)
    return flat
