"""Named, versioned protocols: which clips each fold trains on, validates on and tests on.

A protocol is planned before anything is trained. It rejects what would not give a valid measurement: a group in two
parts, a label that a fold tests but does not train on, a modality that no training clip has.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from multiemo.arrays import Array
from multiemo.benchmark.document import FoldSummary, ProtocolSummary
from multiemo.config import BenchmarkConfig, Config, SourceConfig, SplitConfig
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.grouping import GroupBy, grouped
from multiemo.data.splits.split import Split, exclude_clips
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError, SplitError
from multiemo.evaluation import corpus_kind
from multiemo.metrics import means_of
from multiemo.runs import checks
from multiemo.runs.sources import has_label, open_source
from multiemo.types import DIMENSIONS, Clip, CorpusKind

#: Incremented whenever the same config and manifest would give other folds than before.
PROTOCOL_VERSION = 1

_BY_KIND = {
    "holdout": "holdout", "speakers": "holdout", "kfold": "kfold", "official": "official", "corpora": "cross-corpus",
}  # fmt: skip
#: {protocol that divides groups into folds: its unit, whatever the config says; ``None`` = the unit of the config}.
_GROUPED: dict[str, GroupBy | None] = {
    "kfold": None,
    "leave-one-speaker-out": "speaker",
    "leave-one-session-out": "group",
}


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of a protocol.

    Args:
        name: ``fold0``, or the name of what is left out for testing.
        split: the clips and groups of each part.
        config: config of its trainings; it pins the split by its hash.
    """

    name: str
    split: Split
    config: Config


@dataclass(frozen=True, slots=True)
class Protocol:
    """The folds that a benchmark trains and tests.

    Args:
        name: a choice of ``benchmark.protocol``.
        group_by: the unit that never occurs in two parts.
        folds: the folds, in order; no clip is tested in more than one of them.
        clips: labelled rows of the manifest.
        folder: folder of the manifest.
        corpus_kind: ``real``, ``composite`` or ``synthetic``.
        notes: remarks for the reader of the results.
        version: version of the rule by which folds are made.
    """

    name: str
    group_by: GroupBy
    folds: tuple[Fold, ...]
    clips: tuple[Clip, ...]
    folder: Path
    corpus_kind: CorpusKind
    notes: tuple[str, ...] = ()
    version: int = PROTOCOL_VERSION

    @property
    def hash(self) -> str:
        """Hash of the name, the version, the unit and the splits of all folds."""
        content = [self.name, self.version, self.group_by, [fold.split.hash for fold in self.folds]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def summary(self) -> ProtocolSummary:
        """The protocol as a record, without its clips."""
        return ProtocolSummary(
            name=self.name,
            version=self.version,
            group_by=self.group_by,
            hash=self.hash,
            corpus_kind=self.corpus_kind,
            notes=list(self.notes),
            folds=[
                FoldSummary(
                    name=fold.name,
                    split=fold.split.name,
                    hash=fold.split.hash,
                    clips={part: len(ids) for part, ids in fold.split.parts.items()},
                    test_groups=list(fold.split.groups["test"]) if self.group_by != "clip" else [],
                )
                for fold in self.folds
            ],
        )


def plan(config: Config) -> Protocol:
    """Plan and check the folds of the protocol in a config.

    Raises:
        ConfigError: the protocol does not fit the config.
        SplitError: the protocol does not fit the corpus: the speakers are missing or too few, or a label cannot be
            learnt.
        ManifestError: no training clip has a modality for which the config has an encoder.
    """
    if config.data.sources:
        raise ConfigError(
            "data.sources: multiemo benchmark works on one manifest; measure a composite with multiemo train and "
            "multiemo evaluate"
        )
    data = config.data
    if not data.split.test:
        raise ConfigError("data.split.test: 0 leaves no clips to test; multiemo benchmark needs a test part")
    manifest = Path(str(data.manifest))
    name = config.benchmark.protocol or _BY_KIND[data.split.kind]
    clips = read_manifest(manifest) if manifest.is_file() else []
    labelled = [c for c in clips if has_label(c, data.label_from, config.task)]
    checks.check_context(config, clips, str(manifest))
    space = LabelSpace(config.label_set, config.task, data.label_from)
    checks.check_labels(manifest, labelled, space)
    base = data.split
    if name in _GROUPED:
        base = base.model_copy(update={"group_by": _GROUPED[name] or base.group_by})
        _check_groups(name, base.group_by, labelled, manifest)
    folds = []
    for fold, split in _splits(name, base, labelled, config.benchmark):
        wanted = SourceConfig(manifest=str(manifest), split=split, label_from=data.label_from)
        source = open_source(wanted, task=config.task)
        folds.append(Fold(fold, source.split, pinned(config, split, source.split)))
    known = {c.id: c for c in labelled}
    notes = list(dict.fromkeys(note for fold in folds for note in fold.split.notes))
    for one in folds:
        notes += _check_labels(one, known, space)
        trained = [known[i] for i in one.split.parts["train"]]
        checks.check_modalities(config, trained, config.modalities, one.name)
    if base.group_by == "clip":
        notes.append("the split divides clips, not people: the same person may be in several parts")
    return Protocol(
        name=name,
        group_by=base.group_by,
        folds=tuple(folds),
        clips=tuple(labelled),
        folder=manifest.parent,
        corpus_kind=corpus_kind(c.corpus for c in labelled),
        notes=tuple(dict.fromkeys(notes)),
    )


def pinned(config: Config, split_config: SplitConfig, split: Split) -> Config:
    """The config of one fold: the split is pinned by its hash, and the ``benchmark`` section has its defaults.

    Args:
        config: config of the benchmark.
        split_config: how the fold is split.
        split: the resulting split.
    """
    fixed = split_config.model_copy(update={"hash": split.hash})
    data = config.data.model_copy(update={"split": fixed})
    return config.model_copy(update={"data": data, "benchmark": BenchmarkConfig()})


def random_protocol(config: Config, protocol: Protocol) -> Protocol:
    """The same number of folds over shuffled clips: a leaking split, in which people are in train and in test.

    Args:
        config: config of the benchmark.
        protocol: its protocol, which divides people.

    Raises:
        ConfigError: the protocol does not divide people into folds, so both splits would not test the same clips.
    """
    if protocol.name not in _GROUPED or protocol.group_by == "clip":
        raise ConfigError(
            f"--show-leak compares K folds of people with K folds of clips, but the protocol is {protocol.name!r} by "
            f"{protocol.group_by}; use it with benchmark.protocol=kfold or leave-one-speaker-out"
        )
    split = config.data.split.model_copy(update={"group_by": "clip"})
    benchmark = config.benchmark.model_copy(update={"protocol": "kfold", "folds": len(protocol.folds)})
    data = config.data.model_copy(update={"split": split})
    return plan(config.model_copy(update={"data": data, "benchmark": benchmark}))


def without_clips(config: Config, protocol: Protocol, excluded: Mapping[str, Sequence[str]]) -> Protocol:
    """The protocol without some clips of train and validation.

    Args:
        config: config from which the protocol was planned.
        protocol: the planned protocol.
        excluded: {fold: ids of the clips to leave out}.
    """
    folds = []
    for fold in protocol.folds:
        ids = excluded.get(fold.name, ())
        split = exclude_clips(fold.split, ids) if ids else fold.split
        split_config = fold.config.data.split.model_copy(update={"exclude": tuple(ids)})
        folds.append(replace(fold, split=split, config=pinned(config, split_config, split)))
    return replace(protocol, folds=tuple(folds))


def prior_of(fold: Fold, protocol: Protocol, config: Config) -> Array:
    """Label frequencies of a fold's train part, or the means of its dimensions.

    Args:
        fold: a fold of the protocol.
        protocol: the protocol, which holds the clips.
        config: config of the benchmark.

    Returns:
        ``[C]``.
    """
    space = LabelSpace(config.label_set, config.task, config.data.label_from)
    wanted = set(fold.split.parts["train"])
    targets = [t for c in protocol.clips if c.id in wanted and (t := space.target(c)) is not None]
    return means_of(torch.stack(targets).double().numpy())


def _splits(
    name: str, base: SplitConfig, clips: Sequence[Clip], benchmark: BenchmarkConfig
) -> Iterator[tuple[str, SplitConfig]]:
    """Yield the name of each fold and how it is split."""
    if name == "cross-corpus":
        corpora = sorted({c.corpus for c in clips})
        if len(corpora) < 2:
            raise SplitError(
                f"benchmark.protocol cross-corpus: every clip is of {', '.join(corpora) or 'no corpus'}; join "
                "manifests with `multiemo merge`, or use benchmark.protocol=kfold"
            )
        for corpus in corpora:
            yield corpus, base.model_copy(update={"kind": "corpora", "test_corpora": (corpus,)})
    elif name == "official":
        yield name, base.model_copy(update={"kind": "official"})
    elif name == "holdout":
        kind = base.kind if _BY_KIND[base.kind] == name else "holdout"
        yield name, base.model_copy(update={"kind": kind})
    else:
        folds = benchmark.folds if name == "kfold" else len(grouped(clips, base.group_by))
        for fold in range(folds):
            yield f"fold{fold}", base.model_copy(update={"kind": "kfold", "folds": folds, "fold": fold})


def _check_groups(name: str, group_by: GroupBy, clips: Sequence[Clip], manifest: Path) -> None:
    """Reject a grouped protocol if rows have no group, and suggest a protocol that fits."""
    if group_by == "clip":
        return
    ungrouped = [c.id for c in clips if getattr(c, group_by) is None]
    if not ungrouped:
        return
    if len(ungrouped) < len(clips):
        raise SplitError(
            f"benchmark.protocol {name} keeps each {group_by} whole, but clip {ungrouped[0]!r} has no {group_by} "
            f"({len(ungrouped)} of {len(clips)} clips); fill it in, or remove those rows from the manifest"
        )
    other = "group" if group_by == "speaker" else "speaker"
    if all(c.split is not None for c in clips):
        unit = "group" if all(c.group for c in clips) else "clip"
        advice = f"use benchmark.protocol=official with data.split.group_by={unit}"
    elif all(getattr(c, other) is not None for c in clips):
        advice = f"use data.split.group_by={other} with benchmark.protocol=kfold"
    else:
        advice = (
            "use benchmark.protocol=kfold with data.split.group_by=clip; the same people may then be in train and "
            "test, which the report states"
        )
    raise SplitError(
        f"benchmark.protocol {name} keeps each {group_by} whole, but no clip of {manifest} has a {group_by}; {advice}"
    )


def _check_labels(fold: Fold, clips: dict[str, Clip], space: LabelSpace) -> list[str]:
    """Check that every validated or tested label occurs in train.

    Returns:
        Notes on labels that are not tested, or on dimensions that are not learnt.

    Raises:
        SplitError: a label of validation or test does not occur in train.
    """
    if space.task == "dimensions":
        known = {
            part: {n for i in ids for n in DIMENSIONS if getattr(clips[i], n) is not None}
            for part, ids in fold.split.parts.items()
        }
        unlearnt = sorted((known["test"] | known["val"]) - known["train"])
        return [f"{fold.name}: no train clip is rated for {name}, so it is not learnt" for name in unlearnt]
    counts: dict[str, Counter[str]] = {}
    for part, ids in fold.split.parts.items():
        targets = [space.target(clips[i]) for i in ids]
        found = (space.labels[int(c)] for t in targets if t is not None for c in t.nonzero().flatten())
        counts[part] = Counter(found)
    for part in ("test", "val"):
        unlearnt = [label for label in space.labels if counts[part][label] and not counts["train"][label]]
        if unlearnt:
            total = sum(counter[unlearnt[0]] for counter in counts.values())
            raise SplitError(
                f"{fold.name}: label {unlearnt[0]!r} has {counts[part][unlearnt[0]]} clips in {part} and none in train "
                f"({total} in all); collect more clips, use fewer folds, or choose a label_set without that label"
            )
    missing = [label for label in space.labels if counts["train"][label] and not counts["test"][label]]
    return [f"{fold.name}: no test clip is {label}" for label in missing]
