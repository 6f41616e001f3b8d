"""What a bulk prediction consists of: its clips in order, cut into shards, and the folder it is written to.

DIR/plan.json               digests of inputs and model; what another call must agree with
DIR/parts/part-00000.*      what one shard of clips gave; a shard with a .jsonl is done
DIR/predictions.jsonl ...   the parts put together, in input order
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
from multiemo.files import write_atomically
from multiemo.predict import Item
from multiemo.records import Record, record
from multiemo.version import __version__

if sys.platform != "win32":
    import fcntl

#: Clips of a shard: what a dead worker may have to do again, and what one file of ``parts`` holds.
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
    """What a folder of a bulk prediction was begun for: its ``plan.json``. Another call must agree with it to go on.

    Args:
        format: version of the folder's layout.
        multiemo: version that began it.
        model: digest of the model.
        inputs: SHA-256 of the inputs.
        clips: how many inputs there are.
        shard: inputs of one shard.
        embeddings: whether the encoders' vectors are kept.
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
    """What every worker needs to know.

    Args:
        model: run or model folder.
        out: folder to write.
        embeddings: whether the encoders' vectors are kept as well.
        call: a name of this call of the command alone.
        device: of the workers, as a user names it; with ``auto`` and ``cuda`` those of one machine share its GPUs.
    """

    model: Path
    out: Path
    embeddings: bool
    call: str
    device: str = "auto"

    @property
    def parts(self) -> Path:
        """The folder of the shards' files."""
        return self.out / "parts"

    def part(self, number: int, suffix: str = ".jsonl") -> Path:
        """A file of a shard."""
        return self.parts / f"part-{number:05d}{suffix}"

    def is_done(self, number: int) -> bool:
        """Whether a shard has been written; the file that says so is the last one."""
        return self.part(number).is_file()


@dataclass(frozen=True, slots=True)
class Shards:
    """The clips in order, as JSON lines; they take less memory so, and travel to any process.

    Args:
        lines: see :func:`write_item`.
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
    """Items as shards.

    Raises:
        ManifestError: two have the same name, so that nobody could tell their predictions apart.
    """
    seen: set[str] = set()
    digest = hashlib.sha256()
    lines: list[str] = []
    for item in items:
        if item.name in seen:
            raise ManifestError(
                f"{item.name!r} is there twice; name each input once (`multiemo merge` puts manifests with common ids "
                "into one)"
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
    values = json.loads(line)
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
        shards: of the inputs.
        model: digest of the model.
        embeddings: whether vectors are kept.
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
    """The folder, begun or taken up again, and this call's alone on this machine.

    Raises:
        ConfigError: it holds something else, or another plan, or cannot be written, or another call works on it.
    """
    file = job.out / "plan.json"
    try:
        if not file.is_file():
            if job.out.is_dir() and any(job.out.iterdir()):
                raise ConfigError(
                    f"--out: {job.out} is not empty and holds no bulk prediction; name a folder of its own"
                )
            job.out.mkdir(parents=True, exist_ok=True)
            write_atomically(file, f"{plan}\n")
        job.parts.mkdir(exist_ok=True)
        begun = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--out: {job.out} cannot be written: {error.strerror or error}") from None
    except ValueError:
        raise ConfigError(f"--out: {file} is damaged; delete the folder, or name another one") from None
    for key, value in plan.items():
        if not isinstance(begun, dict) or begun.get(key) != value:
            raise ConfigError(f"--out: {job.out} was begun {_DIFFERENT[key]}; name another folder, or delete this one")
    with file.open("rb") as held:
        if sys.platform != "win32":
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"--out: another call is writing to {job.out}; let it end, or end it") from None
        yield
