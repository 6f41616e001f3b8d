"""A whole run: pretrain each branch, fine-tune the fused model, keep everything that made it."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch.utils.tensorboard import SummaryWriter

from multiemo.build import data as wiring
from multiemo.build.bundle import (
    Bundle,
    assemble,
    build_encoder,
    build_preprocessor,
    load_bundle,
    save_bundle,
    uses_features,
)
from multiemo.build.evaluation import EVALUATION_BATCH, calibrate_bundle, evaluate_bundle
from multiemo.build.observer import Observer
from multiemo.config import Config, load_config, save_config
from multiemo.data.dataset import Preprocessor
from multiemo.encoders.base import Encoder
from multiemo.errors import CheckpointError, ConfigError, ManifestError
from multiemo.evaluate import Report, corpus_kind, evaluate_model
from multiemo.model import EmotionModel
from multiemo.training.checkpoint import write_atomically
from multiemo.training.trainer import FitResult, Trainer, append_jsonl
from multiemo.types import Modality


@dataclass(slots=True)
class Run:
    """What ``train`` returns.

    Args:
        folder: the run folder.
        bundle: the trained model.
        validation: its report on the validation part.
        stages: {stage: how it went}.
    """

    folder: Path
    bundle: Bundle
    validation: Report
    stages: dict[str, FitResult]


def train(config: Config, out: str | Path, *, resume: bool = False, observer: Observer | None = None) -> Run:
    """Do all stages of a config and write a run folder.

    The test part is not read; ``evaluate_run`` does that.

    Args:
        config: see :mod:`multiemo.config`.
        out: run folder.
        resume: go on with the run that is in ``out``.
        observer: is told of progress.

    Raises:
        MultiemoError: anything wrong with config, manifest, split, media or checkpoints.
    """
    return _Session(config, Path(out), resume, observer or Observer()).run()


class _Session:
    """The state that the stages of one run share."""

    def __init__(self, config: Config, folder: Path, resume: bool, observer: Observer) -> None:
        self.config = config
        self.folder = folder
        self.observer = observer
        self._open_folder(resume)
        AcceleratorState._reset_state(True)
        self.accelerator = Accelerator(
            cpu=config.device == "cpu",
            mixed_precision=_precision(config),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.log = SummaryWriter(str(folder / "tensorboard"))
        self.sources = wiring.open_sources(config, folder)
        self.parts: dict[tuple[str, str], wiring.Part] = {}
        self.preprocessors: dict[Modality, Preprocessor] = {}
        self.encoders: dict[Modality, Encoder] = {}
        self.branches: dict[Modality, Bundle] = {}
        self.results: dict[str, FitResult] = {}

    def run(self) -> Run:
        config = self.config
        self._write_splits()
        self._build_parts()
        for stage in config.stages:
            if stage != "fuse" and stage not in self.branches:
                self._pretrain(stage)
        bundle = self._fuse() if "fuse" in config.stages else self.branches[config.modalities[0]]
        save_bundle(bundle, self.folder / "model")
        self.observer.stage("validate")
        stage = "fuse" if "fuse" in config.stages else config.modalities[0]
        part = self._part(stage, "val")
        validation = evaluate_bundle(bundle, part, split="val", device=self.accelerator.device)
        write_atomically(self.folder / "validation.json", json.dumps(validation.to_json(), indent=2) + "\n")
        self.log.close()
        return Run(self.folder, bundle, validation, self.results)

    # ------------------------------------------------------------------------------------------------ preparation
    def _open_folder(self, resume: bool) -> None:
        stored = self.folder / "config.yaml"
        if stored.is_file() and not resume:
            raise CheckpointError(f"{self.folder}: holds a run already; add --resume or choose another --out")
        if resume and not stored.is_file():
            raise CheckpointError(f"{self.folder}: there is no run to resume (no config.yaml)")
        if resume and load_config(stored) != self.config:
            raise CheckpointError(f"{stored}: the run was started with another config; resume with that one")
        self.folder.mkdir(parents=True, exist_ok=True)
        save_config(self.config, stored)

    def _write_splits(self) -> None:
        splits = {stage: json.loads(source.split.to_json()) for stage, source in self.sources.items()}
        known = self.folder / "splits.json"
        text = json.dumps(splits, indent=2) + "\n"
        if known.is_file() and known.read_text("utf-8") != text:
            raise CheckpointError(f"{known}: the manifest no longer gives the split this run was started with")
        write_atomically(known, text)
        for note in dict.fromkeys(n for s in self.sources.values() for n in s.split.notes):
            self.observer.note(note)

    def _build_parts(self) -> None:
        """Encoders and preprocessors, from a named branch, an earlier attempt of this run, or new."""
        config = self.config
        for m in config.modalities:
            finished = self.folder / "branches" / m
            named = config.branches.get(m)
            if named is not None or (finished / "config.json").is_file():
                branch = load_bundle(named or finished)
                if m not in branch.preprocessors or branch.config.encoders[m].name != config.encoders[m].name:
                    raise CheckpointError(f"branches.{m}: {named!r} holds no {m} encoder {config.encoders[m].name!r}")
                for source in self.sources.values():  # of a composite, the people are those of its sources
                    wiring.check_seen(branch.facts.get("seen", ()), source, f"branches.{m} ({named or finished})")
                self.branches[m] = branch
                encoder = branch.model.encoders[m]
                assert isinstance(encoder, Encoder)
                self.encoders[m], self.preprocessors[m] = encoder, branch.preprocessors[m]
                continue
            dim = wiring.feature_dim(self.sources[m], m) if uses_features(config, m) else None
            torch.manual_seed(self._seed(m))
            self.encoders[m] = build_encoder(config, m, feature_dim=dim)
            texts = partial(_texts, self.sources[m])
            self.preprocessors[m] = build_preprocessor(self.encoders[m].input_spec, texts=texts)

    def _seed(self, stage: str) -> int:
        return self.config.seed * 1009 + zlib.crc32(stage.encode()) % 1009

    def _part(self, stage: str, name: str) -> wiring.Part:
        """A preprocessed part; stages that read the same manifest share it."""
        source = self.sources[stage]
        key = (str(source.manifest), name)
        if key not in self.parts:
            wanted = self.config.modalities
            if self.config.data.sources and stage != "fuse":
                wanted = (stage,)  # type: ignore[assignment]
            self.observer.stage(f"prepare {name}" + (f" ({stage})" if self.config.data.sources else ""))
            part = wiring.prepare_part(
                self.config,
                source.folder,
                source.part(name),
                {m: self.preprocessors[m] for m in wanted},
                label_from=source.label_from,
                dialogue=source.clips,
                on_progress=self.observer.progress,
            )
            for clip, message in part.prepared.bad.items():
                self.observer.note(f"left out {clip}: {message}")
            for note in part.dataset.space.notes(part.dataset.clips):
                self.observer.note(f"{name}: {note}")
            for m, reasons in part.prepared.absent.items():
                count = sum(reasons.values())
                most = max(reasons, key=reasons.__getitem__)
                self.observer.note(f"{name}: {m} is absent in {count} of {len(part.dataset)} clips, mostly: {most}")
            self.parts[key] = part
        return self.parts[key]

    # ----------------------------------------------------------------------------------------------------- stages
    def _pretrain(self, m: Modality) -> None:
        """Train one branch alone."""
        train_part = self._part(m, "train")
        rows = self._rows(train_part, (m,), "train")
        encoder = self.encoders[m]
        encoder.fit_statistics(train_part.dataset[i].inputs[m] for i in rows)
        torch.manual_seed(self._seed(m) + 1)
        model = assemble(self.config, {m: encoder}, prior=train_part.prepared.frequencies, fused=False)
        result = self._fit(m, model, (m,))
        bundle = self._bundle(model, (m,), m, result)
        save_bundle(bundle, self.folder / "branches" / m)
        self.branches[m] = bundle

    def _fuse(self) -> Bundle:
        """Train the fused model from the branches."""
        modalities = self.config.modalities
        train_part = self._part("fuse", "train")
        for m in modalities:
            if m not in self.branches:  # its pretraining stage was left out
                rows = self._rows(train_part, (m,), "train")
                self.encoders[m].fit_statistics(train_part.dataset[i].inputs[m] for i in rows)
        torch.manual_seed(self._seed("fuse"))
        model = assemble(self.config, self.encoders, prior=train_part.prepared.frequencies, fused=True)
        for m, branch in self.branches.items():
            if branch.config.label_set == self.config.label_set:
                model.branch_heads[m].load_state_dict(branch.model.branch_heads[m].state_dict())
        result = self._fit("fuse", model, modalities)
        return self._bundle(model, modalities, "fuse", result)

    def _rows(self, part: wiring.Part, modalities: tuple[Modality, ...], name: str) -> list[int]:
        rows = part.rows_with(modalities)
        if not rows:
            raise ManifestError(f"{part.dataset.folder}: no labelled clip of {name} has {' or '.join(modalities)}")
        return rows

    def _fit(self, stage: str, model: EmotionModel, modalities: tuple[Modality, ...]) -> FitResult:
        config = self.config
        settings = config.training_of(stage)
        if stage != "fuse" and settings.auxiliary_loss > 0:
            self._check_other_labels(stage)
        train_part, val_part = self._part(stage, "train"), self._part(stage, "val")
        loader = train_part.loader(
            modalities,
            self._rows(train_part, modalities, "train"),
            settings.batch_size,
            seed=self._seed(stage),
            shuffle=True,
        )
        check = val_part.loader(modalities, self._rows(val_part, modalities, "val"), EVALUATION_BATCH)
        prior = train_part.prepared.frequencies.double().numpy()
        labels = val_part.dataset.space.labels
        device = self.accelerator.device

        def figures(candidate: EmotionModel) -> dict[str, float]:
            report = evaluate_model(
                lambda batch: candidate(batch.to(device)),
                check,
                label_set=labels,
                prior=prior,
                split="val",
                task=config.task,
                intervals=False,
            )
            return {k: v for k, v in report.subsets[report.full].items() if k != "n"}

        trainer = Trainer(
            self.accelerator,
            settings,
            task=config.task,
            frequencies=train_part.prepared.frequencies,
            seed=self._seed(stage) + 2,
            state_file=self.folder / "state" / f"{stage}.safetensors",
            identity=hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
        )
        self.observer.stage(stage)
        result = trainer.fit(
            model,
            loader,
            figures,
            on_step=self.observer.progress,
            on_epoch=lambda record: self._epoch(stage, record),
        )
        model.cpu()
        self.results[stage] = result
        return result

    def _check_other_labels(self, stage: str) -> None:
        """Raises: ConfigError: no clip of train has a label from another source to learn beside its own."""
        dataset = self._part(stage, "train").dataset
        if not any(bool(dataset.space.other_targets(clip).any()) for clip in dataset.clips):
            raise ConfigError(
                f"training.auxiliary_loss: no clip of train has a label from another source than "
                f"{dataset.space.label_from!r}; give the manifest modality_labels, or set it to 0"
            )

    def _epoch(self, stage: str, record: dict[str, Any]) -> None:
        append_jsonl(self.folder / "metrics.jsonl", {"stage": stage, **record})
        self.log.add_scalar(f"{stage}/loss", record["loss"], record["epoch"])
        self.log.add_scalar(f"{stage}/lr", record["lr"], record["epoch"])
        for name, value in record["val"].items():
            self.log.add_scalar(f"{stage}/val_{name}", value, record["epoch"])
        self.observer.epoch(stage, record)

    def _bundle(self, model: EmotionModel, modalities: tuple[Modality, ...], stage: str, result: FitResult) -> Bundle:
        source = self.sources[stage]
        seen = {g for s in (*modalities, stage) for p in ("train", "val") for g in self.sources[s].split.groups[p]}
        for m in modalities:
            if m in self.branches:
                seen |= set(self.branches[m].facts.get("seen", ()))
        config = self.config.model_copy(
            update={"encoders": {m: self.config.encoders[m] for m in modalities}, "stages": (stage,), "per_stage": {}}
        )
        facts = {
            "stage": stage,
            "corpus_kind": corpus_kind(c.corpus for c in source.clips),
            "manifest": str(source.manifest),
            "split": source.split.hash,
            "seen": sorted(seen),
            "validation": {k: round(v, 4) for k, v in result.best.items()},
            "best_epoch": result.best_epoch,
            "seconds": round(result.seconds, 1),
        }
        bundle = Bundle(model.eval(), config, {m: self.preprocessors[m] for m in modalities}, facts)
        bundle.calibration = calibrate_bundle(bundle, self._part(stage, "val"), device=self.accelerator.device)
        model.cpu()
        return bundle


def _texts(source: wiring.Source) -> list[str]:
    return [c.text for c in source.part("train") if c.text]


def _precision(config: Config) -> str:
    if config.precision != "auto":
        return config.precision
    on_gpu = config.device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16" if on_gpu else "no"
