"""Manifests, read and split as the config asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiemo.config import Config, SourceConfig, SplitConfig
from multiemo.data.composite import compose_manifests
from multiemo.data.features.columns import agreed_columns
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits import strategies
from multiemo.data.splits.seen import Seen, check_unseen
from multiemo.data.splits.split import Split, check_disjoint, exclude_clips
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError, ManifestError, SplitError
from multiemo.runs import checks
from multiemo.runs.folder.required_files import require_manifest
from multiemo.types import DIMENSIONS, Clip, Modality


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
        made = strategies.holdout(clips, group_by=group_by, val=val, test=how.test, seed=seed)
    elif how.kind == "kfold":
        made = strategies.kfold(clips, how.folds, how.fold, group_by=group_by, val=val, seed=seed)
    elif how.kind == "official":
        made = strategies.official(clips, group_by=group_by, val=val, val_as_test=how.val_as_test, seed=seed)
    elif how.kind == "corpora":
        made = strategies.by_corpora(clips, test=how.test_corpora, group_by=group_by, val=val, seed=seed)
    else:
        made = strategies.by_speakers(clips, train=how.train_speakers, val=how.val_speakers, test=how.test_speakers)
    return exclude_clips(made, how.exclude) if how.exclude else made


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
    composite = strategies.official(clips)
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
