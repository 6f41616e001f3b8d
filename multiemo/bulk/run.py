"""Runs a bulk prediction: makes the plan, runs the shards that are not done, and joins their files."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from multiemo.bulk.local import run_local
from multiemo.bulk.on_ray import check_ray, run_ray
from multiemo.bulk.plan import Job, claimed, cut, plan_of
from multiemo.errors import CheckpointError, ConfigError, MediaError
from multiemo.files import draft, write_atomically
from multiemo.predict import LeftOut, Predictor, expand
from multiemo.predict.prediction import ModelDescription
from multiemo.progress import Progress
from multiemo.records import Record, record
from multiemo.runs.folder.required_files import file_digest, model_folder
from multiemo.runs.model_folder import load_bundle

ENGINES = {"local": run_local, "ray": run_ray}


@record
class BulkSummary(Record):
    """The summary of a bulk prediction, its ``summary.json``.

    Args:
        inputs: number of inputs.
        predicted: number of lines in ``predictions.jsonl``, each an entry of ``inputs`` in the prediction JSON.
        quarantined: number of lines in ``quarantine.jsonl``: inputs that could not be predicted.
        with_features: number of lines in ``features.jsonl``; left out without ``--embeddings``.
        kept: number of inputs that an earlier call had predicted.
        engine: "local" or "ray".
        workers: number of processes.
        seconds: duration of this call, seconds.
        model: the model that made the predictions.
        left_out: number of lines in ``left_out.jsonl``: files in the named folders that are not media; left out if
            there are none.
    """

    inputs: int
    predicted: int
    quarantined: int
    with_features: int | None = None
    kept: int
    engine: str
    workers: int
    seconds: float
    model: ModelDescription
    left_out: int | None = None


def predict_bulk(
    run: str | Path,
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    text: str | None = None,
    cropped: bool = False,
    engine: str = "local",
    workers: int | None = None,
    embeddings: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> BulkSummary:
    """Predict very many clips with many processes; a call that was stopped is resumed by the same call.

    A program that calls this from its main module must guard the call with ``if __name__ == "__main__"``, since the
    workers import that module.

    Args:
        run: run folder or model folder.
        inputs: files, folders and manifests.
        out: folder to write, used for nothing else. It gets ``predictions.jsonl`` (an entry of ``inputs`` of the
            prediction JSON on each line, in input order), ``quarantine.jsonl`` (``{"input", "error"}``),
            ``left_out.jsonl`` (``{"path", "reason"}`` of files in folders that are not media, if there are any),
            ``summary.json``, and the files of the shards in ``parts``.
        text: transcript of all inputs except manifests.
        cropped: images are already face crops.
        engine: ``local`` (processes on this machine) or ``ray``.
        workers: number of processes; by default one for each core. The predictions do not depend on it.
        embeddings: also write ``features.jsonl``, a manifest of embeddings for the ``features`` encoder.
        device: device of the workers; see :func:`multiemo.load`. Workers are distributed over the GPUs of a machine.
        progress: receives the progress.

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: the engine is unknown, the device does not exist here, Ray is not installed, or ``out`` contains
            something else.
        MediaError, ManifestError: an input does not exist, or is named twice.
        CheckpointError: the run is no finished model, or the disk is full.
    """
    began = time.perf_counter()
    progress = progress or Progress()
    if engine not in ENGINES:
        raise ConfigError(f"--engine: {engine!r} is not one of {', '.join(ENGINES)}")
    if engine == "ray":
        check_ray()
    workers = workers or os.cpu_count() or 1
    predictor = Predictor(load_bundle(run), device="cpu")
    context, described = predictor.context, predictor.describe()
    del predictor
    progress.stage("plan")
    left_out: list[LeftOut] = []
    items = expand(inputs, text=text, context=context, cropped=cropped, left_out=left_out)
    if items and all(item.refused is not None for item in items):
        raise MediaError(f"{items[0].refused}")
    shards = cut(items)
    job = Job(Path(run), Path(out), embeddings, uuid.uuid4().hex, device)
    digest = file_digest(model_folder(job.model) / "config.json")  # it contains the digest of the weights
    with claimed(job, plan_of(shards, digest, embeddings=embeddings)):
        progress.stage("predict")
        todo = [number for number in range(len(shards)) if not job.is_done(number)]
        kept = done = len(shards.lines) - sum(len(shards[number]) for number in todo)
        progress.update(done, len(shards.lines))
        for number in ENGINES[engine](job, shards, todo, workers):
            done += len(shards[number])
            progress.update(done, len(shards.lines))
        progress.stage("join")
        counts = _join_shards(job, range(len(shards)))
        summary = BulkSummary(
            inputs=len(shards.lines),
            **counts,
            kept=kept,
            engine=engine,
            workers=workers,
            seconds=round(time.perf_counter() - began, 3),
            model=described,
            left_out=len(left_out) or None,
        )
        if left_out:
            write_atomically(job.out / "left_out.jsonl", "".join(json.dumps(left) + "\n" for left in left_out))
        write_atomically(job.out / "summary.json", f"{summary}\n")
    return summary


def _join_shards(job: Job, numbers: Sequence[int]) -> dict[str, int]:
    """Join the files of all shards in order; returns {member of the summary: number of lines}."""
    files = {"predicted": ("predictions.jsonl", ".jsonl"), "quarantined": ("quarantine.jsonl", ".bad.jsonl")}
    if job.embeddings:
        files["with_features"] = ("features.jsonl", ".features.jsonl")
    try:
        counts = {
            what: _join([job.part(number, suffix) for number in numbers], job.out / name)
            for what, (name, suffix) in files.items()
        }
        for left in job.parts.iterdir():  # files of workers that died
            if left.suffix in (".tmp", ".trail"):
                left.unlink()
    except OSError as error:
        raise CheckpointError(
            f"{job.out}: the shards cannot be joined: {error.strerror or error}; fix this and run the command again, "
            "finished shards are kept"
        ) from None
    return counts


def _join(parts: Iterable[Path], target: Path) -> int:
    """Concatenate files atomically; returns the number of lines."""
    lines = 0
    with draft(target) as temporary, temporary.open("wb") as file:
        for part in parts:
            content = part.read_bytes()
            lines += content.count(b"\n")
            file.write(content)
    return lines
