"""Where a benchmark ran: hardware and versions, for the report."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from multiemo.build.bundle import versions


def describe_environment() -> dict[str, Any]:
    """``{"hardware": one line, "versions": {package: version}}``."""
    parts = [f"{_processor()}, {os.cpu_count()} cores", f"{_memory_gib():.0f} GiB memory"]
    parts += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"hardware": "; ".join([*parts, platform.platform()]), "versions": versions()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return float("nan")
