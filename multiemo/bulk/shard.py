"""Predicts one shard of clips and writes its files, which do not depend on the process or the number of processes."""

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

#: Number of workers that may die at a clip before it is skipped.
_MAX_DEATHS = 2
_RESUME = "then run the command again, finished shards are kept"
_FATAL = f"{_MAX_DEATHS} workers died at this clip; it is left out"


class Trail:
    """A log of the progress of workers in a shard, which identifies clips that kill workers.

    Each worker writes a line with the positions of the clips that it started. An unfinished one died at the last.

    Args:
        path: the file.
        call: id of this call of the command. Lines of an earlier call are ignored, since that was stopped as a whole.
    """

    def __init__(self, path: Path, call: str) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        workers = lines[1:] if lines[:1] == [call] else []
        deaths = Counter(int(line.split()[-1]) for line in workers if line.strip())
        #: Positions of the clips at which too many workers died.
        self.fatal = {position for position, count in deaths.items() if count >= _MAX_DEATHS}
        path.unlink(missing_ok=True)  # a worker of another call may still write to it
        self._file = path.open("w", encoding="utf-8")
        self._write("\n".join([call, *workers]) + "\n")

    def follow(self, items: Sequence[Item], positions: Sequence[int]) -> Iterator[Item]:
        """Yield the items at some positions, each after its position has been logged."""
        for position in positions:
            self._write(f"{position} ")
            yield items[position]

    def end(self) -> None:
        """Delete the log, since the shard is done."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


@dataclass(slots=True)
class _ClipOutput:
    """The contribution of one clip to the files of its shard.

    Args:
        lines: {suffix of a file: its line}.
        vectors: {key: ``[D]``, or ``[S, D]`` for a clip of S segments}.
    """

    lines: dict[str, str]
    vectors: dict[str, Tensor] = field(default_factory=dict)


class Worker:
    """Loads the model once in a process and runs shards with it.

    It uses a single thread, since results depend on the number of threads but must not depend on that of workers.

    Args:
        job: the task.
        device: torch device.
    """

    def __init__(self, job: Job, device: str) -> None:
        torch.set_num_threads(1)
        self.job = job
        self.predictor = Predictor(load_bundle(job.model), device=device)

    def work(self, number: int, lines: Sequence[str]) -> None:
        """Run a shard unless it is done; clips that cannot be predicted are written to a separate file.

        Args:
            number: number of the shard.
            lines: its clips; see :func:`multiemo.bulk.plan.write_item`.

        Raises:
            CheckpointError: the files cannot be written.
            DefectError: every clip failed with an unexpected error, so the fault is not in the clips.
        """
        if self.job.is_done(number):
            return
        items = [read_item(line) for line in lines]
        try:
            trail = Trail(self.job.part(number, ".trail"), self.job.call)
            outputs = self._predict(number, items, trail)
            self._write(number, outputs)
            trail.end()
        except OSError as error:
            raise CheckpointError(f"{unwritable(self.job.parts, error)}; {_RESUME}") from None

    def _write(self, number: int, outputs: Sequence[_ClipOutput]) -> None:
        """Write the files of a shard; the predictions come last, since they mark it as done."""
        try:
            if self.job.embeddings:
                vectors = {key: vector for one in outputs for key, vector in one.vectors.items()}
                save_tensors(self.job.part(number, ".safetensors"), vectors, {}, plain=True)
            for suffix in (*((".features.jsonl",) if self.job.embeddings else ()), ".bad.jsonl", ".jsonl"):
                write_atomically(self.job.part(number, suffix), "".join(one.lines.get(suffix, "") for one in outputs))
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {_RESUME}") from None

    def _predict(self, number: int, items: Sequence[Item], trail: Trail) -> list[_ClipOutput]:
        """The output of each clip, in order."""
        outputs = [_failed(item, _FATAL) for item in items]
        positions = [position for position in range(len(items)) if position not in trail.fatal]
        answers = list(self.predictor.predict_many(trail.follow(items, positions)))
        defects = [answer for answer in answers if isinstance(answer, DefectError)]
        if len(answers) > 1 and len(defects) == len(answers):
            raise defects[0]  # the worker is at fault, not every clip
        for position, answer in zip(positions, answers, strict=True):
            outputs[position] = self._clip_output(number, items[position], answer)
        return outputs

    def _clip_output(self, number: int, item: Item, answer: Answer | MultiemoError) -> _ClipOutput:
        """The output of one clip.

        Args:
            number: number of the shard.
            item: the clip.
            answer: its prediction, or the error.
        """
        if not isinstance(answer, Answer):
            return _failed(item, str(answer))
        output = _ClipOutput({".jsonl": _line(answer.entry)})
        if self.job.embeddings and answer.embeddings:
            name = item.name.encode("utf-8", "backslashreplace").decode()
            output.vectors = {f"{name}/{m}": x[0] if len(x) == 1 else x for m, x in answer.embeddings.items()}
            file = self.job.part(number, ".safetensors").relative_to(self.job.out).as_posix()
            references: dict[str, FeatureRef] = {m: FeatureRef(file, f"{name}/{m}") for m in answer.embeddings}
            output.lines[".features.jsonl"] = _line(format_row(_with_features(item, name, references)))
        return output


def _with_features(item: Item, name: str, references: Mapping[str, FeatureRef]) -> Clip:
    """The manifest row of a clip with embeddings instead of media; speaker and labels are kept."""
    if item.clip is None:
        text = item.text if item.text and not item.text.isspace() else None
        return Clip(id=name, corpus="files", text=text, features=references)
    media: dict[str, Any] = {"audio": None, "video": None, "image": None, "cropped": False, "start": None, "end": None}
    return replace(item.clip, features=references, **media)


def _failed(item: Item, error: str) -> _ClipOutput:
    """The output of a clip that could not be predicted."""
    return _ClipOutput({".bad.jsonl": _line(InputFailure(input=item.name, error=error))})


def _line(values: Mapping[str, Any]) -> str:
    """A line of JSON; bytes that are not text (the name of a file in another encoding) stay escaped."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n"
