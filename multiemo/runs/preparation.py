"""Prepares a run for training: records its splits, builds encoders and inputs, preprocesses the parts."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from pydantic_core import to_jsonable_python
from torch.nn.modules.batchnorm import _BatchNorm

from multiemo.config import Config
from multiemo.config.sections import PartConfig
from multiemo.data.features.columns import given_names
from multiemo.data.splits.seen import Seen, check_unseen
from multiemo.encoders.base import Encoder
from multiemo.encoders.common.channel_norm import ChannelNorm
from multiemo.errors import CheckpointError, ConfigError
from multiemo.files import write_atomically
from multiemo.inputs import Input, build_input
from multiemo.inputs.base import of_type
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.registry import encoders
from multiemo.runs import batches
from multiemo.runs.folder.recorded_paths import record_paths
from multiemo.runs.missing_labels import few_clips_note, untrained_note
from multiemo.runs.model_folder import Bundle, load_bundle, load_encoder
from multiemo.runs.parts import build_encoder, uses_features
from multiemo.runs.priors import dimension_means
from multiemo.runs.private import StagePlan, check_unprotected, plan_private
from multiemo.runs.sources import Source, learns_labels, source_columns
from multiemo.runs.stage import stage_seed, trainable_rows
from multiemo.training.parallel import ProcessBarrier
from multiemo.types import FeatureSpec, Modality

#: Most clips to which the reliability of a modality is fitted, evenly spaced over the part.
_MOST_CLIPS = 2000


class Preparation:
    """Sources, encoders and preprocessed parts of a run, shared by its stages.

    Args:
        config: resolved config of the run.
        folder: run folder.
        sources: {stage: its source}.
        accelerator: device, precision and processes.
        barrier: synchronises the processes.
        progress: receives stages, steps and notes.

    Attributes:
        parts: parts preprocessed so far.
        inputs: {modality: input}.
        encoders: {modality: encoder}.
        branches: {modality: trained branch}: taken over from another run, or finished in this one.
        seen_before: clips, speakers and groups seen by the checkpoints that encoders are initialised from.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        sources: dict[str, Source],
        accelerator: Accelerator,
        barrier: ProcessBarrier,
        progress: Progress,
    ) -> None:
        self.config, self.folder, self.sources = config, folder, sources
        self.accelerator, self.barrier, self.progress = accelerator, barrier, progress
        self.seen_before = Seen()
        self.parts: dict[tuple[int, str], batches.Part] = {}
        self.inputs: dict[Modality, Input] = {}
        self.encoders: dict[Modality, Encoder] = {}
        self.branches: dict[Modality, Bundle] = {}

    def learns_labels(self, stage: str) -> bool:
        """Whether a stage learns from labels, not only from its input."""
        return learns_labels(self.config, stage)

    def write_splits(self) -> None:
        """Write ``splits.json`` and ``places.json`` to the run folder, and log notes about the splits.

        Raises:
            CheckpointError: the manifest now gives other splits than those the run was started with.
        """
        splits = {stage: source.split.stored() for stage, source in self.sources.items()}
        known = self.folder / "splits.json"
        text = json.dumps(splits, indent=2) + "\n"
        if known.is_file() and known.read_text("utf-8") != text:
            raise CheckpointError(
                f"{known}: the manifest no longer gives the split this run was started with; restore the manifest, or "
                "choose another --out"
            )
        if self.accelerator.is_main_process:
            write_atomically(known, text)
            manifests = {stage: source.manifest for stage, source in self.sources.items()}
            record_paths(self.folder, manifests, self.config.data.cache)
        if self.config.parallel == "fsdp" and self.accelerator.num_processes == 1:
            self.progress.note("parallel: fsdp has no effect with one process (see accelerate launch)")
        for note in dict.fromkeys(n for s in self.sources.values() for n in (*s.split.notes, *_empty_part_notes(s))):
            self.progress.note(note)

    def check_dimensions(self) -> None:
        """Check that training clips have dimensions if the config learns them.

        Raises:
            ConfigError: ``dimensions`` is true, but no clip of train has valence, arousal or dominance.
        """
        if self.config.dimensions:
            clips = [c for stage in self.config.stages for c in self.sources[stage].part("train")]
            if bool(dimension_means(clips).isnan().all()):
                raise ConfigError(
                    "dimensions: true, but no clip of train has valence, arousal or dominance; remove the key, or add "
                    "these values to the manifest (-1..1)"
                )

    def build_parts(self) -> None:
        """Build the encoder and input of each modality.

        They come from a branch that the config names or that this run has finished, are initialised from another run
        (``init``), or are new.

        Raises:
            CheckpointError: a named branch does not fit the config or the features, or has seen clips of test.
            ConfigError: an encoder cannot be built, or has options that a named branch was not trained with.
        """
        config = self.config
        for m in config.modalities:
            finished = self.folder / "branches" / m
            named = config.taken_over.get(m)
            if named is not None or (finished / "config.json").is_file():
                branch = load_bundle(named or finished, labels=named is not None or self.learns_labels(m))
                if m not in branch.inputs or branch.config.encoders[m].name != config.encoders[m].name:
                    raise CheckpointError(
                        f"branches.{m}: {named!r} has no {m} encoder {config.encoders[m].name!r}; "
                        "name a run that has one"
                    )
                self._check_seen(branch, f"branches.{m} ({named or finished})")
                encoder = branch.model.encoders[m]
                assert isinstance(encoder, Encoder)
                if named is not None:
                    self._check_unprotected(branch, f"branches.{m} ({named})")
                    self._check_options(m, encoder, f"branches.{m} ({named})")
                    self._check_norms(branch, f"branches.{m} ({named})")
                self.branches[m] = branch
                self.encoders[m], self.inputs[m] = encoder, branch.inputs[m]
                self._check_columns(m, f"branches.{m} ({named or finished})")
                continue
            torch.manual_seed(stage_seed(config, m))
            if m in config.init:
                initial = load_bundle(config.init[m], labels=False)
                self._check_seen(initial, f"init.{m} ({config.init[m]})")
                self._check_unprotected(initial, f"init.{m} ({config.init[m]})")
                self.encoders[m], self.inputs[m] = load_encoder(config, m, initial, config.init[m])
                self._check_columns(m, f"init.{m} ({config.init[m]})")
                self.seen_before |= initial.seen
                continue
            if uses_features(config, m):
                columns = self._feature_columns(m)
                self.encoders[m] = build_encoder(config, m, feature_dim=len(columns), columns=given_names(columns))
            else:
                self.encoders[m] = build_encoder(config, m)
            texts = partial(_texts, self.sources[m])
            self.inputs[m] = build_input(m, self.encoders[m].input_spec, texts=texts)

    def encoder_config(self, m: Modality) -> PartConfig:
        """The options that the encoder of a modality was built with: those of a branch, or of this run's config."""
        return (self.branches[m].config if m in self.branches else self.config).encoders[m]

    def _check_options(self, m: Modality, encoder: Encoder, what: str) -> None:
        """Reject options of the config that differ from those of a branch, which is used as it is."""
        part, where = self.config.encoders[m], f"encoders.{m}"
        if (task := encoder.options.get("task", self.config.task)) != self.config.task:
            raise ConfigError(
                f"{what}: answers for task {task!r}, but the task here is {self.config.task!r}; remove branches.{m}, "
                "so that the branch is made for this task"
            )
        set_by_code = encoder.options.keys() - part.options.keys()
        for key, value in encoders.check(part.name, part.options, where=where, given=set_by_code).items():
            if key in encoder.options and value != encoder.options[key]:
                own = to_jsonable_python(encoder.options[key])
                raise ConfigError(
                    f"{where}.{key}: is {part.options[key]!r}, but {what} was trained with {own!r} and is used as it "
                    f"is; remove the key, or set it to {own!r}"
                )

    def _check_norms(self, branch: Bundle, what: str) -> None:
        """Reject a private branch in which batch normalisation was replaced: without privacy it would be rebuilt."""
        if self.config.privacy is None and any(isinstance(part, ChannelNorm) for part in branch.model.modules()):
            raise ConfigError(
                f"{what}: was trained with privacy, and so without batch normalisation, which its encoder has in a run "
                "without privacy; set privacy here too, or train the branch without it"
            )

    def _feature_columns(self, m: Modality) -> tuple[str, ...]:
        return source_columns(self.sources[m], m, skip_bad=self.config.data.skip_bad)

    def _check_columns(self, m: Modality, what: str) -> None:
        """Reject a features encoder whose columns differ from those of most clips in their number or names."""
        if uses_features(self.config, m):
            columns, spec = self._feature_columns(m), of_type(self.encoders[m].input_spec, FeatureSpec)
            advice = "extract them as for that model, or train without it"
            if len(columns) != spec.dim:
                raise CheckpointError(
                    f"{what}: takes features of {spec.dim} columns, but those of most clips of "
                    f"{self.sources[m].manifest} have {len(columns)}; {advice}"
                )
            odd = [name for name in given_names(columns) if name not in spec.columns] if spec.columns else []
            if odd:
                raise CheckpointError(
                    f"{what}: takes features with other columns than most clips of {self.sources[m].manifest}: "
                    f"it does not know {', '.join(odd[:5])}; {advice}"
                )

    def _check_seen(self, bundle: Bundle, what: str) -> None:
        """Reject a checkpoint that has seen clips or speakers of test; a composite counts as its sources."""
        for source in {id(source): source for source in self.sources.values()}.values():
            for note in check_unseen(bundle.seen, source.clips, source.split, what):
                self.progress.note(note)

    def _check_unprotected(self, bundle: Bundle, what: str) -> None:
        """Reject a checkpoint that a private run must not start from; see :func:`check_unprotected`."""
        if self.config.privacy is None:
            return
        for source in {id(source): source for source in self.sources.values()}.values():
            check_unprotected(self.config, bundle.seen, source.part("train"), what)
        if bundle.config.privacy is None and any(isinstance(norm, _BatchNorm) for norm in bundle.model.modules()):
            raise ConfigError(
                f"{what}: has batch normalisation, which a private model has not; train it with privacy, or choose an "
                "encoder without it"
            )

    def plan_private(self) -> dict[str, StagePlan]:
        """{stage: its private training}, see :func:`plan_private`; prepares all training parts."""
        config = self.config
        stages: dict[str, tuple[batches.Part, list[int]]] = {}
        for stage in config.stages if config.privacy is not None else ():
            shown = config.modalities if stage == "fuse" else (stage,)
            learns = any(p.requires_grad for m in shown for p in self.encoders[m].parameters())
            if stage in config.taken_over or not (learns or stage == "fuse"):
                continue
            part = self.part(stage, "train")
            stages[stage] = part, trainable_rows(part, shown, config.training_of(stage), "train")  # type: ignore[arg-type]
        return plan_private(config, stages, self.accelerator.num_processes)

    def part(self, stage: str, name: str) -> batches.Part:
        """A preprocessed part; stages with the same source share it.

        Args:
            stage: stage that reads the part.
            name: ``train`` or ``val``.
        """
        source = self.sources[stage]
        key = (id(source), name)  # two sources of one manifest may differ in labels or split
        if key not in self.parts:
            self.progress.stage(f"prepare {name}" + (f" ({stage})" if self.config.data.sources else ""))
            part = self._prepare(stage, name)
            for note in part.notes():
                self.progress.note(f"{name}: {note}")
            if name == "train" and self.learns_labels(stage):
                space = part.dataset.space
                notes = untrained_note(space.labels, part.prepared.frequencies, task=space.task)
                if space.task != "dimensions":
                    notes += few_clips_note(space.labels, part.prepared)
                for note in notes:
                    self.progress.note(note)
            for m, reasons in part.prepared.absent.items():
                count = sum(reasons.values())
                main_reason = max(reasons, key=reasons.__getitem__)
                self.progress.note(
                    f"{name}: {m} is absent in {count} of {len(part.dataset)} clips, mostly: {main_reason}"
                )
            for note in batches.cut_notes(part):
                self.progress.note(f"{name}: {note}")
            self.parts[key] = part
        return self.parts[key]

    def val(self, stage: str) -> batches.Part | None:
        """The validation part of a stage; ``None`` if its split has none."""
        return self.part(stage, "val") if self.sources[stage].split.parts["val"] else None

    def _prepare(self, stage: str, name: str) -> batches.Part:
        source, wanted = self.sources[stage], self.config.modalities
        if self.config.data.sources and stage != "fuse":
            wanted = (stage,)  # type: ignore[assignment]
        return batches.prepare_part(
            self.config,
            source.folder,
            source.part(name),
            {m: self.inputs[m] for m in wanted},
            label_from=source.label_from,
            dialogue=source.clips,
            barrier=self.barrier,
            progress=self.progress,
        )

    def fit_statistics(self, m: Modality, part: batches.Part, rows: list[int]) -> None:
        """Fit the input statistics of a new encoder; one initialised from another run keeps its own.

        Args:
            m: modality of the encoder.
            part: preprocessed training part.
            rows: indices into the part.
        """
        if m not in self.config.init:
            self.encoders[m].fit_statistics(part.dataset[i].inputs[m] for i in rows)

    def fit_reliability(self, model: EmotionModel, part: batches.Part) -> None:
        """Fit the reliabilities that a model has, each to at most 2000 training clips.

        Args:
            model: fused model.
            part: preprocessed training part of the stage ``fuse``.
        """
        for m in model.modalities:
            if m in model.reliability:
                having = part.rows_with((m,), labelled=False)
                samples = [part.dataset[i] for i in having[:: math.ceil(len(having) / _MOST_CLIPS) or 1]]
                speakers = [sample.speaker for sample in samples]
                model.reliability[m].fit([sample.inputs[m] for sample in samples], speakers)  # type: ignore[operator]


def _empty_part_notes(source: Source) -> list[str]:
    """Notes on the consequences of an empty validation or test part."""
    parts = source.split.parts
    if not parts["val"]:
        return ["every row is trained on: no best epoch is selected, nothing is calibrated, and nothing is evaluated"]
    return [] if parts["test"] else ["there is no test part: evaluate the model on people it has not seen"]


def _texts(source: Source) -> list[str]:
    return [c.text for c in source.part("train") if c.text]
