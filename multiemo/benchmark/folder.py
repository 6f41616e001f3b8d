"""The folder of a benchmark: whether it can be used, its stored results, and the near-duplicates of its clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from multiemo.benchmark.document import Duplicates
from multiemo.benchmark.protocol import Protocol, without_clips
from multiemo.config import Config, load_stored
from multiemo.data.cache.settings import default_cache
from multiemo.data.duplicates.search import across_parts, describe, find_duplicates, to_leave_out
from multiemo.errors import CheckpointError, SplitError
from multiemo.files import parse_json, write_atomically
from multiemo.progress import Progress
from multiemo.runs.folder.layout import differing_keys, has_training
from multiemo.runs.folder.lock import LOCK

T = TypeVar("T")


def open_folder(folder: Path, config: Config) -> None:
    """Check that a folder is empty, holds the same benchmark, or holds one of which nothing has been trained yet.

    Raises:
        CheckpointError: it holds another benchmark, or other files.
    """
    stored = folder / "config.yaml"
    if stored.is_file():
        others = differing_keys(load_stored(stored), config, length=True)
        if others and any(has_training(cell) for part in ("cells", "shuffled") for cell in folder.glob(f"{part}/*")):
            raise CheckpointError(
                f"{folder}: holds a benchmark of another config ({', '.join(others)}); choose another --out, or remove "
                "the folder"
            )
        if others:
            (folder / "protocol.json").unlink(missing_ok=True)
        return
    if any(entry.name not in ("duplicates.json", LOCK) for entry in folder.iterdir()):
        raise CheckpointError(f"{folder}: is not empty and holds no benchmark; choose another --out")


def write_protocol(folder: Path, protocol: Protocol) -> None:
    """Write ``protocol.json``, or check that it still describes the protocol.

    Raises:
        CheckpointError: the benchmark was started with another protocol.
    """
    path = folder / "protocol.json"
    if path.is_file():
        known = parse_json(path.read_text("utf-8"))["hash"]
        if known != protocol.hash:
            raise CheckpointError(
                f"{path}: was begun with the protocol {known}, but the manifest and config now give {protocol.hash}; "
                "the manifest has changed, so choose another --out"
            )
    write_atomically(path, json.dumps(protocol.summary(), indent=1, ensure_ascii=False) + "\n")


def load_or_measure(path: Path, measure: Callable[[], T], parse: Callable[[Any], T]) -> T:
    """Read a result from a file; if the file does not exist, measure the result and write it.

    Args:
        path: of the JSON file.
        measure: measures the result.
        parse: converts the value of the file's JSON to the result.

    Returns:
        The result.

    Raises:
        CheckpointError: the file is damaged.
    """
    if path.is_file():
        try:
            return parse(parse_json(path.read_text("utf-8")))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: damaged ({reason}); remove it, and it will be measured again") from None
    result = measure()
    write_atomically(path, json.dumps(result, ensure_ascii=False) + "\n")
    return result


def handle_duplicates(
    config: Config, protocol: Protocol, folder: Path, progress: Progress
) -> tuple[Protocol, Duplicates]:
    """Search for near-duplicates across the parts of every fold and treat them as ``benchmark.duplicates`` says.

    Args:
        config: config of the benchmark.
        protocol: the planned protocol.
        folder: folder of the benchmark; ``duplicates.json`` in it lists all pairs.
        progress: receives the progress.

    Returns:
        The protocol without the clips that are to be left out, and a summary of what was found.

    Raises:
        SplitError: near-duplicates were found, and ``benchmark.duplicates`` is ``stop``.
    """
    cache = Path(config.data.cache) if config.data.cache else default_cache()
    progress.stage("search for near-duplicates")
    found = find_duplicates(protocol.clips, protocol.folder, cache=cache, progress=progress)
    crossings = {fold.name: across_parts(found, fold.split) for fold in protocol.folds}
    pairs = [
        f"{name}: {line}" for name, crossing in crossings.items() for line in describe(crossing, len(crossing))[1:]
    ]
    write_atomically(folder / "duplicates.json", json.dumps(pairs, indent=1, ensure_ascii=False) + "\n")
    if not pairs:
        return protocol, Duplicates(found=0, said=f"none across parts (within one: {len(found)})", pairs=[])
    if config.benchmark.duplicates == "stop":
        shown = "; ".join(pairs[:3]) + (f"; and {len(pairs) - 3} more" if len(pairs) > 3 else "")
        raise SplitError(
            f"{len(pairs)} near-duplicates are in two parts: {shown}. All are listed in "
            f"{folder / 'duplicates.json'}. Set benchmark.duplicates=drop to leave out the copies that are not tested, "
            "or benchmark.duplicates=keep to test on copies of training clips, which the report then states"
        )
    summary = f"{len(pairs)} across parts, kept: on those clips, figures may measure memory"
    if config.benchmark.duplicates == "drop":
        protocol = without_clips(config, protocol, {name: to_leave_out(c) for name, c in crossings.items()})
        summary = f"{len(pairs)} across parts; the copy that is not tested was left out of each pair"
    progress.note(f"near-duplicates: {summary}")
    return protocol, Duplicates(found=len(pairs), said=summary, pairs=pairs[:50])
