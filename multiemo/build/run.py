"""Config -> a run folder: pretrain the branches, fine-tune the fused model, measure on validation."""

from __future__ import annotations

import json
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from multiemo.build import data as wiring
from multiemo.build.bundle import Bundle, load_bundle, load_encoder, save_bundle
from multiemo.build.device import accelerator_of, trained_by
from multiemo.build.evaluation import calibrate_bundle, evaluate_bundle
from multiemo.build.fit import Stage, fit_stage, rows_of, stage_seed
from multiemo.build.folders import file_digest
from multiemo.build.lacking import untrained_note
from multiemo.build.lock import alone_in
from multiemo.build.observer import Observer
from multiemo.build.parts import assemble, build_encoder, uses_features
from multiemo.build.places import write_places
from multiemo.build.priors import dimension_means, weighing
from multiemo.build.run_folder import open_run_folder
from multiemo.build.sources import Source, feature_dim, learns_labels, open_sources
from multiemo.build.trackers import Trackers
from multiemo.config import Config
from multiemo.data.seen import Seen, check_unseen
from multiemo.encoders.base import Encoder
from multiemo.errors import CheckpointError, ConfigError
from multiemo.evaluation import Report, corpus_kind
from multiemo.files import write_atomically
from multiemo.inputs import Input, build_input
from multiemo.inputs.base import of_type
from multiemo.model import EmotionModel
from multiemo.training.parallel import Meeting
from multiemo.training.profiling import profiled
from multiemo.training.trainer import FitResult, append_jsonl
from multiemo.types import FeatureSpec, Modality


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
    out: str | Path,
    *,
    resume: bool = False,
    profile: bool = False,
    observer: Observer | None = None,
) -> Run:
    """Do all stages of a config and write a run folder.

    The test part is not read; ``evaluate_run`` does that. Under ``accelerate launch`` or ``torchrun`` every process
    calls this, and the first one writes.

    Args:
        config: see :mod:`multiemo.config`.
        out: run folder.
        resume: go on with the run that is in ``out``.
        profile: write a trace of some steps of each stage to ``out/profile``.
        observer: is told of progress.

    Raises:
        MultiemoError: anything wrong with config, manifest, split, media or checkpoints.
        KeyboardInterrupt: Ctrl-C came; what was done can be resumed.
    """
    with ExitStack() as held:
        return _Session(config, Path(out), resume, profile, observer or Observer(), held).run()


class _Session:
    """The state that the stages of one run share."""

    def __init__(
        self, config: Config, folder: Path, resume: bool, profile: bool, observer: Observer, held: ExitStack
    ) -> None:
        self.config = config
        self.folder = folder
        self.accelerator = accelerator_of(config)
        self.compute = trained_by(self.accelerator)
        self.main = self.accelerator.is_main_process
        self.observer = observer if self.main else Observer()
        self.profile = profile
        self.meeting = Meeting(self.accelerator)
        with self.meeting.main_first():
            if self.main:
                self._open_folder(resume, held)
            self.sources = open_sources(config, folder)
        self.trackers = Trackers(config, folder, self.observer.note)
        self.logged = _logged(folder / "metrics.jsonl")
        self.seen_before = Seen()
        self.parts: dict[tuple[int, str], wiring.Part] = {}
        self.inputs: dict[Modality, Input] = {}
        self.encoders: dict[Modality, Encoder] = {}
        self.branches: dict[Modality, Bundle] = {}
        self.results: dict[str, FitResult] = {}
        self.weighed: dict[str, set[str]] = {}

    def run(self) -> Run:
        config = self.config
        self._write_splits()
        self._check_dimensions()
        self._build_parts()
        for stage in config.stages:
            if stage != "fuse" and stage not in self.branches:
                self._pretrain(stage)
        bundle = self._fuse() if config.fused else self._alone(config.modalities[0])
        validation = None if bundle is None else self._finish(bundle)
        self.trackers.close()
        self.accelerator.wait_for_everyone()
        return Run(self.folder, bundle, validation, self.results)

    def _alone(self, m: Modality) -> Bundle | None:
        """The branch of the only stage, where it answers anything."""
        return self.branches[m] if self._learns_labels(m) else None

    def _finish(self, bundle: Bundle) -> Report | None:
        """Write the model and measure it on validation, if there is any."""
        bundle.folder = self.folder
        self._save(bundle, self.folder / "model")
        val, processes = self._val(bundle.facts["stage"]), self._processes
        if val is None:
            return None
        self.observer.stage("validate")
        report = evaluate_bundle(bundle, val, split="val", compute=self.compute, processes=processes)
        bundle.model.cpu()
        if self.main:
            write_atomically(self.folder / "validation.json", json.dumps(report.to_json(), indent=2) + "\n")
        return report

    # ------------------------------------------------------------------------------------------------ preparation
    @property
    def _processes(self) -> tuple[int, int]:
        return self.accelerator.process_index, self.accelerator.num_processes

    def _learns_labels(self, stage: str) -> bool:
        return learns_labels(self.config, stage)

    def _save(self, bundle: Bundle, folder: Path) -> None:
        if self.main:
            save_bundle(bundle, folder)
        self.accelerator.wait_for_everyone()

    def _open_folder(self, resume: bool, held: ExitStack) -> None:
        """Take the folder, for as long as ``held`` lasts."""
        if resume and not (self.folder / "config.yaml").is_file():
            raise CheckpointError(f"{self.folder}: there is no run to resume (no config.yaml)")
        self.folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(alone_in(self.folder, self.observer.note))
        for note in open_run_folder(self.folder, self.config, resume=resume):
            self.observer.note(note)

    def _write_splits(self) -> None:
        splits = {stage: json.loads(source.split.to_json()) for stage, source in self.sources.items()}
        known = self.folder / "splits.json"
        text = json.dumps(splits, indent=2) + "\n"
        if known.is_file() and known.read_text("utf-8") != text:
            raise CheckpointError(f"{known}: the manifest no longer gives the split this run was started with")
        if self.main:
            write_atomically(known, text)
            manifests = {stage: source.manifest for stage, source in self.sources.items()}
            write_places(self.folder, manifests, self.config.data.cache)
        if self.config.parallel == "fsdp" and self.accelerator.num_processes == 1:
            self.observer.note("parallel: fsdp shares nothing out, for there is one process (see accelerate launch)")
        for note in dict.fromkeys(n for s in self.sources.values() for n in (*s.split.notes, *_without(s))):
            self.observer.note(note)

    def _check_dimensions(self) -> None:
        """Raises: ConfigError: dimensions are to be learnt, and no clip knows one."""
        if self.config.dimensions:
            clips = [c for stage in self.config.stages for c in self.sources[stage].part("train")]
            if bool(dimension_means(clips).isnan().all()):
                raise ConfigError(
                    "dimensions: true, but no clip of train has valence, arousal or dominance; leave the key out, or "
                    "give the manifest such values (-1..1)"
                )

    def _build_parts(self) -> None:
        """Encoders and their inputs: from a named branch or an earlier attempt of this run, begun from one, or new."""
        config = self.config
        for m in config.modalities:
            finished = self.folder / "branches" / m
            named = config.taken_over.get(m)
            if named is not None or (finished / "config.json").is_file():
                branch = load_bundle(named or finished, labels=named is not None or self._learns_labels(m))
                if m not in branch.inputs or branch.config.encoders[m].name != config.encoders[m].name:
                    raise CheckpointError(f"branches.{m}: {named!r} holds no {m} encoder {config.encoders[m].name!r}")
                self._check_seen(branch, f"branches.{m} ({named or finished})")
                self.branches[m] = branch
                encoder = branch.model.encoders[m]
                assert isinstance(encoder, Encoder)
                self.encoders[m], self.inputs[m] = encoder, branch.inputs[m]
                self._check_columns(m, f"branches.{m} ({named or finished})")
                continue
            torch.manual_seed(stage_seed(config, m))
            if m in config.init:
                begun = load_bundle(config.init[m], labels=False)
                self._check_seen(begun, f"init.{m} ({config.init[m]})")
                self.encoders[m], self.inputs[m] = load_encoder(config, m, begun, config.init[m])
                self._check_columns(m, f"init.{m} ({config.init[m]})")
                self.seen_before |= begun.seen
                continue
            dim = self._feature_dim(m) if uses_features(config, m) else None
            self.encoders[m] = build_encoder(config, m, feature_dim=dim)
            texts = partial(_texts, self.sources[m])
            self.inputs[m] = build_input(m, self.encoders[m].input_spec, texts=texts)

    def _feature_dim(self, m: Modality) -> int:
        return feature_dim(self.sources[m], m, skip_bad=self.config.data.skip_bad)

    def _check_columns(self, m: Modality, what: str) -> None:
        """Refuse an encoder of features that takes another number of columns than most clips have."""
        if uses_features(self.config, m):
            dim, takes = self._feature_dim(m), of_type(self.encoders[m].input_spec, FeatureSpec).dim
            if dim != takes:
                raise CheckpointError(
                    f"{what}: takes features of {takes} columns, but those of most clips of "
                    f"{self.sources[m].manifest} have {dim}; extract them as for that model, or train without it"
                )

    def _check_seen(self, bundle: Bundle, what: str) -> None:
        """Refuse a checkpoint that has seen the test; of a composite, the people are those of its sources."""
        for source in {id(source): source for source in self.sources.values()}.values():
            for note in check_unseen(bundle.seen, source.clips, source.split, what):
                self.observer.note(note)

    def _part(self, stage: str, name: str) -> wiring.Part:
        """A preprocessed part; stages that read the same source share it."""
        source = self.sources[stage]
        key = (id(source), name)  # two sources of one manifest may take other labels, or split it otherwise
        if key not in self.parts:
            self.observer.stage(f"prepare {name}" + (f" ({stage})" if self.config.data.sources else ""))
            part = self._prepare(stage, name)
            for note in part.notes():
                self.observer.note(f"{name}: {note}")
            if name == "train" and self._learns_labels(stage):
                space = part.dataset.space
                for note in untrained_note(space.labels, part.prepared.frequencies, task=space.task):
                    self.observer.note(note)
            for m, reasons in part.prepared.absent.items():
                count = sum(reasons.values())
                most = max(reasons, key=reasons.__getitem__)
                self.observer.note(f"{name}: {m} is absent in {count} of {len(part.dataset)} clips, mostly: {most}")
            for note in wiring.cut_notes(part):
                self.observer.note(f"{name}: {note}")
            self.parts[key] = part
        return self.parts[key]

    def _val(self, stage: str) -> wiring.Part | None:
        """The validation part of a stage; ``None`` where every row is trained on."""
        return self._part(stage, "val") if self.sources[stage].split.parts["val"] else None

    def _prepare(self, stage: str, name: str) -> wiring.Part:
        source, wanted = self.sources[stage], self.config.modalities
        if self.config.data.sources and stage != "fuse":
            wanted = (stage,)  # type: ignore[assignment]
        return wiring.prepare_part(
            self.config,
            source.folder,
            source.part(name),
            {m: self.inputs[m] for m in wanted},
            label_from=source.label_from,
            dialogue=source.clips,
            meeting=self.meeting,
            on_progress=self.observer.progress,
            on_note=self.observer.note,
        )

    # ----------------------------------------------------------------------------------------------------- stages
    def _pretrain(self, m: Modality) -> None:
        """Train one branch alone."""
        train_part = self._part(m, "train")
        self._fit_statistics(m, train_part, rows_of(train_part, (m,), self.config.training_of(m), "train"))
        torch.manual_seed(stage_seed(self.config, m) + 1)
        config, learnt = self._learnt(m, (m,))
        model = assemble(config, {m: self.encoders[m]}, fused=False, **learnt)
        result = self._fit(m, model)
        bundle = self._bundle(model, (m,), m, result)
        self._save(bundle, self.folder / "branches" / m)
        self.branches[m] = bundle

    def _fuse(self) -> Bundle | None:
        """Train the fused model from the branches, or, without labels, their encoders together."""
        modalities = self.config.modalities
        train_part = self._part("fuse", "train")
        for m in modalities:
            if m not in self.branches:  # its pretraining stage was left out
                self._fit_statistics(m, train_part, train_part.rows_with((m,), labelled=False))
        torch.manual_seed(stage_seed(self.config, "fuse"))
        config, learnt = self._learnt("fuse", modalities)
        kept = {m: b for m, b in self.branches.items() if b.config.label_set == self.config.label_set}
        if self.config.training_of("fuse").branch_loss == 0:  # heads that are not trained again stay what they are
            learnt["branch_priors"] = {m: b.model.effective_prior for m, b in kept.items()}
            if "fuse" in self.weighed:
                self.weighed["fuse"] -= set(kept)
                self.weighed["fuse"] |= {m for m, b in kept.items() if m in b.calibration.costs}
        model = assemble(config, self.encoders, fused=True, **learnt)
        for m, branch in kept.items():
            model.branch_heads[m].load_state_dict(branch.model.branch_heads[m].state_dict())
        result = self._fit("fuse", model)
        if self._learns_labels("fuse"):
            return self._bundle(model, modalities, "fuse", result)
        for m in modalities:
            alone = assemble(config, {m: self.encoders[m]}, prior=model.prior, fused=False)
            self._save(self._bundle(alone, (m,), "fuse", result), self.folder / "branches" / m)
        return None

    def _learnt(self, stage: str, modalities: tuple[Modality, ...]) -> tuple[Config, dict[str, Any]]:
        """What a stage's model knows of train before it learns, and the config that its clips allow.

        Where no clip of a stage knows a dimension, its model has no head for them.
        """
        part, settings = self._part(stage, "train"), self.config.training_of(stage)
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
            self.observer.note(f"{stage}: no clip of train has valence, arousal or dominance: they are not learnt")
        return self.config.model_copy(update={"dimensions": False}), learnt

    def _fit_statistics(self, m: Modality, part: wiring.Part, rows: list[int]) -> None:
        if m not in self.config.init:
            self.encoders[m].fit_statistics(part.dataset[i].inputs[m] for i in rows)

    def _fit(self, name: str, model: EmotionModel) -> FitResult:
        train_part, val_part = self._part(name, "train"), self._val(name)
        parts = train_part, val_part, self.accelerator, self.meeting
        stage = Stage(name, self.config, model, *parts, self.folder, self.observer)
        trace = self.folder / "profile" / name if self.profile and self.main else None
        with profiled(trace) if trace is not None else nullcontext(lambda: None) as count:

            def on_step(done: int, total: int) -> None:
                count()
                self.observer.progress(done, total)

            result = fit_stage(stage, on_step=on_step, on_epoch=partial(self._epoch, name))
        self.results[name] = result
        return result

    def _epoch(self, stage: str, record: dict[str, Any]) -> None:
        """Log an epoch once, also when a resumed run tells of it again."""
        if self.main and (stage, record["epoch"]) not in self.logged:
            self.logged.add((stage, record["epoch"]))
            append_jsonl(self.folder / "metrics.jsonl", {"stage": stage, **record})
            self.trackers.log(stage, record)
        self.observer.epoch(stage, record)

    def _bundle(self, model: EmotionModel, modalities: tuple[Modality, ...], stage: str, result: FitResult) -> Bundle:
        seen = self.seen_before
        for source in {id(self.sources[s]): self.sources[s] for s in (*modalities, stage)}.values():
            seen |= source.learnt()
        source = self.sources[stage]
        for m in modalities:
            if m in self.branches:
                seen |= self.branches[m].seen
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
            "untrained": {m: sorted(self.encoders[m].untrained or ()) for m in modalities},
        }
        bundle = Bundle(model.eval(), config, {m: self.inputs[m] for m in modalities}, facts, seen=seen)
        val, processes = self._val(stage), self._processes
        if settings.objective == "labels" and val is not None:
            bundle.calibration = calibrate_bundle(
                bundle, val, compute=self.compute, weighed=self.weighed[stage], processes=processes
            )
        model.cpu()
        return bundle


def _without(source: Source) -> list[str]:
    """What the parts that a split does without take with them."""
    parts = source.split.parts
    if not parts["val"]:
        return ["every row is trained on: no epoch is chosen, nothing is calibrated, and nothing here is measured"]
    return [] if parts["test"] else ["there is no test part: measure the model on people it has not seen"]


def _texts(source: Source) -> list[str]:
    return [c.text for c in source.part("train") if c.text]


def _logged(path: Path) -> set[tuple[str, int]]:
    """Stages and epochs that a log holds."""
    if not path.is_file():
        return set()
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.endswith("}")]
    return {(r["stage"], r["epoch"]) for r in records}
