"""Named, versioned protocols: which clips are trained on, which select, and which are tested, fold by fold.

A protocol is made before anything is trained. It refuses what cannot be measured honestly: a group in two parts, a
label that a fold tests but never learns, a modality that no training clip has.
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

#: Raised when the same config and manifest would give other folds than before.
PROTOCOL_VERSION = 1

_BY_KIND = {
    "holdout": "holdout", "speakers": "holdout", "kfold": "kfold", "official": "official", "corpora": "cross-corpus",
}  # fmt: skip
#: Protocols that draw the groups themselves, and what they keep whole whatever the config says.
_GROUPED: dict[str, GroupBy | None] = {
    "kfold": None,
    "leave-one-speaker-out": "speaker",
    "leave-one-session-out": "group",
}


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of a protocol.

    Args:
        name: ``fold0``, or what is left out.
        split: who is in which part.
        config: trains on it; the split is pinned by its hash.
    """

    name: str
    split: Split
    config: Config


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a benchmark will train and test.

    Args:
        name: a choice of ``benchmark.protocol``.
        group_by: what no two parts share.
        folds: in order; over all of them a clip is tested at most once.
        clips: labelled rows of the manifest.
        folder: of the manifest.
        corpus_kind: ``real``, ``composite`` or ``synthetic``.
        notes: what a reader of the results must know.
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
        """Of the name, the version and every fold's split."""
        content = [self.name, self.version, self.group_by, [fold.split.hash for fold in self.folds]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def summary(self) -> ProtocolSummary:
        """Everything but the clips themselves."""
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
    """The folds of a config's protocol, each checked.

    Raises:
        ConfigError: the protocol does not fit the config.
        SplitError: it does not fit the corpus: no speakers, too few of them, or a label that cannot be learnt.
        ManifestError: no clip to train on has a modality that the config has an encoder for.
    """
    if config.data.sources:
        raise ConfigError(
            "data.sources: multiemo benchmark works on one manifest; measure a composite with multiemo train and "
            "multiemo evaluate"
        )
    data = config.data
    if not data.split.test:
        raise ConfigError("data.split.test: 0 leaves nothing to test, which is what multiemo benchmark does")
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
        notes.append("the split keeps clips apart, not people: the same person may stand in several parts")
    return Protocol(
        name=name,
        group_by=base.group_by,
        folds=tuple(folds),
        clips=tuple(labelled),
        folder=manifest.parent,
        corpus_kind=corpus_kind(c.corpus for c in labelled),
        notes=tuple(dict.fromkeys(notes)),
    )


def pinned(config: Config, how: SplitConfig, split: Split) -> Config:
    """The config of one fold: its split with its hash, and nothing of the benchmark around it.

    Args:
        config: of the benchmark.
        how: how the fold is split.
        split: what that gave.
    """
    fixed = how.model_copy(update={"hash": split.hash})
    data = config.data.model_copy(update={"split": fixed})
    return config.model_copy(update={"data": data, "benchmark": BenchmarkConfig()})


def random_protocol(config: Config, protocol: Protocol) -> Protocol:
    """The same number of folds over shuffled clips, which is what leaks: a person is then trained and tested on.

    Raises:
        ConfigError: the protocol has one fold, whose test clips a random split would not share.
    """
    if protocol.name not in _GROUPED or protocol.group_by == "clip":
        raise ConfigError(
            f"--show-leak compares K folds of people with K folds of clips, and the protocol is {protocol.name!r} by "
            f"{protocol.group_by}; use it with benchmark.protocol=kfold, or one that leaves one speaker out"
        )
    split = config.data.split.model_copy(update={"group_by": "clip"})
    benchmark = config.benchmark.model_copy(update={"protocol": "kfold", "folds": len(protocol.folds)})
    data = config.data.model_copy(update={"split": split})
    return plan(config.model_copy(update={"data": data, "benchmark": benchmark}))


def without_clips(config: Config, protocol: Protocol, gone: Mapping[str, Sequence[str]]) -> Protocol:
    """The protocol with some clips left out of train and validation.

    Args:
        config: that the protocol was made from.
        protocol: as planned.
        gone: {fold: clip ids}.
    """
    folds = []
    for fold in protocol.folds:
        ids = gone.get(fold.name, ())
        split = exclude_clips(fold.split, ids) if ids else fold.split
        how = fold.config.data.split.model_copy(update={"exclude": tuple(ids)})
        folds.append(replace(fold, split=split, config=pinned(config, how, split)))
    return replace(protocol, folds=tuple(folds))


def prior_of(fold: Fold, protocol: Protocol, config: Config) -> Array:
    """``[C]`` label frequencies of the fold's train part, or means of the dimensions.

    Args:
        fold: of the protocol.
        protocol: has the clips.
        config: of the benchmark.
    """
    space = LabelSpace(config.label_set, config.task, config.data.label_from)
    wanted = set(fold.split.parts["train"])
    targets = [t for c in protocol.clips if c.id in wanted and (t := space.target(c)) is not None]
    return means_of(torch.stack(targets).double().numpy())


def _splits(
    name: str, base: SplitConfig, clips: Sequence[Clip], benchmark: BenchmarkConfig
) -> Iterator[tuple[str, SplitConfig]]:
    if name == "cross-corpus":
        corpora = sorted({c.corpus for c in clips})
        if len(corpora) < 2:
            raise SplitError(
                f"benchmark.protocol cross-corpus: every clip is of {', '.join(corpora) or 'no corpus'}; join "
                "manifests with `multiemo merge`, or use kfold"
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
    """Refuse a grouped protocol over rows that do not say their group, and say what would fit."""
    if group_by == "clip":
        return
    without = [c.id for c in clips if getattr(c, group_by) is None]
    if not without:
        return
    if len(without) < len(clips):
        raise SplitError(
            f"benchmark.protocol {name} keeps each {group_by} whole, but clip {without[0]!r} has no {group_by} "
            f"({len(without)} of {len(clips)} clips); fill it in, or leave those rows out of the manifest"
        )
    other = "group" if group_by == "speaker" else "speaker"
    if all(c.split is not None for c in clips):
        unit = "group" if all(c.group for c in clips) else "clip"
        advice = f"use benchmark.protocol=official with data.split.group_by={unit}"
    elif all(getattr(c, other) is not None for c in clips):
        advice = f"use data.split.group_by={other} with benchmark.protocol=kfold"
    else:
        advice = (
            "use benchmark.protocol=kfold with data.split.group_by=clip; the same people may then stand on both sides, "
            "and the report says so"
        )
    raise SplitError(
        f"benchmark.protocol {name} keeps each {group_by} whole, but no clip of {manifest} has a {group_by}; {advice}"
    )


def _check_labels(fold: Fold, clips: dict[str, Clip], space: LabelSpace) -> list[str]:
    """Every label that is validated or tested must be learnt; one that is never tested is worth a note.

    Raises:
        SplitError: one is not.
    """
    if space.task == "dimensions":
        known = {
            part: {n for i in ids for n in DIMENSIONS if getattr(clips[i], n) is not None}
            for part, ids in fold.split.parts.items()
        }
        unlearnt = sorted((known["test"] | known["val"]) - known["train"])
        return [f"{fold.name}: no train clip has {name}, so it is not learnt" for name in unlearnt]
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
                f"({total} in all); collect more, take fewer folds, or map it away with another label_set"
            )
    missing = [label for label in space.labels if counts["train"][label] and not counts["test"][label]]
    return [f"{fold.name}: no test clip is {label}" for label in missing]
