"""Hardware and software versions, for the report of a benchmark."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from multiemo.benchmark.measurements import Environment
from multiemo.runs.model_folder import versions


def describe_environment() -> Environment:
    """Describe this machine and the installed versions."""
    cores = f", {os.cpu_count()} cores" if os.cpu_count() else ""
    parts = [_processor() + cores, _memory(), *_gpus(), platform.platform()]
    return Environment(hardware="; ".join(part for part in parts if part), versions=versions())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[-1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB memory"
    except (ValueError, OSError, AttributeError):
        return ""


def _gpus() -> list[str]:
    try:
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError):  # a GPU without a driver, or one that another process holds
        return []
