"""Keys of a config that cannot take effect, each with the reason: what was asked for would silently not happen.

Only what was set counts, and not what is switched off (``0``, ``false``, an empty list): that asks for nothing.
``training`` is for all stages, so a key of it may be idle in some of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from multiemo.config.schema import Config
from multiemo.config.sections import BenchmarkConfig, SplitConfig, TrainingConfig
from multiemo.types import MODALITIES

#: Keys of ``training`` that a stage without labels does not read.
_OF_LABELS = (
    "label_smoothing", "focal", "class_weights", "mixup", "branch_loss", "modulation", "auxiliary_loss",
    "modality_dropout", "dimension_loss",
)  # fmt: skip
#: Those that ``task: dimensions`` does not read.
_OF_CATEGORIES = ("label_smoothing", "focal", "class_weights", "balanced_sampling", "modulation", "auxiliary_loss")
_OF_FUSION = ("branch_loss", "modulation", "modality_dropout")
#: Keys of ``training`` that name modalities.
_BY_MODALITY = ("budget", "branch_lr", "layer_decay", "freeze", "unfreeze")
#: Asks for nothing where there is no choice; ``ccc`` stands in every config of ``task: dimensions``.
_ANYWHERE = (("monitor", "loss"), ("monitor", "ccc"))
#: Keys of a split that only one kind reads.
_OF_KIND = {
    "test": "holdout", "folds": "kfold", "fold": "kfold", "val_as_test": "official", "train_speakers": "speakers",
    "val_speakers": "speakers", "test_speakers": "speakers", "test_corpora": "corpora",
}  # fmt: skip


def idle(config: Config) -> dict[str, str]:
    """{path of a key: why it cannot take effect}."""
    return dict(_all(config))


def strange(config: Config) -> dict[str, str]:
    """{path of a key: why it cannot take effect}, of keys that name a modality without an encoder."""
    sections: dict[str, Mapping[str, Any]] = {"training": config.training.model_dump()}
    sections |= {f"per_stage.{stage}": keys for stage, keys in config.per_stage.items()}
    return {
        f"{path}.{key}.{m}": f"there is no encoders.{m}"
        for path, keys in sections.items()
        for key in _BY_MODALITY
        for m in keys.get(key) or ()
        if m not in config.encoders
    }


def _all(config: Config) -> Iterator[tuple[str, str]]:
    yield from _of_data(config)
    yield from _of_stages(config)
    yield from _of_training(config)
    benchmark, kind = config.benchmark, config.data.split.kind
    if "benchmark" in config.model_fields_set and config.data.sources:
        yield "benchmark", "multiemo benchmark works on one manifest, and data.sources names several"
    elif "folds" in benchmark.model_fields_set and (benchmark.protocol or kind) != "kfold":
        protocol = benchmark.protocol or f"that of data.split.kind {kind}"
        yield "benchmark.folds", f"only benchmark.protocol kfold has folds to count, and the protocol is {protocol}"


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
        yield "data.per_label", "composite clips are drawn in the stage 'fuse' from data.sources, and there are none"


def _of_split(path: str, split: SplitConfig, benchmark: BenchmarkConfig | None) -> Iterator[tuple[str, str]]:
    """A benchmark draws splits of its own from the same section, so what it reads has an effect."""
    kinds = {split.kind} | ({benchmark.protocol} if benchmark is not None and benchmark.protocol != "kfold" else set())
    for key in _set(split):
        needs = _OF_KIND.get(key)
        if needs is not None and needs not in kinds:
            yield f"{path}.{key}", f"is read by kind {needs!r}, and the kind is {split.kind!r}"
        elif key in ("val", "seed", "group_by") and split.kind == "speakers" and benchmark is None:
            yield f"{path}.{key}", "kind 'speakers' names who stands in each part, so nothing is drawn"


def _of_stages(config: Config) -> Iterator[tuple[str, str]]:
    unused = [m for m in config.encoders if m not in config.modalities]
    for m in unused:
        yield f"encoders.{m}", f"stages has neither {m!r} nor 'fuse', so nothing trains or uses it"
    for m in unused:
        if m in config.init:
            yield f"init.{m}", f"stages has neither {m!r} nor 'fuse', so nothing begins from it"
    for m in config.branches if not config.fused else ():
        yield (
            f"branches.{m}",
            "a branch is taken over by the stage 'fuse', which is not in stages; init begins from one",
        )
    for stage in config.per_stage:
        if stage in config.taken_over:
            yield f"per_stage.{stage}", f"branches.{stage} is used as it is, so this stage is skipped"
        elif stage not in config.stages:
            yield f"per_stage.{stage}", "the stage is not in stages"
    if "fusion" in config.model_fields_set and not config.fused:
        yield "fusion", "only the stage 'fuse' has a fusion, and it is not in stages"
    if config.max_error is not None and config.task == "dimensions":
        yield "max_error", "task: dimensions gives no label, so none is uncertain"
    elif config.max_error is not None and config.training_of(config.stages[-1]).objective != "labels":
        yield "max_error", f"the stage {config.stages[-1]!r} learns no labels, so it gives none"
    elif config.max_error is not None and not _validates(config, config.stages[-1]):
        yield "max_error", "it is assured on validation, of which data.split.val: 0 leaves nothing"


def _of_training(config: Config) -> Iterator[tuple[str, str]]:
    stages = [s for s in config.stages if s not in config.taken_over]
    reasons = {stage: _in_stage(config, stage) for stage in stages}
    for stage in stages:
        for key in _keys(config.per_stage.get(stage, {})):
            if key in reasons[stage]:
                yield f"per_stage.{stage}.{key}", reasons[stage][key]
    own: dict[str, Collection[str]] = {stage: config.per_stage.get(stage, {}) for stage in stages}
    for key in _keys({name: getattr(config.training, name) for name in config.training.model_fields_set}):
        why = [
            f"per_stage.{stage} has its own" if key.partition(".")[0] in own[stage] else reasons[stage].get(key)
            for stage in stages
        ]
        if stages and all(why):
            said = [
                f"in {stage!r}, {reason}" if len(stages) > 1 else str(reason)
                for stage, reason in zip(stages, why, strict=True)
            ]
            yield f"training.{key}", "; ".join(said)


def _in_stage(config: Config, stage: str) -> dict[str, str]:
    """{key of ``training``, with its modality where it names some: why the stage does not read it}."""
    settings: TrainingConfig = config.training_of(stage)
    shown = config.modalities if stage == "fuse" else (stage,)
    found: dict[str, str] = {}
    for m in MODALITIES:
        if m not in shown:
            found |= {f"{key}.{m}": f"the stage {stage!r} has no {m} encoder" for key in _BY_MODALITY}
        elif m in settings.freeze:
            found |= {f"{key}.{m}": "freeze keeps this encoder as it is" for key in ("branch_lr", "layer_decay")}
    if config.task == "dimensions":
        found |= dict.fromkeys(_OF_CATEGORIES, "task: dimensions has no labels")
    if not config.dimensions:
        found["dimension_loss"] = "it weighs dimensions beside labels, and needs dimensions: true"
    if stage == "fuse":
        found["auxiliary_loss"] = "it is of a modality's own stage"
        if len(shown) == 1:
            found["modality_dropout"] = f"{shown[0]} is the only modality"
    else:
        found |= dict.fromkeys(_OF_FUSION, "it is of the stage 'fuse'")
    if not _validates(config, stage):
        found |= dict.fromkeys(("monitor", "patience"), "without validation (val: 0) the last epoch is kept")
    if settings.objective != "labels":
        found |= dict.fromkeys(_OF_LABELS, f"objective {settings.objective!r} learns without labels")
        found["monitor"] = f"objective {settings.objective!r} has no figure but the loss"
    return found


def _validates(config: Config, stage: str) -> bool:
    """Whether a stage has a validation part."""
    source = config.data.sources.get(stage, config.data)  # type: ignore[call-overload]
    return bool(source.split.val)


def _keys(values: Mapping[str, Any]) -> Iterator[str]:
    """Keys of ``training`` that ask for something; of those that name modalities, one for each."""
    for key, value in values.items():
        if key in _BY_MODALITY:
            yield from (f"{key}.{m}" for m in value)
        elif value and (key, value) not in _ANYWHERE:
            yield key


def _set(section: SplitConfig) -> Iterator[str]:
    """Keys that were set and ask for something."""
    asked = section.model_dump(exclude_unset=True)
    return (key for key, value in asked.items() if value not in (False, None, ()) or key == "fold")
