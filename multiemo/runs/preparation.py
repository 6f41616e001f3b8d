"""What a run needs before it trains: its splits on record, encoders and inputs, preprocessed parts."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator

from multiemo.config import Config
from multiemo.data.splits.seen import Seen, check_unseen
from multiemo.encoders.base import Encoder
from multiemo.errors import CheckpointError, ConfigError
from multiemo.files import write_atomically
from multiemo.inputs import Input, build_input
from multiemo.inputs.base import of_type
from multiemo.progress import Progress
from multiemo.runs import batches as wiring
from multiemo.runs.folder.recorded_paths import record_paths
from multiemo.runs.missing_labels import untrained_note
from multiemo.runs.model_folder import Bundle, load_bundle, load_encoder
from multiemo.runs.parts import build_encoder, uses_features
from multiemo.runs.priors import dimension_means
from multiemo.runs.sources import Source, feature_dim, learns_labels
from multiemo.runs.stage import stage_seed
from multiemo.training.parallel import Meeting
from multiemo.types import FeatureSpec, Modality


class Preparation:
    """Sources, encoders and preprocessed parts of a run, which its stages share.

    Args:
        config: of the run.
        folder: of the run.
        sources: {stage: what it reads}.
        accelerator: device, precision and processes.
        meeting: where the processes wait for each other.
        progress: told how far it is.

    Attributes:
        parts: those preprocessed so far.
        inputs, encoders: of each modality.
        branches: those that are trained: taken over, or as far as this run has come.
        seen_before: whom the checkpoints have seen that encoders begin from.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        sources: dict[str, Source],
        accelerator: Accelerator,
        meeting: Meeting,
        progress: Progress,
    ) -> None:
        self.config, self.folder, self.sources = config, folder, sources
        self.accelerator, self.meeting, self.progress = accelerator, meeting, progress
        self.seen_before = Seen()
        self.parts: dict[tuple[int, str], wiring.Part] = {}
        self.inputs: dict[Modality, Input] = {}
        self.encoders: dict[Modality, Encoder] = {}
        self.branches: dict[Modality, Bundle] = {}

    def learns_labels(self, stage: str) -> bool:
        """Whether a stage learns labels, and not from its input alone."""
        return learns_labels(self.config, stage)

    def write_splits(self) -> None:
        """Keep the splits in the run folder.

        Raises:
            CheckpointError: the manifest no longer gives the splits of the run.
        """
        splits = {stage: source.split.stored() for stage, source in self.sources.items()}
        known = self.folder / "splits.json"
        text = json.dumps(splits, indent=2) + "\n"
        if known.is_file() and known.read_text("utf-8") != text:
            raise CheckpointError(f"{known}: the manifest no longer gives the split this run was started with")
        if self.accelerator.is_main_process:
            write_atomically(known, text)
            manifests = {stage: source.manifest for stage, source in self.sources.items()}
            record_paths(self.folder, manifests, self.config.data.cache)
        if self.config.parallel == "fsdp" and self.accelerator.num_processes == 1:
            self.progress.note("parallel: fsdp shares nothing out, for there is one process (see accelerate launch)")
        for note in dict.fromkeys(n for s in self.sources.values() for n in (*s.split.notes, *_without(s))):
            self.progress.note(note)

    def check_dimensions(self) -> None:
        """Raises: ConfigError: dimensions are to be learnt, and no clip knows one."""
        if self.config.dimensions:
            clips = [c for stage in self.config.stages for c in self.sources[stage].part("train")]
            if bool(dimension_means(clips).isnan().all()):
                raise ConfigError(
                    "dimensions: true, but no clip of train has valence, arousal or dominance; leave the key out, or "
                    "give the manifest such values (-1..1)"
                )

    def build_parts(self) -> None:
        """Encoders and inputs: from a named branch or an earlier attempt of this run, begun from one, or new."""
        config = self.config
        for m in config.modalities:
            finished = self.folder / "branches" / m
            named = config.taken_over.get(m)
            if named is not None or (finished / "config.json").is_file():
                branch = load_bundle(named or finished, labels=named is not None or self.learns_labels(m))
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
                self.progress.note(note)

    def part(self, stage: str, name: str) -> wiring.Part:
        """A preprocessed part; stages that read the same source share it."""
        source = self.sources[stage]
        key = (id(source), name)  # two sources of one manifest may take other labels, or split it otherwise
        if key not in self.parts:
            self.progress.stage(f"prepare {name}" + (f" ({stage})" if self.config.data.sources else ""))
            part = self._prepare(stage, name)
            for note in part.notes():
                self.progress.note(f"{name}: {note}")
            if name == "train" and self.learns_labels(stage):
                space = part.dataset.space
                for note in untrained_note(space.labels, part.prepared.frequencies, task=space.task):
                    self.progress.note(note)
            for m, reasons in part.prepared.absent.items():
                count = sum(reasons.values())
                most = max(reasons, key=reasons.__getitem__)
                self.progress.note(f"{name}: {m} is absent in {count} of {len(part.dataset)} clips, mostly: {most}")
            for note in wiring.cut_notes(part):
                self.progress.note(f"{name}: {note}")
            self.parts[key] = part
        return self.parts[key]

    def val(self, stage: str) -> wiring.Part | None:
        """The validation part of a stage; ``None`` where every row is trained on."""
        return self.part(stage, "val") if self.sources[stage].split.parts["val"] else None

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
            progress=self.progress,
        )

    def fit_statistics(self, m: Modality, part: wiring.Part, rows: list[int]) -> None:
        """Give a new encoder the statistics of its training inputs."""
        if m not in self.config.init:
            self.encoders[m].fit_statistics(part.dataset[i].inputs[m] for i in rows)


def _without(source: Source) -> list[str]:
    """What the parts that a split does without take with them."""
    parts = source.split.parts
    if not parts["val"]:
        return ["every row is trained on: no epoch is chosen, nothing is calibrated, and nothing here is measured"]
    return [] if parts["test"] else ["there is no test part: measure the model on people it has not seen"]


def _texts(source: Source) -> list[str]:
    return [c.text for c in source.part("train") if c.text]
