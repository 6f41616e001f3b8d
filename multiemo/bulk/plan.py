"""Plans a bulk prediction: its clips in order, cut into shards, and its folder.

DIR/plan.json               digests of inputs and model; a later call must have the same
DIR/parts/part-00000.*      the results of a shard of clips, which is done once its .jsonl exists
DIR/predictions.jsonl ...   the parts concatenated, in input order
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiemo.data.manifest.rows import format_row, parse_row
from multiemo.errors import ConfigError, ManifestError
from multiemo.files import parse_json, write_atomically
from multiemo.predict import Item
from multiemo.records import Record, record
from multiemo.version import __version__

if sys.platform != "win32":
    import fcntl

#: Number of clips in a shard, which is also what has to be repeated when a worker dies.
SHARD = 64
FORMAT = 1
_DIFFERENT = {
    "format": "by another version of multiemo",
    "multiemo": "by another version of multiemo",
    "model": "with another model",
    "inputs": "for other inputs",
    "clips": "for other inputs",
    "shard": "by another version of multiemo",
    "embeddings": "with another choice of --embeddings",
}


@record
class BulkPlan(Record):
    """The plan of a bulk prediction, its ``plan.json``; a call that resumes it must have the same plan.

    Args:
        format: version of the folder's layout.
        multiemo: version of multiemo that started it.
        model: digest of the model.
        inputs: SHA-256 of the inputs.
        clips: number of inputs.
        shard: number of inputs in a shard.
        embeddings: whether embeddings are written.
    """

    format: int
    multiemo: str
    model: str
    inputs: str
    clips: int
    shard: int
    embeddings: bool


@dataclass(frozen=True, slots=True)
class Job:
    """The parameters of a bulk prediction that every worker gets.

    Args:
        model: run or model folder.
        out: folder to write.
        embeddings: whether embeddings are written too.
        call: unique id of this call of the command.
        device: device of the workers, as the user names it. With ``auto`` and ``cuda`` the workers of a machine share
            its GPUs.
    """

    model: Path
    out: Path
    embeddings: bool
    call: str
    device: str = "auto"

    @property
    def parts(self) -> Path:
        """The folder of the files of all shards."""
        return self.out / "parts"

    def part(self, number: int, suffix: str = ".jsonl") -> Path:
        """A file of a shard."""
        return self.parts / f"part-{number:05d}{suffix}"

    def is_done(self, number: int) -> bool:
        """Whether a shard is done; this file is written last."""
        return self.part(number).is_file()


@dataclass(frozen=True, slots=True)
class Shards:
    """The clips in order, as JSON lines, which take little memory and can be sent to any process.

    Args:
        lines: one for each clip; see :func:`write_item`.
        digest: SHA-256 of the lines.
    """

    lines: list[str]
    digest: str

    def __len__(self) -> int:
        return -(-len(self.lines) // SHARD)

    def __getitem__(self, number: int) -> list[str]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.lines[number * SHARD : (number + 1) * SHARD]


def cut(items: Sequence[Item]) -> Shards:
    """Cut items into shards.

    Raises:
        ManifestError: two items have the same name, so that their predictions could not be distinguished.
    """
    seen: set[str] = set()
    digest = hashlib.sha256()
    lines: list[str] = []
    for item in items:
        if item.name in seen:
            raise ManifestError(
                f"{item.name!r} occurs twice; name each input once (`multiemo merge` joins manifests that share ids)"
            )
        seen.add(item.name)
        line = write_item(item)
        lines.append(line)
        digest.update(line.encode() + b"\n")
    return Shards(lines, digest.hexdigest())


def write_item(item: Item) -> str:
    """An item as one line of ASCII JSON.

    Example:
        >>> write_item(Item("a.wav", Path("a.wav")))
        '{"name": "a.wav", "path": "a.wav"}'
    """
    values: dict[str, Any] = {
        "name": item.name,
        "path": None if item.path is None else str(item.path),
        "text": item.text,
        "clip": None if item.clip is None else format_row(item.clip),
        "folder": None if item.folder is None else str(item.folder),
        "context": list(item.context) or None,
        "refused": item.refused,
    }
    return json.dumps({key: value for key, value in values.items() if value is not None})


def read_item(line: str) -> Item:
    """The inverse of :func:`write_item`.

    Example:
        >>> read_item(write_item(Item("text", text="So happy!"))).text
        'So happy!'
    """
    values = parse_json(line)
    path, clip, folder = values.get("path"), values.get("clip"), values.get("folder")
    return Item(
        name=values["name"],
        path=None if path is None else Path(path),
        text=values.get("text"),
        clip=None if clip is None else parse_row(clip),
        folder=None if folder is None else Path(folder),
        context=[(bool(same), str(text)) for same, text in values.get("context", ())],
        refused=values.get("refused"),
    )


def plan_of(shards: Shards, model: str, *, embeddings: bool) -> BulkPlan:
    """The plan of a bulk prediction.

    Args:
        shards: the inputs.
        model: digest of the model.
        embeddings: whether embeddings are written.
    """
    return BulkPlan(
        format=FORMAT,
        multiemo=__version__,
        model=model,
        inputs=shards.digest,
        clips=len(shards.lines),
        shard=SHARD,
        embeddings=embeddings,
    )


@contextmanager
def claimed(job: Job, plan: BulkPlan) -> Iterator[None]:
    """Create or resume the folder, and lock it on this machine for the duration of a ``with`` block.

    Raises:
        ConfigError: the folder contains something else or has another plan, is not writable, or is in use by another
            call.
    """
    file = job.out / "plan.json"
    try:
        if not file.is_file():
            if job.out.is_dir() and any(job.out.iterdir()):
                raise ConfigError(f"--out: {job.out} is not empty and contains no bulk prediction; name another folder")
            job.out.mkdir(parents=True, exist_ok=True)
            write_atomically(file, f"{plan}\n")
        job.parts.mkdir(exist_ok=True)
        existing = parse_json(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--out: {job.out} cannot be written: {error.strerror or error}") from None
    except ValueError:
        raise ConfigError(f"--out: {file} is damaged; delete the folder, or name another one") from None
    for key, value in plan.items():
        if not isinstance(existing, dict) or existing.get(key) != value:
            raise ConfigError(
                f"--out: {job.out} was started {_DIFFERENT[key]}; name another folder, or delete this one"
            )
    with file.open("rb") as lock:
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"--out: another call is writing to {job.out}; wait for it, or stop it") from None
        yield
