"""Starts a module in processes that train together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys


def start(module: str, *arguments: object, count: int = 2, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """The finished ``torchrun`` of a module."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    command += ["--master_addr", "127.0.0.1", "--master_port", str(port), "-m", module, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout)
