"""Selects the device and precision of training, evaluation and prediction."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from multiemo.config import Config
from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError
from multiemo.types import Batch, Output

if TYPE_CHECKING:
    from accelerate import Accelerator

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision.

    Args:
        device: device of the model and its batches.
        precision: ``no`` (float32), ``bf16`` or ``fp16``; weights stay in float32.
    """

    device: torch.device
    precision: str = "no"

    def autocast(self) -> AbstractContextManager[Any]:
        """Context for every call of the model: autocast in this precision, or none for float32."""
        dtype = _TYPES.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype=dtype)

    def wait(self) -> None:
        """Block until the device has finished all queued work, for timing."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def __str__(self) -> str:
        return f"{self.device}, {'float32' if self.precision == 'no' else self.precision}"


def compute_of(config: Config, device: str | torch.device = "auto") -> Compute:
    """Device and precision for evaluation and prediction; independent of the device used in training.

    The precision is that of the config, as in training. On a CPU, float32 replaces fp16.

    Args:
        config: config of the model.
        device: ``auto`` (a CUDA GPU if available, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        ConfigError: the device is not available.
    """
    chosen = resolve_device(device)
    precision = _precision(config.precision, chosen)
    return Compute(chosen, "no" if precision == "fp16" and chosen.type == "cpu" else precision)


def accelerator_of(config: Config) -> Accelerator:
    """The accelerator for training, with the config's device and precision.

    Its processes are those of ``accelerate launch`` or ``torchrun``.

    Raises:
        ConfigError: the device is not available or does not support training in this precision.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    compute = trains_on(config)
    AcceleratorState._reset_state(True)
    return Accelerator(cpu=compute.device.type == "cpu", mixed_precision=compute.precision)


def trains_on(config: Config) -> Compute:
    """Device and precision for training on this machine; raises like :func:`accelerator_of`."""
    device = resolve_device(config.device, where="device")
    precision = _precision(config.precision, device)
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError(
            f"precision: fp16 needs a CUDA GPU, but this training runs on {device.type!r}; set precision to bf16 or no"
        )
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # same lookup as torch
    if config.compile and device.type == "cpu" and shutil.which(compiler) is None:
        raise ConfigError(
            f"compile: needs a C++ compiler, but {compiler!r} was not found; install one or set compile to false"
        )
    return Compute(device, precision)


def accelerator_compute(accelerator: Accelerator) -> Compute:
    """Device and precision of an accelerator, so that validation computes exactly as training does."""
    return Compute(accelerator.device, str(accelerator.mixed_precision))


def resolve_device(requested: str | torch.device = "auto", *, where: str = "--device") -> torch.device:
    """The requested device; ``auto`` is a CUDA GPU if available, else the CPU (``mps`` must be requested by name).

    Args:
        requested: as in :func:`compute_of`.
        where: option or config key, for messages.

    Raises:
        ConfigError: the name is not a device, or the device is not available.
    """
    if requested == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"{where}: {str(requested)!r} is not a device; choices: auto, cpu, cuda, cuda:N, mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(
            f"{where}: {str(requested)!r} is not available: torch finds {count} CUDA GPUs; use auto or cpu, or install "
            "a torch build that matches the GPU driver"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"{where}: 'mps' is not available: torch finds no Apple GPU; use auto or cpu")
    return device


def gpus() -> list[str]:
    """The CUDA GPUs available to this process, as names for ``CUDA_VISIBLE_DEVICES`` of a child process."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(i) for i in range(count)])[:count]


def _precision(requested: str, device: torch.device) -> str:
    """Resolve ``auto``: bf16 on a GPU with native support (not emulation), else float32."""
    if requested != "auto":
        return requested
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if on_gpu else "no"


@torch.inference_mode()
def predict(model: nn.Module, compute: Compute, batch: Batch, subsets: Sequence[str] = ()) -> Output:
    """Run a model on a batch, on the given device and in the given precision.

    Args:
        model: an ``EmotionModel`` on ``compute.device``.
        compute: device and precision.
        batch: clips on any device.
        subsets: keys of ``types.SUBSETS`` to predict with; see ``EmotionModel.forward``.
    """
    with compute.autocast():
        output: Output = model(batch.to(compute.device), subsets=subsets)
    return output


@torch.inference_mode()
def speaker_vector(encoder: Encoder, x: Tensor, compute: Compute) -> Tensor:
    """What is averaged over the clips of a speaker (``Encoder.speaker_vector``) for one clip, ``[M]`` on the CPU.

    Args:
        encoder: encoder on the device of ``compute``.
        x: its input ``[T, ...]``.
        compute: device and precision.
    """
    mask = torch.ones(1, len(x), dtype=torch.bool, device=compute.device)
    with compute.autocast():
        return encoder.speaker_vector(x.unsqueeze(0).to(compute.device), mask)[0].float().cpu()
