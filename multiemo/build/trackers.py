"""Learning curves of a run: TensorBoard files in its folder, Weights & Biases, MLflow."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multiemo.config import Config
from multiemo.errors import ConfigError

_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


class Trackers:
    """What the config's ``trackers`` name, through accelerate.

    Args:
        config: of the run.
        folder: of the run; TensorBoard and Weights & Biases write there, MLflow where ``MLFLOW_TRACKING_URI`` says,
            else there too.

    Raises:
        ConfigError: the package of a tracker is not installed, or it cannot be reached.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        for name in config.trackers:
            if importlib.util.find_spec(_PACKAGES[name]) is None:
                raise ConfigError(
                    f'trackers: {name!r} is not installed; pip install "multiemo[trackers]" or leave it out'
                )
        self._trackers = [(name, self._open(name, config, folder)) for name in config.trackers]
        for name, tracker in self._trackers:
            if name != "tensorboard":  # the config lies beside its files
                tracker.store_init_configuration(_flat(config.model_dump(mode="json")))

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
        except Exception as error:  # the clients of three services raise what they like
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"trackers: {name!r} cannot be started: {reason}; log in to it, or leave it out"
            ) from error
        return tracker

    def log(self, stage: str, record: Mapping[str, Any]) -> None:
        """One epoch of one stage."""
        values = {f"{stage}/loss": record["loss"], f"{stage}/lr": record["lr"]}
        values |= {f"{stage}/val_{name}": value for name, value in record["val"].items()}
        for name, tracker in self._trackers:
            # Weights & Biases wants steps that never fall, and epochs begin anew with each stage.
            tracker.log(
                {**values, f"{stage}/epoch": record["epoch"]}, step=None if name == "wandb" else record["epoch"]
            )

    def close(self) -> None:
        """Write what is left."""
        for _, tracker in self._trackers:
            tracker.finish()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested config values as ``key.path: value``, which all trackers take."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = str(value)
    return flat
