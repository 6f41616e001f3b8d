"""Plan, do what is not done, put the parts together."""

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
    """What a bulk prediction did: its ``summary.json``.

    Args:
        inputs: how many there are.
        predicted: lines of ``predictions.jsonl``, each an entry of ``inputs`` of the prediction JSON.
        quarantined: lines of ``quarantine.jsonl``, inputs that could not be predicted.
        with_features: lines of ``features.jsonl``; left out without ``--embeddings``.
        kept: inputs that an earlier call had done.
        engine: "local" or "ray".
        workers: how many processes worked.
        seconds: that this call took.
        model: which model.
        left_out: lines of ``left_out.jsonl``, what the named folders hold besides media; left out where there is none.
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
    """Predict very many clips with many processes, each once; called again, it goes on where it stopped.

    A program that calls this from its main module must guard it with ``if __name__ == "__main__"``, since the workers
    import that module.

    Args:
        run: run folder or model folder.
        inputs: files, folders and manifests.
        out: folder to write, for this alone: ``predictions.jsonl`` (an entry of the prediction JSON a line, in input
            order), ``quarantine.jsonl`` (``{"input", "error"}``), ``left_out.jsonl`` (``{"path", "reason"}`` of what
            folders hold that is no media, if there is any), ``summary.json``, and the shards in ``parts``.
        text: transcript of all inputs but manifests.
        cropped: images are face crops, each taken whole.
        engine: ``local`` (processes of this machine) or ``ray``.
        workers: processes; default: one a core of this machine. The predictions do not depend on it.
        embeddings: also write ``features.jsonl``, a manifest of the encoders' vectors for the ``features`` encoder.
        device: of the workers; see :func:`multiemo.load`. Those of one machine are dealt to its GPUs.
        progress: told how far it is.

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: unknown engine, no such device here, Ray is not installed, or ``out`` holds something else.
        MediaError, ManifestError: an input is not there, or named twice.
        CheckpointError: not a finished model, or the disk is full.
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
    digest = file_digest(model_folder(job.model) / "config.json")  # it names the digest of the weights
    with claimed(job, plan_of(shards, digest, embeddings=embeddings)):
        progress.stage("predict")
        todo = [number for number in range(len(shards)) if not job.is_done(number)]
        kept = done = len(shards.lines) - sum(len(shards[number]) for number in todo)
        progress.update(done, len(shards.lines))
        for number in ENGINES[engine](job, shards, todo, workers):
            done += len(shards[number])
            progress.update(done, len(shards.lines))
        progress.stage("put together")
        counts = _put_together(job, range(len(shards)))
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


def _put_together(job: Job, numbers: Sequence[int]) -> dict[str, int]:
    """The files of all shards as one each, in order; {what: lines}."""
    files = {"predicted": ("predictions.jsonl", ".jsonl"), "quarantined": ("quarantine.jsonl", ".bad.jsonl")}
    if job.embeddings:
        files["with_features"] = ("features.jsonl", ".features.jsonl")
    try:
        counts = {
            what: _join([job.part(number, suffix) for number in numbers], job.out / name)
            for what, (name, suffix) in files.items()
        }
        for left in job.parts.iterdir():  # by workers that died
            if left.suffix in (".tmp", ".trail"):
                left.unlink()
    except OSError as error:
        raise CheckpointError(
            f"{job.out}: cannot be put together: {error.strerror or error}; mend that and run the command again, "
            "the shards that are done are kept"
        ) from None
    return counts


def _join(parts: Iterable[Path], whole: Path) -> int:
    """Write files one after the other as one, whole or not at all; the number of lines."""
    lines = 0
    with draft(whole) as made, made.open("wb") as file:
        for part in parts:
            content = part.read_bytes()
            lines += content.count(b"\n")
            file.write(content)
    return lines
