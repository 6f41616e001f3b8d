"""Where a model computes, and in which precision: the one place that decides it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from multiemo.config import Config
from multiemo.errors import ConfigError
from multiemo.types import Batch, Output

if TYPE_CHECKING:
    from accelerate import Accelerator

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision.

    Args:
        device: of the model and its batches.
        precision: ``no`` (float32), ``bf16`` or ``fp16``, with weights in float32.
    """

    device: torch.device
    precision: str = "no"

    def autocast(self) -> AbstractContextManager[Any]:
        """Around every call of the model."""
        dtype = _TYPES.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype=dtype)

    def wait(self) -> None:
        """Until the device has done what it was given, so that a clock can be read."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def __str__(self) -> str:
        return f"{self.device}, {'float32' if self.precision == 'no' else self.precision}"


def compute_of(config: Config, device: str | torch.device = "auto") -> Compute:
    """Where a trained model is evaluated or predicts: on this machine's device, whatever it was trained on.

    The precision is the one the config asks for, as in training; fp16 gives way to float32 on a CPU.

    Args:
        config: of the model.
        device: ``auto`` (a CUDA GPU when there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        ConfigError: there is no such device here.
    """
    place = resolve_device(device)
    precision = _precision(config.precision, place)
    return Compute(place, "no" if precision == "fp16" and place.type == "cpu" else precision)


def accelerator_of(config: Config) -> Accelerator:
    """What trains: the config's device and precision, with the processes of ``accelerate launch`` or ``torchrun``.

    Raises:
        ConfigError: there is no such device here, or it cannot train in this precision.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    compute = trains_on(config)
    AcceleratorState._reset_state(True)
    return Accelerator(cpu=compute.device.type == "cpu", mixed_precision=compute.precision)


def trains_on(config: Config) -> Compute:
    """Where and in which precision a config trains here; raises as :func:`accelerator_of`."""
    device = resolve_device(config.device, where="device")
    precision = _precision(config.precision, device)
    if precision == "fp16" and device.type != "cuda":
        raise ConfigError(
            f"precision: fp16 needs a CUDA GPU, and this training runs on {device.type!r}; set precision to bf16 or no"
        )
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch looks for it
    if config.compile and device.type == "cpu" and shutil.which(compiler) is None:
        raise ConfigError(
            f"compile: needs a C++ compiler, and {compiler!r} is not here; install one or set it to false"
        )
    return Compute(device, precision)


def trained_by(accelerator: Accelerator) -> Compute:
    """Validation computes as training does."""
    return Compute(accelerator.device, str(accelerator.mixed_precision))


def resolve_device(wish: str | torch.device = "auto", *, where: str = "--device") -> torch.device:
    """The device that is meant; ``auto`` is a CUDA GPU when there is one, else the CPU (``mps`` has to be named).

    Args:
        wish: as in :func:`compute_of`.
        where: option or config key, for messages.

    Raises:
        ConfigError: no such device, or none here.
    """
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"{where}: {str(wish)!r} is not a device; choices: auto, cpu, cuda, cuda:N, mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(
            f"{where}: {str(wish)!r} is not here: torch finds {count} CUDA GPUs; use auto or cpu, or install a torch "
            "that fits the GPU's driver"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"{where}: 'mps' is not here: torch finds no GPU of Apple's; use auto or cpu")
    return device


def gpus() -> list[str]:
    """The CUDA GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them for a child of it."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(i) for i in range(count)])[:count]


def _precision(wish: str, device: torch.device) -> str:
    """``auto`` is bf16 on a GPU that has it (not one that imitates it), else float32."""
    if wish != "auto":
        return wish
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if on_gpu else "no"


@torch.inference_mode()
def predict(model: nn.Module, compute: Compute, batch: Batch, subsets: Sequence[str] = ()) -> Output:
    """What a model says of a batch, on its device and in its precision; its keys are those of ``types.SUBSETS``."""
    with compute.autocast():
        output: Output = model(batch.to(compute.device), subsets=subsets)
    return output
