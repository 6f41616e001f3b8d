"""Reads the manifests of a config and splits them."""

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
    """A manifest and its split.

    Args:
        manifest: path of the manifest.
        clips: all rows, in manifest order.
        split: assignment of the clips to parts.
        label_from: ``clip``, or the modality whose own label is the target.
    """

    manifest: Path
    clips: list[Clip]
    split: Split
    label_from: str = "clip"

    @property
    def folder(self) -> Path:
        """The folder that media paths in the manifest are relative to."""
        return self.manifest.parent

    def part(self, name: str) -> list[Clip]:
        """Rows of one part, in manifest order."""
        wanted = set(self.split.parts[name])
        return [c for c in self.clips if c.id in wanted]

    def learnt(self) -> Seen:
        """The clips, speakers and groups of train and val, which a model of this source is trained or selected on."""
        return Seen.of(self.part("train")) | Seen.of(self.part("val"))


def open_source(source: SourceConfig, *, where: str = "data", labelled: bool = True, task: str = "single") -> Source:
    """Read a manifest and split it.

    Args:
        source: manifest and split settings.
        where: config path of the source, for messages.
        labelled: split only rows with a label; training without labels uses all rows.
        task: task of the config; with ``dimensions`` a row needs a dimension instead of a label.

    Raises:
        ManifestError: a row is invalid, or no row is labelled.
        SplitError: a group would be in two parts, or the split has another hash than the config requires.
    """
    manifest = require_manifest(source.manifest, where)
    clips = read_manifest(manifest)
    usable = [c for c in clips if has_label(c, source.label_from, task)] if labelled else clips
    if not usable:
        raise _no_usable_rows(manifest, clips, source.label_from, task)
    split = make_split(usable, source.split)
    check_disjoint(split, usable, empty=[part for part in ("val", "test") if getattr(source.split, part) == 0])
    if source.split.hash not in (None, split.hash):
        raise SplitError(
            f"{where}.split.hash: the config requires the split {source.split.hash}, but {manifest} now gives "
            f"{split.hash} ({split.name}); the manifest or the split settings have changed, so the figures would be of "
            "other clips; restore them, or update the hash"
        )
    return Source(manifest, clips, split, source.label_from)


def make_split(clips: Sequence[Clip], how: SplitConfig) -> Split:
    """Split clips as the config specifies.

    Args:
        clips: usable rows of the manifest.
        how: split settings.
    """
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
    """Whether a row has the annotation that the task needs.

    Args:
        clip: row of a manifest.
        label_from: ``clip``, or the modality whose own label is the target.
        task: task of the config; with ``dimensions``, any of valence, arousal and dominance is enough.
    """
    if task == "dimensions":
        return any(getattr(clip, name) is not None for name in DIMENSIONS)
    if label_from != "clip":
        return label_from in clip.modality_labels
    return clip.label is not None or bool(clip.labels) or bool(clip.votes)


def _no_usable_rows(manifest: Path, clips: Sequence[Clip], label_from: str, task: str) -> ManifestError:
    """The error for a manifest without a row to learn from, with a hint if the rows have dimensions."""
    if task == "dimensions":
        return checks.no_labels_error(manifest, task, ", which task: dimensions learns")
    known = [name for name in DIMENSIONS if any(getattr(c, name) is not None for c in clips)]
    hint = f"; rows have {', '.join(known)}: to learn these, set task: dimensions without label_set" if known else ""
    return checks.no_labels_error(manifest, task, f" to learn from (label_from={label_from})", hint=hint)


def open_manifest(config: Config) -> Source:
    """The source of a config with a single manifest; raises like :func:`open_source`."""
    data = config.data
    one = SourceConfig(manifest=str(data.manifest), split=data.split, label_from=data.label_from)
    labelled = all(learns_labels(config, stage) for stage in config.stages)
    return open_source(one, labelled=labelled, task=config.task)


def learns_labels(config: Config, stage: str) -> bool:
    """Whether a stage learns from labels; a stage that the config omits (its branch is taken over) counts as such."""
    return stage not in config.stages or config.training_of(stage).objective == "labels"


def open_sources(config: Config, run: Path) -> dict[str, Source]:
    """Open the source of every stage.

    With one manifest, all modalities and ``fuse`` share its source, even if only one branch is trained. With several,
    ``fuse`` reads a composite manifest, which is written to the run folder.

    Args:
        config: resolved config.
        run: run folder.

    Returns:
        {stage: source}.

    Raises:
        SplitError: a speaker or group in test of one source is in train or val of another.
        ManifestError: the rows lack labels or modalities that the stages need.
        ConfigError: ``fuse`` needs composite clips of a part that a source does not have.
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
                f"data.sources.{m}.split: the stage 'fuse' draws composite clips for train, val and test; set test and "
                "val above 0"
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
    """Check labels, modalities and dialogue context of each stage's source; raises like :mod:`multiemo.runs.checks`."""
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


def source_columns(source: Source, modality: Modality, *, skip_bad: bool) -> tuple[str, ...]:
    """Columns of the precomputed features of a modality; returns and raises like :func:`agreed_columns`.

    Args:
        source: manifest whose rows name the features.
        modality: modality of the features.
        skip_bad: ignore unreadable feature files instead of raising.
    """
    try:
        return agreed_columns(source.clips, source.folder, modality, skip_bad=skip_bad)
    except ManifestError as error:
        raise ManifestError(f"{source.manifest}: {error}") from None
