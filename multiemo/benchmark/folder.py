"""A benchmark folder: whether it is free, what it keeps, and the near-duplicates of its clips."""

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
from multiemo.files import write_atomically
from multiemo.progress import Progress
from multiemo.runs.folder.layout import differing_keys, has_training
from multiemo.runs.folder.lock import LOCK

T = TypeVar("T")


def open_folder(folder: Path, config: Config) -> None:
    """See that what is in the folder is the same benchmark, or one in which nothing has been trained yet.

    Raises:
        CheckpointError: it is not.
    """
    stored = folder / "config.yaml"
    if stored.is_file():
        others = differing_keys(load_stored(stored), config, length=True)
        if others and any(has_training(cell) for part in ("cells", "shuffled") for cell in folder.glob(f"{part}/*")):
            raise CheckpointError(
                f"{folder}: holds a benchmark of another config ({', '.join(others)}); choose another --out, or "
                "remove it"
            )
        if others:
            (folder / "protocol.json").unlink(missing_ok=True)
        return
    if any(entry.name not in ("duplicates.json", LOCK) for entry in folder.iterdir()):
        raise CheckpointError(f"{folder}: is not empty and holds no benchmark; choose another --out")


def write_protocol(folder: Path, protocol: Protocol) -> None:
    """Write the protocol down.

    Raises:
        CheckpointError: the benchmark was begun with another one.
    """
    path = folder / "protocol.json"
    if path.is_file():
        known = json.loads(path.read_text("utf-8"))["hash"]
        if known != protocol.hash:
            raise CheckpointError(
                f"{path}: was begun with the protocol {known}, the manifest and config now give {protocol.hash}; the "
                "manifest has changed, so choose another --out"
            )
    write_atomically(path, json.dumps(protocol.summary(), indent=1, ensure_ascii=False) + "\n")


def kept(path: Path, make: Callable[[], T], read: Callable[[Any], T]) -> T:
    """What a file holds, or what ``make`` gives, which the file then holds.

    Args:
        path: of the file.
        make: measures it.
        read: makes the same of the file's JSON.

    Raises:
        CheckpointError: the file is damaged.
    """
    if path.is_file():
        try:
            return read(json.loads(path.read_text("utf-8")))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: damaged ({reason}); remove it, and it is measured again") from None
    made = make()
    write_atomically(path, json.dumps(made, ensure_ascii=False) + "\n")
    return made


def settle_duplicates(
    config: Config, protocol: Protocol, folder: Path, progress: Progress
) -> tuple[Protocol, Duplicates]:
    """Look for near-duplicates across the parts of every fold and do with them what the config says.

    Args:
        config: of the benchmark.
        protocol: as planned.
        folder: of the benchmark; gets ``duplicates.json``, which lists them all.
        progress: told how far it is.

    Returns:
        The protocol, without what is to be left out, and what was found.

    Raises:
        SplitError: there are some, and ``benchmark.duplicates`` is ``stop``.
    """
    cache = Path(config.data.cache) if config.data.cache else default_cache()
    progress.stage("look for near-duplicates")
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
            f"{len(pairs)} near-duplicates stand in two parts: {shown}. All are listed in "
            f"{folder / 'duplicates.json'}; set benchmark.duplicates=drop to leave out the copy that is not tested, or "
            "keep to test on what was trained on and have the report say so"
        )
    said = f"{len(pairs)} across parts, kept: figures on those clips may measure memory"
    if config.benchmark.duplicates == "drop":
        protocol = without_clips(config, protocol, {name: to_leave_out(c) for name, c in crossings.items()})
        said = f"{len(pairs)} across parts; of each, the copy that is not tested was left out"
    progress.note(f"near-duplicates: {said}")
    return protocol, Duplicates(found=len(pairs), said=said, pairs=pairs[:50])
