"""Manifests, splits, datasets and loaders, as the config asks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.build import checks
from multiemo.build.folders import require_manifest
from multiemo.config import Config, SourceConfig, SplitConfig
from multiemo.data import splits
from multiemo.data.cache import TensorCache
from multiemo.data.cache_settings import default_cache
from multiemo.data.collate import BucketSampler, Collate
from multiemo.data.composite import compose_manifests
from multiemo.data.dataset import ClipDataset, LabelSpace, PreparedPart, Preprocessor
from multiemo.data.dialogue import context_width, without_context
from multiemo.data.feature_columns import agreed_columns
from multiemo.data.manifest import read_manifest
from multiemo.data.seen import Seen, check_unseen
from multiemo.data.split import Split, check_disjoint, without
from multiemo.errors import ConfigError, ManifestError, SplitError
from multiemo.progress import Progress
from multiemo.training.parallel import Meeting
from multiemo.types import DIMENSIONS, Batch, Clip, InputSpec, Modality, Sample, SpeechSpec, WaveformSpec

PARTS = ("train", "val", "test")


@dataclass(slots=True)
class Source:
    """One manifest, split.

    Args:
        manifest: its path.
        clips: all rows, in order.
        split: which clip is in which part.
        label_from: ``clip`` or the modality whose own label counts.
    """

    manifest: Path
    clips: list[Clip]
    split: Split
    label_from: str = "clip"

    @property
    def folder(self) -> Path:
        """What the rows' paths are relative to."""
        return self.manifest.parent

    def part(self, name: str) -> list[Clip]:
        """Rows of one part, in manifest order."""
        wanted = set(self.split.parts[name])
        return [c for c in self.clips if c.id in wanted]

    def learnt(self) -> Seen:
        """Whom a model is trained or selected on that learns from here."""
        return Seen.of(self.part("train")) | Seen.of(self.part("val"))


@dataclass(slots=True)
class Part:
    """One part of a source, preprocessed.

    Args:
        dataset: its clips.
        prepared: what preprocessing them found.
        workers: processes that read a part which does not fit in memory.
    """

    dataset: ClipDataset
    prepared: PreparedPart
    workers: int = 1

    def notes(self) -> list[str]:
        """What a reader must know of the clips: what cannot be read, what labels lose, which turns are not there."""
        dataset = self.dataset
        turns = without_context(dataset.clips, context_width(dataset.preprocessors))
        said = self.prepared.left_out() + dataset.space.notes(dataset.clips)
        return said if turns is None else [*said, turns]

    def rows_with(self, modalities: Sequence[Modality], *, labelled: bool = True, least: int = 1) -> list[int]:
        """Rows that have at least ``least`` of the modalities, and a label unless that does not matter."""
        lengths = self.prepared.lengths
        return [
            i
            for i, known in enumerate(self.prepared.labelled)
            if (known or not labelled) and sum(lengths[m][i] > 0 for m in modalities) >= least
        ]

    def loader(
        self,
        modalities: Sequence[Modality],
        rows: Sequence[int],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        balance: float = 0.0,
        budget: Mapping[Modality, float] | None = None,
        samples: Dataset[Sample] | None = None,
        processes: tuple[int, int] = (0, 1),
    ) -> DataLoader[Any]:
        """Batches of those rows with those modalities.

        Args:
            modalities: of the batches.
            rows: of the part.
            batch_size: most clips a batch, of all processes together.
            seed, shuffle: of the order.
            balance: draw clips with the frequency of their label to the power of minus this.
            budget: {modality: most of it in a batch of one process}, see ``training.budget``.
            samples: read instead of the part's own, row by row.
            processes: which one this is, of how many.
        """
        lengths = self.prepared.lengths
        rank, count = processes
        sampler = BucketSampler(
            [max(lengths[m][i] for m in modalities) for i in rows],
            batch_size,
            seed=seed,
            shuffle=shuffle,
            weights=self.draw_weights(rows, balance) if balance > 0 else None,
            costs=self.costs(modalities, rows, budget or {}, count),
            steps={m: [lengths[m][i] for i in rows] for m in modalities},
            rank=rank,
            processes=count,
        )
        workers = self.workers if self.dataset.samples is None else 0
        stand_ins = self._stand_ins(modalities, rows) if shuffle and count > 1 else None
        return _Loader(
            Subset(self.dataset if samples is None else samples, rows),
            batch_sampler=sampler,
            collate_fn=Collate(modalities, len(self.dataset.space.labels), stand_ins=stand_ins),
            pin_memory=torch.cuda.is_available(),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            persistent_workers=workers > 0,
        )

    def census(self, modalities: Sequence[Modality], rows: Sequence[int]) -> Batch:
        """Those rows as one batch that knows targets and presence, while its inputs are empty and not read."""
        lengths, nothing = self.prepared.lengths, torch.zeros(0)
        samples = [
            replace(self.dataset.read(i, ()), embeddings={m: nothing for m in modalities if lengths[m][i] > 0})
            for i in rows
        ]
        return Collate(modalities, len(self.dataset.space.labels))(samples)

    def _stand_ins(self, modalities: Sequence[Modality], rows: Sequence[int]) -> dict[Modality, torch.Tensor]:
        """{modality: the input of the shortest clip that has it}, for shares of a batch in which no clip does."""
        lengths = self.prepared.lengths
        found = {}
        for m in modalities:
            having = [i for i in rows if lengths[m][i] > 0]
            if having:
                shortest = min(having, key=lengths[m].__getitem__)
                found[m] = self.dataset[shortest].inputs[m]
        return found

    def costs(
        self, modalities: Sequence[Modality], rows: Sequence[int], budget: Mapping[Modality, float], processes: int = 1
    ) -> list[tuple[list[int], float]]:
        """A budget as :class:`BucketSampler` takes it: the steps of each row, and the most that a batch may have."""
        lengths, preprocessors = self.prepared.lengths, self.dataset.preprocessors
        return [
            ([lengths[m][i] for i in rows], limit * processes * steps_per_unit(preprocessors[m].spec))
            for m, limit in budget.items()
            if m in modalities
        ]

    def draw_weights(self, rows: Sequence[int], power: float) -> list[float]:
        """How often each row is drawn, by how rare its rarest label is: its frequency to the power of minus this."""
        frequencies = self.prepared.frequencies
        rarity = torch.where(frequencies > 0, frequencies, 1.0).pow(-power)
        targets = (self.dataset.space.target(self.dataset.clips[i]) for i in rows)
        return [1.0 if t is None else float((rarity * (t > 0)).max()) for t in targets]


class _Loader(DataLoader[Any]):
    """Takes one number from the random stream each epoch, also where its workers stay from epoch to epoch.

    A loader draws a seed whenever it makes its workers, so a resumed run, which makes them anew, would go on with other
    numbers than one that was never stopped, and a part on disk with others than one in memory.
    """

    def __iter__(self) -> Any:
        if self._iterator is not None:
            torch.empty((), dtype=torch.int64).random_()
        return super().__iter__()


def steps_per_unit(spec: InputSpec) -> float:
    """Time steps in one unit of a budget: a token, a second of speech, a frame, a row of features."""
    if isinstance(spec, SpeechSpec):
        return 1 / spec.hop
    if isinstance(spec, WaveformSpec):
        return spec.rows_per_second
    return 1.0


def open_source(source: SourceConfig, *, where: str = "data", labelled: bool = True, task: str = "single") -> Source:
    """Read a manifest and split it.

    Args:
        source: manifest and split.
        where: config path, for messages.
        labelled: leave out rows without a label; learning without labels takes them too.
        task: of the config; with ``dimensions`` these are what a row must have.

    Raises:
        ManifestError: a row breaks a rule.
        SplitError: a group would stand in two parts.
    """
    manifest = require_manifest(source.manifest, where)
    clips = read_manifest(manifest)
    usable = [c for c in clips if has_label(c, source.label_from, task)] if labelled else clips
    if not usable:
        raise _nothing_to_learn(manifest, clips, source.label_from, task)
    split = make_split(usable, source.split)
    check_disjoint(split, usable, empty=[part for part in ("val", "test") if getattr(source.split, part) == 0])
    if source.split.hash not in (None, split.hash):
        raise SplitError(
            f"{where}.split.hash: the config wants the split {source.split.hash}, {manifest} now gives {split.hash} "
            f"({split.name}); the manifest or the split settings have changed, so the figures would be of other clips"
        )
    return Source(manifest, clips, split, source.label_from)


def make_split(clips: Sequence[Clip], how: SplitConfig) -> Split:
    """The split that the config asks for."""
    group_by, val, seed = how.group_by, how.val, how.seed
    if how.kind == "holdout":
        made = splits.holdout(clips, group_by=group_by, val=val, test=how.test, seed=seed)
    elif how.kind == "kfold":
        made = splits.kfold(clips, how.folds, how.fold, group_by=group_by, val=val, seed=seed)
    elif how.kind == "official":
        made = splits.official(clips, group_by=group_by, val=val, val_as_test=how.val_as_test, seed=seed)
    elif how.kind == "corpora":
        made = splits.by_corpora(clips, test=how.test_corpora, group_by=group_by, val=val, seed=seed)
    else:
        made = splits.by_speakers(clips, train=how.train_speakers, val=how.val_speakers, test=how.test_speakers)
    return without(made, how.exclude) if how.exclude else made


def has_label(clip: Clip, label_from: str, task: str = "single") -> bool:
    """Whether a row has a label of the wished kind; for the task ``dimensions``, any of these."""
    if task == "dimensions":
        return any(getattr(clip, name) is not None for name in DIMENSIONS)
    if label_from != "clip":
        return label_from in clip.modality_labels
    return clip.label is not None or bool(clip.labels) or bool(clip.votes)


def _nothing_to_learn(manifest: Path, clips: Sequence[Clip], label_from: str, task: str) -> ManifestError:
    """Why no row of a manifest can be learnt from, and what would do."""
    if task == "dimensions":
        return checks.nothing_known(manifest, task, ", which task: dimensions learns")
    known = [name for name in DIMENSIONS if any(getattr(c, name) is not None for c in clips)]
    hint = f"; rows have {', '.join(known)}: task: dimensions without label_set learns these" if known else ""
    return checks.nothing_known(manifest, task, f" to learn from (label_from={label_from})", hint=hint)


def open_manifest(config: Config) -> Source:
    """The source of a config with one manifest; raises as :func:`open_source`."""
    data = config.data
    one = SourceConfig(manifest=str(data.manifest), split=data.split, label_from=data.label_from)
    labelled = all(learns_labels(config, stage) for stage in config.stages)
    return open_source(one, labelled=labelled, task=config.task)


def learns_labels(config: Config, stage: str) -> bool:
    """Whether a stage learns from labels; one that is left out (a branch is named instead) does not ask for others."""
    return stage not in config.stages or config.training_of(stage).objective == "labels"


def open_sources(config: Config, run: Path) -> dict[str, Source]:
    """{stage: source}; of one manifest ``fuse`` has it too, also when only one branch is trained.

    Raises:
        SplitError: somebody who is in test of one source is in train or val of another.
    """
    data = config.data
    if data.manifest is not None:
        one = open_manifest(config)
        _check(config, dict.fromkeys(config.stages, one))
        return dict.fromkeys((*config.modalities, "fuse"), one)
    sources: dict[str, Source] = {
        m: open_source(s, where=f"data.sources.{m}", labelled=learns_labels(config, m))
        for m, s in data.sources.items()
        if m in config.modalities
    }
    _check(config, sources)
    for m, source in sources.items():
        for other in sources.values():
            if other is not source:
                check_unseen(source.learnt(), other.clips, other.split, f"the {m} branch (data.sources.{m})")
    if not config.fused:
        return sources
    for m, source in sources.items():
        if not all(source.split.parts.values()):
            raise ConfigError(
                f"data.sources.{m}.split: the stage 'fuse' draws composite clips for train, val and test, so test and "
                "val must be above 0"
            )
    manifest = compose_manifests(
        {m: (s.manifest, s.split) for m, s in sources.items()},  # type: ignore[misc]
        run / "composite.jsonl",
        label_set=config.label_set,
        per_label={part: data.per_label[part] for part in data.per_label},
        seed=config.seed,
    )
    clips = read_manifest(manifest)
    composite = splits.official(clips)
    return {**sources, "fuse": Source(manifest, clips, composite)}


def _check(config: Config, sources: Mapping[str, Source]) -> None:
    """See that the rows can serve the stages, each with its source; raises as the checks do."""
    for stage in config.stages:
        source = sources.get(stage)
        if source is None or stage in config.taken_over:
            continue
        if learns_labels(config, stage):
            space = LabelSpace(config.label_set, config.task, source.label_from)
            checks.check_labels(f"{source.manifest}, train", source.part("train"), space)
        own = [m for m in config.modalities if m not in (*config.stages, *config.taken_over)]
        trained: Sequence[Modality] = own if stage == "fuse" else (stage,)  # type: ignore[assignment]
        checks.check_modalities(config, source.part("train"), trained, str(source.manifest))
    source = sources.get("text") or sources.get("fuse")
    if source is not None:
        checks.check_context(config, source.clips, str(source.manifest))


def feature_dim(source: Source, modality: Modality, *, skip_bad: bool) -> int:
    """How many columns the precomputed features of a modality have; raises as :func:`agreed_columns`."""
    try:
        return len(agreed_columns(source.clips, source.folder, modality, skip_bad=skip_bad))
    except ManifestError as error:
        raise ManifestError(f"{source.manifest}: {error}") from None


def prepare_part(
    config: Config,
    folder: Path,
    clips: Sequence[Clip],
    preprocessors: Mapping[Modality, Preprocessor],
    *,
    label_from: str = "clip",
    dialogue: Sequence[Clip] = (),
    meeting: Meeting | None = None,
    progress: Progress | None = None,
) -> Part:
    """Preprocess clips, through the cache.

    Of several processes each decodes its share into the cache; all then find everything there.

    Args:
        folder: of their manifest.
        clips: rows of the part.
        preprocessors: {modality: preprocessor}.
        label_from: see :class:`Source`.
        dialogue: all rows of the manifest, for text encoders that read earlier utterances.
        meeting: of several processes, which all call this.
        progress: told the clips done, and what a user should know of the cache.
    """
    cache = TensorCache(Path(config.data.cache) if config.data.cache else default_cache())
    space = LabelSpace(config.label_set, config.task, label_from)
    dataset = ClipDataset(clips, folder, preprocessors, space, cache=cache, dialogue=dialogue)
    decodes = any(p.spec.kind in ("speech", "waveform", "face") for p in preprocessors.values())
    workers = worker_count(config.data.workers)
    if meeting is not None and meeting.processes > 1 and decodes:
        share = range(meeting.rank, len(dataset), meeting.processes)
        dataset.fill_cache(share, workers=workers, progress=progress)
        meeting.wait()
    prepared = dataset.prepare(workers=workers if decodes else 0, skip_bad=config.data.skip_bad, progress=progress)
    if meeting is not None:
        meeting.wait()
    if cache.note is not None and progress is not None:
        progress.note(f"cache: {cache.note}")
    return Part(dataset, prepared, workers)


def cut_voices(part: Part) -> list[str]:
    """What to say where clips are longer than what is read of a voice."""
    said = []
    for m, preprocessor in part.dataset.preprocessors.items():
        spec = preprocessor.spec
        if spec.kind not in ("speech", "waveform"):
            continue
        lengths = part.prepared.lengths[m]
        count = sum(length >= spec.most_rows for length in lengths)
        if count:
            said.append(
                f"{m}: only the first {spec.max_seconds:g} s are read of {count} of {len(lengths)} clips; "
                f"encoders.{m}.max_seconds sets how many"
            )
    return said


def worker_count(wanted: int) -> int:
    """Workers of this process, of those that its machine shall have in all.

    Args:
        wanted: ``data.workers``; 0 = one a core.
    """
    # Set by torchrun and accelerate launch: how many processes train on this machine.
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, (wanted or os.cpu_count() or 1) // sharing)
