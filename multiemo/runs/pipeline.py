"""Config -> a run folder: pretrain the branches, fine-tune the fused model, measure on validation."""

from __future__ import annotations

import json
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from multiemo.config import Config
from multiemo.errors import CheckpointError
from multiemo.evaluation import Report, corpus_kind
from multiemo.files import write_atomically
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs.device import accelerator_of, trained_by
from multiemo.runs.evaluation import calibrate_bundle, evaluate_bundle
from multiemo.runs.folder.layout import open_run_folder
from multiemo.runs.folder.lock import alone_in
from multiemo.runs.folder.required_files import file_digest
from multiemo.runs.model_folder import Bundle, save_bundle
from multiemo.runs.parts import assemble
from multiemo.runs.preparation import Preparation
from multiemo.runs.priors import dimension_means, weighing
from multiemo.runs.sources import open_sources
from multiemo.runs.stage import Stage, fit_stage, stage_seed, trainable_rows
from multiemo.runs.trackers import Trackers
from multiemo.training.epochs import Epoch, StageEpoch
from multiemo.training.parallel import Meeting
from multiemo.training.profiling import profiled
from multiemo.training.trainer import FitResult, append_jsonl
from multiemo.types import Modality


@dataclass(slots=True)
class Run:
    """What ``train`` returns.

    Args:
        folder: the run folder.
        bundle: the trained model; ``None`` where nothing learnt labels, and ``branches`` holds what can be begun from.
        validation: its report on the validation part; ``None`` likewise, and where every row was trained on.
        stages: {stage: how it went}.
    """

    folder: Path
    bundle: Bundle | None
    validation: Report | None
    stages: dict[str, FitResult]


def train(
    config: Config,
    out: str | Path = "runs/run",
    *,
    resume: bool = False,
    profile: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Do all stages of a config and write a run folder.

    The test part is not read; ``evaluate_run`` does that. Under ``accelerate launch`` or ``torchrun`` every process
    calls this, and the first one writes.

    Args:
        config: see :mod:`multiemo.config`.
        out: run folder.
        resume: go on with the run that is in ``out``.
        profile: write a trace of some steps of each stage to ``out/profile``.
        progress: told how far it is.

    Raises:
        MultiemoError: anything wrong with config, manifest, split, media or checkpoints.
        KeyboardInterrupt: Ctrl-C came; what was done can be resumed.
    """
    with ExitStack() as held:
        return _Session(config, Path(out), resume, profile, progress or Progress(), held).run()


class _Session:
    """The state that the stages of one run share."""

    def __init__(
        self, config: Config, folder: Path, resume: bool, profile: bool, progress: Progress, held: ExitStack
    ) -> None:
        self.config = config
        self.folder = folder
        self.accelerator = accelerator_of(config)
        self.compute = trained_by(self.accelerator)
        self.main = self.accelerator.is_main_process
        self.progress = progress if self.main else Progress()
        self.profile = profile
        self.meeting = Meeting(self.accelerator)
        with self.meeting.main_first():
            if self.main:
                self._open_folder(resume, held)
            sources = open_sources(config, folder)
        self.prepared = Preparation(config, folder, sources, self.accelerator, self.meeting, self.progress)
        self.trackers = Trackers(config, folder, self.progress)
        self.logged = _logged(folder / "metrics.jsonl")
        self.results: dict[str, FitResult] = {}
        self.weighed: dict[str, set[str]] = {}

    def run(self) -> Run:
        config = self.config
        self.prepared.write_splits()
        self.prepared.check_dimensions()
        self.prepared.build_parts()
        for stage in config.stages:
            if stage != "fuse" and stage not in self.prepared.branches:
                self._pretrain(stage)
        bundle = self._fuse() if config.fused else self._alone(config.modalities[0])
        validation = None if bundle is None else self._finish(bundle)
        self.trackers.close()
        self.accelerator.wait_for_everyone()
        return Run(self.folder, bundle, validation, self.results)

    def _alone(self, m: Modality) -> Bundle | None:
        """The branch of the only stage, where it answers anything."""
        return self.prepared.branches[m] if self.prepared.learns_labels(m) else None

    def _finish(self, bundle: Bundle) -> Report | None:
        """Write the model and measure it on validation, if there is any."""
        bundle.folder = self.folder
        self._save(bundle, self.folder / "model")
        val, processes = self.prepared.val(bundle.facts["stage"]), self._processes
        if val is None:
            return None
        self.progress.stage("validate")
        report = evaluate_bundle(bundle, val, split="val", compute=self.compute, processes=processes)
        bundle.model.cpu()
        if self.main:
            write_atomically(self.folder / "validation.json", json.dumps(report, indent=2) + "\n")
        return report

    # ------------------------------------------------------------------------------------------------ preparation
    @property
    def _processes(self) -> tuple[int, int]:
        return self.accelerator.process_index, self.accelerator.num_processes

    def _save(self, bundle: Bundle, folder: Path) -> None:
        if self.main:
            save_bundle(bundle, folder)
        self.accelerator.wait_for_everyone()

    def _open_folder(self, resume: bool, held: ExitStack) -> None:
        """Take the folder, for as long as ``held`` lasts."""
        if resume and not (self.folder / "config.yaml").is_file():
            raise CheckpointError(f"{self.folder}: there is no run to resume (no config.yaml)")
        self.folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(alone_in(self.folder, self.progress))
        for note in open_run_folder(self.folder, self.config, resume=resume):
            self.progress.note(note)

    # ----------------------------------------------------------------------------------------------------- stages
    def _pretrain(self, m: Modality) -> None:
        """Train one branch alone."""
        train_part = self.prepared.part(m, "train")
        self.prepared.fit_statistics(
            m, train_part, trainable_rows(train_part, (m,), self.config.training_of(m), "train")
        )
        torch.manual_seed(stage_seed(self.config, m) + 1)
        config, learnt = self._learnt(m, (m,))
        model = assemble(config, {m: self.prepared.encoders[m]}, fused=False, **learnt)
        result = self._fit(m, model)
        bundle = self._bundle(model, (m,), m, result)
        self._save(bundle, self.folder / "branches" / m)
        self.prepared.branches[m] = bundle

    def _fuse(self) -> Bundle | None:
        """Train the fused model from the branches, or, without labels, their encoders together."""
        modalities = self.config.modalities
        train_part = self.prepared.part("fuse", "train")
        for m in modalities:
            if m not in self.prepared.branches:  # its pretraining stage was left out
                self.prepared.fit_statistics(m, train_part, train_part.rows_with((m,), labelled=False))
        torch.manual_seed(stage_seed(self.config, "fuse"))
        config, learnt = self._learnt("fuse", modalities)
        kept = {m: b for m, b in self.prepared.branches.items() if b.config.label_set == self.config.label_set}
        if self.config.training_of("fuse").branch_loss == 0:  # heads that are not trained again stay what they are
            learnt["branch_priors"] = {m: b.model.effective_prior for m, b in kept.items()}
            if "fuse" in self.weighed:
                self.weighed["fuse"] -= set(kept)
                self.weighed["fuse"] |= {m for m, b in kept.items() if m in b.calibration.costs}
        model = assemble(config, self.prepared.encoders, fused=True, **learnt)
        for m, branch in kept.items():
            model.branch_heads[m].load_state_dict(branch.model.branch_heads[m].state_dict())
        result = self._fit("fuse", model)
        if self.prepared.learns_labels("fuse"):
            return self._bundle(model, modalities, "fuse", result)
        for m in modalities:
            alone = assemble(config, {m: self.prepared.encoders[m]}, prior=model.prior, fused=False)
            self._save(self._bundle(alone, (m,), "fuse", result), self.folder / "branches" / m)
        return None

    def _learnt(self, stage: str, modalities: tuple[Modality, ...]) -> tuple[Config, dict[str, Any]]:
        """What a stage's model knows of train before it learns, and the config that its clips allow.

        Where no clip of a stage knows a dimension, its model has no head for them.
        """
        part, settings = self.prepared.part(stage, "train"), self.config.training_of(stage)
        labelled = settings.objective == "labels"
        learnt: dict[str, Any] = {"prior": part.prepared.frequencies}
        if self.config.task == "dimensions":
            self.weighed[stage] = set()
            return self.config, learnt
        if labelled:
            rows = part.rows_with(modalities)
            weighed = weighing(part, rows, settings)
            learnt["effective_prior"] = weighed.effective_prior
            self.weighed[stage] = {"fused", *modalities} if weighed.labels else set()
            learnt["dimension_means"] = means = dimension_means([part.dataset.clips[i] for i in rows])
            if not self.config.dimensions or not means.isnan().all():
                return self.config, learnt
            self.progress.note(f"{stage}: no clip of train has valence, arousal or dominance: they are not learnt")
        return self.config.model_copy(update={"dimensions": False}), learnt

    def _fit(self, name: str, model: EmotionModel) -> FitResult:
        train_part, val_part = self.prepared.part(name, "train"), self.prepared.val(name)
        parts = train_part, val_part, self.accelerator, self.meeting
        stage = Stage(name, self.config, model, *parts, self.folder, self.progress)
        trace = self.folder / "profile" / name if self.profile and self.main else None
        with profiled(trace) if trace is not None else nullcontext(lambda: None) as count:

            def on_step(done: int, total: int) -> None:
                count()
                self.progress.update(done, total)

            result = fit_stage(stage, on_step=on_step, on_epoch=partial(self._epoch, name))
        self.results[name] = result
        return result

    def _epoch(self, stage: str, epoch: Epoch) -> None:
        """Log an epoch once, also when a resumed run tells of it again."""
        if self.main and (stage, epoch.epoch) not in self.logged:
            self.logged.add((stage, epoch.epoch))
            append_jsonl(self.folder / "metrics.jsonl", StageEpoch.of(epoch, stage=stage))
            self.trackers.log(stage, epoch)
        self.progress.epoch(stage, epoch)

    def _bundle(self, model: EmotionModel, modalities: tuple[Modality, ...], stage: str, result: FitResult) -> Bundle:
        seen = self.prepared.seen_before
        for source in {id(self.prepared.sources[s]): self.prepared.sources[s] for s in (*modalities, stage)}.values():
            seen |= source.learnt()
        source = self.prepared.sources[stage]
        for m in modalities:
            if m in self.prepared.branches:
                seen |= self.prepared.branches[m].seen
        settings = self.config.training_of(stage)
        budget = {m: most for m, most in settings.budget.items() if m in modalities}  # evaluation keeps within it
        config = self.config.model_copy(
            update={
                "encoders": {m: self.config.encoders[m] for m in modalities},
                "dimensions": model.dimension_head is not None,
                "training": self.config.training.model_copy(update={"objective": "labels", "budget": budget}),
                "stages": (modalities[0] if len(modalities) == 1 else "fuse",),
                "per_stage": {},
                "branches": {},
                "init": {},
            }
        )
        facts = {
            "stage": stage,
            "objective": settings.objective,
            "corpus_kind": corpus_kind(c.corpus for c in source.clips),
            "manifest": {"name": source.manifest.name, "sha256": file_digest(source.manifest)},
            "label_from": source.label_from,
            "split": source.split.hash,
            "seen": seen.counts(),
            "validation": {k: round(v, 4) for k, v in result.best.items()},
            "best_epoch": result.best_epoch,
            "seconds": round(result.seconds, 1),
            "untrained": {m: sorted(self.prepared.encoders[m].untrained or ()) for m in modalities},
        }
        bundle = Bundle(model.eval(), config, {m: self.prepared.inputs[m] for m in modalities}, facts, seen=seen)
        val, processes = self.prepared.val(stage), self._processes
        if settings.objective == "labels" and val is not None:
            bundle.calibration = calibrate_bundle(
                bundle, val, compute=self.compute, weighed=self.weighed[stage], processes=processes
            )
        model.cpu()
        return bundle


def _logged(path: Path) -> set[tuple[str, int]]:
    """Stages and epochs that a log holds."""
    if not path.is_file():
        return set()
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.endswith("}")]
    return {(r["stage"], r["epoch"]) for r in records}
