"""Peak memory of classifying one clip, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from multiemo.data.collate import Collate
from multiemo.data.manifest.rows import format_row, parse_row
from multiemo.errors import MultiemoError
from multiemo.inputs.dataset import ClipDataset
from multiemo.runs import Source, load_bundle
from multiemo.runs.device import compute_of, predict
from multiemo.types import SUBSETS, Clip


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory of a process, MiB; ``None`` if the system does not report it.

    Args:
        libraries: before the model is loaded.
        peak: after the clip was classified.
    """

    libraries: float | None
    peak: float | None


def peak_memory(run: str | Path, source: Source, clip: Clip, key: str, *, device: str = "cpu") -> Memory:
    """Measure the peak memory of a new process that loads a model and classifies one clip by one subset.

    A new process is used because memory is not always returned to the system. All weights are loaded, as when the model
    is served; only the modalities of the subset are read and encoded.

    Args:
        run: run or model folder.
        source: manifest of the clip.
        clip: a row of the manifest.
        key: key of the subset.
        device: for ``cpu``, resident memory is measured, Python and its libraries included; for ``cuda`` or
            ``cuda:N``, the memory of tensors on that GPU.

    Raises:
        MultiemoError: the process failed.
    """
    dialogue = [c for c in source.clips if clip.group is not None and c.group == clip.group] or [clip]
    request = {
        "run": str(Path(run).resolve()),
        "folder": str(source.folder.resolve()),
        "clip": clip.id,
        "rows": [format_row(c) for c in dialogue],
        "subset": key,
        "device": device,
        "threads": torch.get_num_threads(),
    }
    command = [sys.executable, "-c", "from multiemo.benchmark.cost.memory import answer; answer()"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"its process ended with code {done.returncode}"])[-1]
        raise MultiemoError(f"the memory that {key} takes could not be measured on clip {clip.id!r}: {last}")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def answer() -> None:
    """Entry point of the new process: reads a request from stdin, writes :class:`Memory` as JSON to stdout."""
    request: dict[str, Any] = json.load(sys.stdin)
    libraries = peak_so_far(request["device"])
    torch.set_num_threads(request["threads"])
    bundle = load_bundle(request["run"])
    rows = [parse_row(row) for row in request["rows"]]
    clip = next(c for c in rows if c.id == request["clip"])
    wanted = {m: bundle.inputs[m] for m in SUBSETS[request["subset"]]}
    dataset = ClipDataset([clip], Path(request["folder"]), wanted, bundle.space(), cache=None, dialogue=rows)
    batch = Collate(bundle.model.modalities, len(bundle.labels))([dataset[0]])
    compute = compute_of(bundle.config, request["device"])
    predict(bundle.model.to(compute.device), compute, batch)
    print(json.dumps(asdict(Memory(libraries, peak_so_far(request["device"])))))


def peak_so_far(device: str) -> float | None:
    """Peak memory of this process so far, MiB; ``device`` as in :func:`peak_memory`."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        # Not getrusage: its value includes the memory of the parent process at the time of the fork.
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
