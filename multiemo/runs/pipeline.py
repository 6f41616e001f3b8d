"""Trains a config into a run folder: pretrains the branches, fine-tunes the fused model, evaluates on validation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from multiemo.config import Config
from multiemo.encoders.common.prompted import PromptedEncoder
from multiemo.errors import CheckpointError
from multiemo.evaluation import Report, corpus_kind
from multiemo.files import write_atomically
from multiemo.media.limits import limited
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs.device import accelerator_compute, accelerator_of
from multiemo.runs.evaluation import calibrate_bundle, evaluate_bundle
from multiemo.runs.folder.layout import open_run_folder
from multiemo.runs.folder.lock import lock_folder
from multiemo.runs.folder.privacy_facts import PrivacyFacts
from multiemo.runs.folder.required_files import file_digest
from multiemo.runs.model_folder import Bundle, save_bundle
from multiemo.runs.parts import assemble
from multiemo.runs.preparation import Preparation
from multiemo.runs.priors import dimension_means, label_weighting
from multiemo.runs.private import StagePlan, privacy_facts
from multiemo.runs.sources import open_sources
from multiemo.runs.stage import Stage, fit_stage, stage_seed, trainable_rows
from multiemo.runs.trackers import Trackers
from multiemo.runs.training_voice import training_voice
from multiemo.training.accounting import PrivateSteps, spent
from multiemo.training.epochs import Epoch, StageEpoch
from multiemo.training.parallel import ProcessBarrier
from multiemo.training.profiling import profiled
from multiemo.training.trainer import FitResult, append_jsonl
from multiemo.types import Modality


@dataclass(slots=True)
class Run:
    """The result of :func:`train`.

    Args:
        folder: run folder.
        bundle: trained model; ``None`` if no stage learnt labels (the folder ``branches`` then has the pretrained
            encoders).
        validation: report of the model on validation; ``None`` without a model or without a validation part.
        stages: {stage: result of its training}.
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
    """Train all stages of a config and write a run folder.

    The test part is not read; use ``evaluate_run`` for that. Under ``accelerate launch`` or ``torchrun`` every process
    calls this function, and the first one writes.

    Args:
        config: resolved config, see :mod:`multiemo.config`.
        out: run folder.
        resume: continue the run in ``out``.
        profile: write a trace of a few steps of each stage to ``out/profile``.
        progress: receives stages, steps, epochs and notes.

    Raises:
        MultiemoError: the config, manifest, split, media or a checkpoint is invalid.
        KeyboardInterrupt: on Ctrl-C; the run can be resumed.
    """
    with ExitStack() as locks, limited(**config.data.limits):
        return _Session(config, Path(out), resume, profile, progress or Progress(), locks).run()


class _Session:
    """State shared by the stages of one run."""

    def __init__(
        self, config: Config, folder: Path, resume: bool, profile: bool, progress: Progress, locks: ExitStack
    ) -> None:
        self.config = config
        self.folder = folder
        self.accelerator = accelerator_of(config)
        self.compute = accelerator_compute(self.accelerator)
        self.main = self.accelerator.is_main_process
        self.progress = progress if self.main else Progress()
        self.profile = profile
        self.barrier = ProcessBarrier(self.accelerator)
        with self.barrier.main_first():
            if self.main:
                self._open_folder(resume, locks)
            sources = open_sources(config, folder)
        self.prepared = Preparation(config, folder, sources, self.accelerator, self.barrier, self.progress)
        self.trackers = Trackers(config, folder, self.progress)
        self.logged = _logged_epochs(folder / "metrics.jsonl")
        self.results: dict[str, FitResult] = {}
        self.weighted_heads: dict[str, set[str]] = {}
        self.private: dict[str, StagePlan] = {}

    def run(self) -> Run:
        config = self.config
        self.prepared.write_splits()
        self.prepared.check_dimensions()
        self.prepared.build_parts()
        self.private = self.prepared.plan_private()
        for stage in config.stages:
            if stage != "fuse" and stage not in self.prepared.branches:
                self._pretrain(stage)
        bundle = self._fuse() if config.fused else self._single_branch(config.modalities[0])
        validation = None if bundle is None else self._finish(bundle)
        self.trackers.close()
        self.accelerator.wait_for_everyone()
        return Run(self.folder, bundle, validation, self.results)

    def _single_branch(self, m: Modality) -> Bundle | None:
        """The branch of a run with one modality; ``None`` if it was trained without labels."""
        return self.prepared.branches[m] if self.prepared.learns_labels(m) else None

    def _finish(self, bundle: Bundle) -> Report | None:
        """Write the model and evaluate it on validation, if there is a validation part."""
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

    def _open_folder(self, resume: bool, locks: ExitStack) -> None:
        """Lock and prepare the run folder; the lock is released when ``locks`` closes."""
        if resume and not (self.folder / "config.yaml").is_file():
            raise CheckpointError(f"{self.folder}: there is no run to resume (no config.yaml); leave out --resume")
        self.folder.mkdir(parents=True, exist_ok=True)
        locks.enter_context(lock_folder(self.folder, self.progress))
        for note in open_run_folder(self.folder, self.config, resume=resume):
            self.progress.note(note)

    # ----------------------------------------------------------------------------------------------------- stages
    def _pretrain(self, m: Modality) -> None:
        """Train one branch on its own."""
        train_part = self.prepared.part(m, "train")
        self.prepared.fit_statistics(
            m, train_part, trainable_rows(train_part, (m,), self.config.training_of(m), "train")
        )
        torch.manual_seed(stage_seed(self.config, m) + 1)
        config, learnt = self._training_statistics(m, (m,))
        model = assemble(config, {m: self.prepared.encoders[m]}, fused=False, **learnt)
        result = self._fit(m, model)
        bundle = self._bundle(model, (m,), m, result)
        self._save(bundle, self.folder / "branches" / m)
        self.prepared.branches[m] = bundle

    def _fuse(self) -> Bundle | None:
        """Train the fused model from the branches, or their encoders jointly when training without labels."""
        modalities = self.config.modalities
        train_part = self.prepared.part("fuse", "train")
        for m in modalities:
            if m not in self.prepared.branches:  # its pretraining stage was left out
                self.prepared.fit_statistics(m, train_part, train_part.rows_with((m,), labelled=False))
        torch.manual_seed(stage_seed(self.config, "fuse"))
        config, learnt = self._training_statistics("fuse", modalities)
        kept = {m: b for m, b in self.prepared.branches.items() if b.config.label_set == self.config.label_set}
        settings = self.config.training_of("fuse")
        unchanged = {m: b for m, b in kept.items() if m in settings.freeze or settings.branch_loss == 0}
        learnt["branch_priors"] = {m: b.model.effective_prior for m, b in unchanged.items()}
        if "fuse" in self.weighted_heads:
            self.weighted_heads["fuse"] -= set(unchanged)
            self.weighted_heads["fuse"] |= {m for m, b in unchanged.items() if m in b.calibration.costs}
        model = assemble(config, self.prepared.encoders, fused=True, **learnt)
        for m, branch in kept.items():
            model.branch_heads[m].load_state_dict(branch.model.branch_heads[m].state_dict())
            # On clips that the branch has learnt already, its head would learn to be certain.
            model.branch_heads[m].requires_grad_(m not in settings.freeze)
        self.prepared.fit_reliability(model, train_part)
        result = self._fit("fuse", model)
        if self.prepared.learns_labels("fuse"):
            return self._bundle(model, modalities, "fuse", result)
        for m in modalities:
            branch_model = assemble(config, {m: self.prepared.encoders[m]}, prior=model.prior, fused=False)
            self._save(self._bundle(branch_model, (m,), "fuse", result), self.folder / "branches" / m)
        return None

    def _training_statistics(self, stage: str, modalities: tuple[Modality, ...]) -> tuple[Config, dict[str, Any]]:
        """The config of a stage's model, and the priors and means of train that it is built with.

        ``dimensions`` is switched off if no training clip of the stage has valence, arousal or dominance.
        """
        part, settings = self.prepared.part(stage, "train"), self.config.training_of(stage)
        labelled = settings.objective == "labels"
        learnt: dict[str, Any] = {"prior": part.prepared.frequencies}
        if self.config.task == "dimensions":
            self.weighted_heads[stage] = set()
            return self.config, learnt
        if labelled:
            rows = part.rows_with(modalities)
            weighting = label_weighting(part, rows, settings)
            learnt["effective_prior"] = weighting.effective_prior
            self.weighted_heads[stage] = {"fused", *modalities} if weighting.labels else set()
            learnt["dimension_means"] = means = dimension_means([part.dataset.clips[i] for i in rows])
            if not self.config.dimensions or not means.isnan().all():
                return self.config, learnt
            self.progress.note(f"{stage}: no clip of train has valence, arousal or dominance: they are not learnt")
        return self.config.model_copy(update={"dimensions": False}), learnt

    def _fit(self, name: str, model: EmotionModel) -> FitResult:
        train_part, val_part = self.prepared.part(name, "train"), self.prepared.val(name)
        parts = train_part, val_part, self.accelerator, self.barrier
        stage = Stage(name, self.config, model, *parts, self.folder, self.progress, self.private.get(name))
        trace = self.folder / "profile" / name if self.profile and self.main else None
        with profiled(trace) if trace is not None else nullcontext(lambda: None) as count:

            def on_step(done: int, total: int) -> None:
                count()
                self.progress.update(done, total)

            result = fit_stage(stage, on_step=on_step, on_epoch=partial(self._epoch, name))
        self.results[name] = result
        return result

    def _epoch(self, stage: str, epoch: Epoch) -> None:
        """Log an epoch, unless it was logged before the run was resumed."""
        if self.main and (stage, epoch.epoch) not in self.logged:
            self.logged.add((stage, epoch.epoch))
            append_jsonl(
                self.folder / "metrics.jsonl", StageEpoch.of(epoch, stage=stage, epsilon=self._spent(stage, epoch))
            )
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
        budget = {m: limit for m, limit in settings.budget.items() if m in modalities}  # evaluation uses it too
        config = self.config.model_copy(
            update={
                "encoders": {m: self.prepared.encoder_config(m) for m in modalities},
                "dimensions": model.dimension_head is not None,
                "training": self.config.training.model_copy(update={"objective": "labels", "budget": budget}),
                "stages": (modalities[0] if len(modalities) == 1 else "fuse",),
                "per_stage": {},
                "recipes": {},
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
        prompted = {m: e for m in modalities if isinstance(e := self.prepared.encoders[m], PromptedEncoder)}
        if prompted:
            facts["prompts"] = {m: encoder.stored.prompt.digest for m, encoder in prompted.items()}
        if stage in self.private:
            facts["privacy"] = self._privacy(stage, modalities, result)
        elif self.main and "speech" in modalities:  # the usual voice is a statistic without privacy
            voice = training_voice(self.prepared.part(stage, "train"))
            facts |= {} if voice is None else {"voice": voice}
        bundle = Bundle(model.eval(), config, {m: self.prepared.inputs[m] for m in modalities}, facts, seen=seen)
        val, processes = self.prepared.val(stage), self._processes
        if settings.objective == "labels" and val is not None:
            bundle.calibration = calibrate_bundle(
                bundle, val, compute=self.compute, weighted_heads=self.weighted_heads[stage], processes=processes
            )
        model.cpu()
        return bundle

    def _privacy(self, stage: str, modalities: tuple[Modality, ...], result: FitResult) -> PrivacyFacts:
        """The guarantee of a stage's model: the steps of this stage and of the branches that it began with."""
        plan = self.private[stage]
        ledger = self._ledger(stage, modalities, result.epochs * plan.steps)
        part, encoders = self.prepared.part(stage, "train"), {m: self.prepared.encoders[m] for m in modalities}
        return privacy_facts(self.config, plan, ledger, part, encoders)

    def _ledger(self, stage: str, modalities: Iterable[Modality], steps: int) -> list[PrivateSteps]:
        """The private steps of the branches that a stage began with, and its own."""
        before = [b for m, b in self.prepared.branches.items() if m in modalities and "privacy" in b.facts]
        ledger = [PrivateSteps.from_json(dict(s)) for b in before for s in b.facts["privacy"]["stages"]]
        return [*ledger, self.private[stage].mechanism.taken(stage, steps)]

    def _spent(self, stage: str, epoch: Epoch) -> float | None:
        """The privacy loss of a stage's model up to an epoch; ``None`` without ``privacy``."""
        if stage not in self.private or self.config.privacy is None:
            return None
        shown = self.config.modalities if stage == "fuse" else ()
        return round(spent(self._ledger(stage, shown, epoch.step), self.config.privacy.delta), 4)


def _logged_epochs(path: Path) -> set[tuple[str, int]]:
    """(stage, epoch) of every line of a log."""
    if not path.is_file():
        return set()
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.endswith("}")]
    return {(r["stage"], r["epoch"]) for r in records}
