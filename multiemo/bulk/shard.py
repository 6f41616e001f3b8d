"""One shard of clips -> its files; the same bytes whichever process does it, and how many others there are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multiemo.bulk.plan import Job, read_item
from multiemo.data.manifest.rows import format_row
from multiemo.errors import CheckpointError, DefectError, MultiemoError
from multiemo.files import unwritable, write_atomically
from multiemo.predict import Answer, Item, Predictor
from multiemo.predict.prediction import InputFailure
from multiemo.runs.model_folder import load_bundle
from multiemo.training.checkpoint import save_tensors
from multiemo.types import Clip, FeatureRef

#: Workers that may die at a clip before it is left out.
_DEATHS = 2
_AGAIN = "run the command again then, the shards that are done are kept"
_DEADLY = f"{_DEATHS} workers died at this clip; it is left out"


class Trail:
    """Where workers are in a shard, on disk, so that a clip that kills them is found out.

    A line a worker: the places of the clips it began. The last of a worker that did not end is where it died.

    Args:
        path: the file.
        call: what an earlier call of the command has left does not count; it was killed as a whole.
    """

    def __init__(self, path: Path, call: str) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        workers = lines[1:] if lines[:1] == [call] else []
        deaths = Counter(int(line.split()[-1]) for line in workers if line.strip())
        #: Places of the clips at which workers died too often.
        self.deadly = {place for place, count in deaths.items() if count >= _DEATHS}
        path.unlink(missing_ok=True)  # a worker of another call may still write to it
        self._file = path.open("w", encoding="utf-8")
        self._write("\n".join([call, *workers]) + "\n")

    def follow(self, items: Sequence[Item], places: Sequence[int]) -> Iterator[Item]:
        """The items at these places, each noted before it is given out."""
        for place in places:
            self._write(f"{place} ")
            yield items[place]

    def end(self) -> None:
        """The shard is done."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


@dataclass(slots=True)
class _Said:
    """What one clip adds to the files of its shard.

    Args:
        lines: {suffix of a file: a line}.
        vectors: {key: ``[D]``, or ``[S, D]`` of a file with S segments}.
    """

    lines: dict[str, str]
    vectors: dict[str, Tensor] = field(default_factory=dict)


class Worker:
    """A process's model, loaded once, and what it does with shards.

    It computes with one thread: results depend on the number of threads, and must not depend on that of workers.

    Args:
        job: the task.
        device: torch device.
    """

    def __init__(self, job: Job, device: str) -> None:
        torch.set_num_threads(1)
        self.job = job
        self.predictor = Predictor(load_bundle(job.model), device=device)

    def work(self, number: int, lines: Sequence[str]) -> None:
        """Do a shard, unless it is done; clips that cannot be predicted are written to a file of their own.

        Raises:
            CheckpointError: the files cannot be written.
            DefectError: not one clip could be predicted, for a reason that is not in the clips.
        """
        if self.job.is_done(number):
            return
        items = [read_item(line) for line in lines]
        try:
            trail = Trail(self.job.part(number, ".trail"), self.job.call)
            said = self._answers(number, items, trail)
            self._write(number, said)
            trail.end()
        except OSError as error:
            raise CheckpointError(f"{unwritable(self.job.parts, error)}; {_AGAIN}") from None

    def _write(self, number: int, said: Sequence[_Said]) -> None:
        """The files of a shard; that of the answers comes last."""
        try:
            if self.job.embeddings:
                vectors = {key: vector for one in said for key, vector in one.vectors.items()}
                save_tensors(self.job.part(number, ".safetensors"), vectors, {})
            for suffix in (*((".features.jsonl",) if self.job.embeddings else ()), ".bad.jsonl", ".jsonl"):
                write_atomically(self.job.part(number, suffix), "".join(one.lines.get(suffix, "") for one in said))
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {_AGAIN}") from None

    def _answers(self, number: int, items: Sequence[Item], trail: Trail) -> list[_Said]:
        """One a clip, in order."""
        said = [_bad(item, _DEADLY) for item in items]
        places = [place for place in range(len(items)) if place not in trail.deadly]
        answers = list(self.predictor.predict_many(trail.follow(items, places)))
        defects = [answer for answer in answers if isinstance(answer, DefectError)]
        if len(answers) > 1 and len(defects) == len(answers):
            raise defects[0]  # a broken worker, not as many broken clips
        for place, answer in zip(places, answers, strict=True):
            said[place] = self._said(number, items[place], answer)
        return said

    def _said(self, number: int, item: Item, answer: Answer | MultiemoError) -> _Said:
        if not isinstance(answer, Answer):
            return _bad(item, str(answer))
        said = _Said({".jsonl": _line(answer.entry)})
        if self.job.embeddings and answer.embeddings:
            name = item.name.encode("utf-8", "backslashreplace").decode()
            said.vectors = {f"{name}/{m}": x[0] if len(x) == 1 else x for m, x in answer.embeddings.items()}
            file = self.job.part(number, ".safetensors").relative_to(self.job.out).as_posix()
            references: dict[str, FeatureRef] = {m: FeatureRef(file, f"{name}/{m}") for m in answer.embeddings}
            said.lines[".features.jsonl"] = _line(format_row(_with_features(item, name, references)))
        return said


def _with_features(item: Item, name: str, references: Mapping[str, FeatureRef]) -> Clip:
    """A manifest row with vectors for media; who speaks and what is felt stays as it was."""
    if item.clip is None:
        text = item.text if item.text and not item.text.isspace() else None
        return Clip(id=name, corpus="files", text=text, features=references)
    media: dict[str, Any] = {"audio": None, "video": None, "image": None, "cropped": False, "start": None, "end": None}
    return replace(item.clip, features=references, **media)


def _bad(item: Item, error: str) -> _Said:
    return _Said({".bad.jsonl": _line(InputFailure(input=item.name, error=error))})


def _line(values: Mapping[str, Any]) -> str:
    """JSON; what is not text (the name of a file in another encoding) stays escaped."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n"
