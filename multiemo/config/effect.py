"""Finds config keys that have no effect, with the reason, so that a setting is never silently ignored.

Only keys that were set count, and only with a value that switches something on (not ``0``, ``false`` or an empty list).
``training`` applies to all stages, so one of its keys may have no effect in some of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from multiemo.config.private import UNREAD
from multiemo.config.recommended import BY_MODALITY, CATEGORY_KEYS
from multiemo.config.schema import Config
from multiemo.config.sections import BenchmarkConfig, SplitConfig, TrainingConfig
from multiemo.types import MODALITIES

#: Keys of ``training`` that a stage without labels does not read.
_LABEL_KEYS = (
    "label_smoothing", "focal", "class_weights", "mixup", "branch_loss", "modulation", "auxiliary_loss",
    "speaker_adversary", "modality_dropout", "dimension_loss",
)  # fmt: skip
#: Keys of ``training`` that only the stage ``fuse`` reads.
_FUSION_KEYS = ("branch_loss", "modulation", "modality_dropout")
#: Settings that are accepted even where they have no effect; ``ccc`` is in every config with ``task: dimensions``.
_ALWAYS_ACCEPTED = (("monitor", "loss"), ("monitor", "ccc"))
#: {key of a split that only one kind reads: that kind}.
_SPLIT_KIND = {
    "test": "holdout", "folds": "kfold", "fold": "kfold", "val_as_test": "official", "train_speakers": "speakers",
    "val_speakers": "speakers", "test_speakers": "speakers", "test_corpora": "corpora",
}  # fmt: skip


def idle(config: Config) -> dict[str, str]:
    """{path of a key: why it has no effect}."""
    return dict(_all(config))


def strange(config: Config) -> dict[str, str]:
    """{path of a key: why it has no effect}, only for keys that name a modality without an encoder."""
    sections: dict[str, Mapping[str, Any]] = {"training": config.training.model_dump()}
    sections |= {f"per_stage.{stage}": keys for stage, keys in config.per_stage.items()}
    recipes = {f"recipes.{m}": f"there is no encoders.{m}" for m in config.recipes if m not in config.encoders}
    return recipes | {
        f"{path}.{key}.{m}": f"there is no encoders.{m}"
        for path, keys in sections.items()
        for key in BY_MODALITY
        for m in keys.get(key) or ()
        if m not in config.encoders
    }


def _all(config: Config) -> Iterator[tuple[str, str]]:
    yield from _of_data(config)
    yield from _of_stages(config)
    yield from _of_training(config)
    benchmark, kind = config.benchmark, config.data.split.kind
    if "benchmark" in config.model_fields_set and config.data.sources:
        yield "benchmark", "multiemo benchmark reads a single manifest, but data.sources names several"
    elif "folds" in benchmark.model_fields_set and (benchmark.protocol or kind) != "kfold":
        protocol = benchmark.protocol or f"that of data.split.kind {kind}"
        yield "benchmark.folds", f"only benchmark.protocol kfold reads it, but the protocol is {protocol}"


def _of_data(config: Config) -> Iterator[tuple[str, str]]:
    data = config.data
    if data.sources:
        for key in ("split", "label_from"):
            if key in data.model_fields_set:
                yield f"data.{key}", f"each of data.sources has its own; set data.sources.MODALITY.{key}"
        for m in data.sources:
            if m not in config.encoders:
                yield f"data.sources.{m}", f"there is no encoders.{m} to learn from it"
        for m, source in data.sources.items():
            yield from _of_split(f"data.sources.{m}.split", source.split, None)
    else:
        yield from _of_split("data.split", data.split, config.benchmark)
    if "label_from" in data.model_fields_set and config.task == "dimensions":
        yield "data.label_from", "task: dimensions reads no labels"
    if "per_label" in data.model_fields_set and not (data.sources and config.fused):
        yield "data.per_label", "it needs the stage 'fuse' with data.sources, which draws composite clips"


def _of_split(path: str, split: SplitConfig, benchmark: BenchmarkConfig | None) -> Iterator[tuple[str, str]]:
    """Keys of a split without effect; keys that the benchmark's own splits read have one."""
    kinds = {split.kind} | ({benchmark.protocol} if benchmark is not None and benchmark.protocol != "kfold" else set())
    for key in _set(split):
        needs = _SPLIT_KIND.get(key)
        if needs is not None and needs not in kinds:
            yield f"{path}.{key}", f"only kind {needs!r} reads it, but the kind is {split.kind!r}"
        elif key in ("val", "seed", "group_by") and split.kind == "speakers" and benchmark is None:
            yield f"{path}.{key}", "kind 'speakers' names the speakers of each part, so nothing is drawn"


def _of_stages(config: Config) -> Iterator[tuple[str, str]]:
    unused = [m for m in config.encoders if m not in config.modalities]
    for m in unused:
        yield f"encoders.{m}", f"stages has neither {m!r} nor 'fuse', so nothing trains or uses it"
    for m in unused:
        if m in config.init:
            yield f"init.{m}", f"stages has neither {m!r} nor 'fuse', so no encoder is initialised from it"
    for m in config.recipes:
        if m not in config.encoders:
            yield f"recipes.{m}", f"there is no encoders.{m}"
    for m in config.branches if not config.fused else ():
        yield (
            f"branches.{m}",
            "only the stage 'fuse' takes over a branch, and it is not in stages; use init to start from one",
        )
    for stage in config.per_stage:
        if stage in config.taken_over:
            yield f"per_stage.{stage}", f"branches.{stage} is used unchanged, so this stage is skipped"
        elif stage not in config.stages:
            yield f"per_stage.{stage}", "the stage is not in stages"
    if "fusion" in config.model_fields_set and not config.fused:
        yield "fusion", "only the stage 'fuse' has a fusion, and it is not in stages"
    if config.reliability and not config.fused:
        yield "reliability", "only a fusion weighs modalities, and the stage 'fuse' is not in stages"
    if config.max_error is not None and config.task == "dimensions":
        yield "max_error", "task: dimensions predicts no labels"
    elif config.max_error is not None and config.training_of(config.stages[-1]).objective != "labels":
        yield "max_error", f"the stage {config.stages[-1]!r} learns no labels, so it predicts none"
    elif config.max_error is not None and not _validates(config, config.stages[-1]):
        yield "max_error", "its threshold is fitted on validation, but data.split.val is 0"


def _of_training(config: Config) -> Iterator[tuple[str, str]]:
    stages = [s for s in config.stages if s not in config.taken_over]
    reasons = {stage: _in_stage(config, stage) for stage in stages}
    for stage in stages:
        for key in _keys(config.per_stage.get(stage, {})):
            if key in reasons[stage]:
                yield f"per_stage.{stage}.{key}", reasons[stage][key]
    own = {stage: set(_replaced(config.per_stage.get(stage, {}))) for stage in stages}
    for key in _keys({name: getattr(config.training, name) for name in config.training.model_fields_set}):
        why = [
            f"per_stage.{stage} has its own" if own[stage] & {key, key.partition(".")[0]} else reasons[stage].get(key)
            for stage in stages
        ]
        if stages and all(why):
            parts = [
                f"in {stage!r}, {reason}" if len(stages) > 1 else str(reason)
                for stage, reason in zip(stages, why, strict=True)
            ]
            yield f"training.{key}", "; ".join(parts)


def _in_stage(config: Config, stage: str) -> dict[str, str]:
    """{key of ``training``, with a modality if it has a value per modality: why the stage does not read it}."""
    settings: TrainingConfig = config.training_of(stage)
    shown = config.modalities if stage == "fuse" else (stage,)
    found: dict[str, str] = {}
    for m in MODALITIES:
        if m not in shown:
            found |= {f"{key}.{m}": f"the stage {stage!r} has no {m} encoder" for key in BY_MODALITY}
        elif m in settings.freeze:
            found |= {f"{key}.{m}": "freeze keeps this encoder unchanged" for key in ("branch_lr", "layer_decay")}
    if config.task == "dimensions":
        found |= dict.fromkeys(CATEGORY_KEYS, "task: dimensions has no labels")
    if not config.dimensions:
        found["dimension_loss"] = "it weights the loss of dimensions besides labels, and needs dimensions: true"
    if stage == "fuse":
        found |= dict.fromkeys(("auxiliary_loss", "speaker_adversary"), "it applies only to the stage of a modality")
        if len(shown) == 1:
            found["modality_dropout"] = f"{shown[0]} is the only modality"
    else:
        found |= dict.fromkeys(_FUSION_KEYS, "it applies only to the stage 'fuse'")
    if config.privacy is not None:
        found |= UNREAD
    if settings.select == "last":
        found |= dict.fromkeys(("monitor", "patience"), "select: last keeps the last epoch")
    if not _validates(config, stage):
        if settings.select == "best":
            found["select"] = "without validation (val: 0) the last epoch is used"
        found |= dict.fromkeys(("monitor", "patience"), "without validation (val: 0) the last epoch is used")
    if settings.objective != "labels":
        found |= dict.fromkeys(_LABEL_KEYS, f"objective {settings.objective!r} learns without labels")
        found["monitor"] = f"objective {settings.objective!r} has no figure but the loss"
    return found


def _validates(config: Config, stage: str) -> bool:
    """Whether a stage has a validation part."""
    source = config.data.sources.get(stage, config.data)  # type: ignore[call-overload]
    return bool(source.split.val)


def _keys(values: Mapping[str, Any]) -> Iterator[str]:
    """Keys of ``training`` that are switched on; ``key.modality`` for those with a value per modality."""
    for key, value in values.items():
        if key in BY_MODALITY:
            yield from (f"{key}.{m}" for m in value)
        elif value and (key, value) not in _ALWAYS_ACCEPTED:
            yield key


def _replaced(own: Mapping[str, Any]) -> Iterator[str]:
    """Keys of ``training`` that a stage's own keys replace; ``key.modality`` where they do so for some modalities."""
    for key, value in own.items():
        yield from (f"{key}.{m}" for m in value) if isinstance(value, Mapping) else (key,)


def _set(section: SplitConfig) -> Iterator[str]:
    """Keys that were set and switch something on."""
    given = section.model_dump(exclude_unset=True)
    return (key for key, value in given.items() if value not in (False, None, ()) or key == "fold")
