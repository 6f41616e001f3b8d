"""The configuration as a whole; every key is documented here or in its section."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from multiemo.config.explain import explain
from multiemo.config.private import PrivacyConfig, check_private_stage, private_recipe
from multiemo.config.recommended import TrainingKeys, check_settings, recommended_settings
from multiemo.config.sections import BenchmarkConfig, DataConfig, Frozen, PartConfig, StageName, TrainingConfig
from multiemo.errors import ConfigError
from multiemo.labels import label_set
from multiemo.types import DIMENSIONS, MODALITIES, Modality


class Config(Frozen):
    """A whole experiment.

    Args:
        name: name of the experiment.
        seed: random seed of initial weights, batch order and augmentation.
        label_set: the name of a label set (see docs/data.md), or labels of your own, such as
            ``custom:happy,sad,bored``; the labels of the corpus are mapped to it. Required, except with
            ``task: dimensions``, which has none.
        task: ``single`` (one label); ``multi`` (several at once); ``soft`` (crowd votes as a distribution);
            ``dimensions`` (no label: valence, arousal and dominance, those that the clips have).
        dimensions: besides labels, also learn valence, arousal and dominance where clips have them.
        data: what is trained on.
        encoders: the encoder of each modality, with its options.
        fusion: the fusion, with its options.
        reliability: outside training, weigh voice and face in the fusion by how similar the recording is to the
            training clips; one that is unlike them (noise, a telephone line, blur) counts less. Text and precomputed
            features always count in full.
        stages: what is trained, in order; a modality pretrains its branch, ``fuse`` trains the fused model.
        training: settings of every stage.
        per_stage: keys of ``training`` that differ in one stage.
        recipes: keys of ``training`` that the encoders recommend for their own stages. Left out, they are filled in
            when the config is read, except keys that ``training`` or ``per_stage`` sets. ``{}`` uses none.
        branches: run or model folders of branches that are already trained; their stages are skipped.
        init: run or model folders whose encoder a stage starts from, for instance one pretrained without labels.
        privacy: train with differential privacy; left out, training has none.
        max_error: target error rate among the labels that are given; less confident ones become ``uncertain``. The
            confidence threshold is found on validation. ``null`` gives every label.
        benchmark: what ``multiemo benchmark`` runs.
        device: where the model is trained, validated and benchmarked; ``auto`` is a CUDA GPU when there is one, else
            the CPU. It does not restrict where the trained model is used.
        precision: number format in every call of the model, also after training; ``auto`` is bf16 on a CUDA GPU that
            supports it, else float32 (``no``). ``fp16`` trains on a CUDA GPU only, and is float32 on a CPU.
        compile: run the encoders through ``torch.compile``; needs a C++ compiler and pays off in long trainings. An
            encoder that cannot be compiled goes on without it, and a note says so.
        cuda_graphs: on one GPU, capture the passes of the encoders in training as CUDA graphs, for shapes that recur,
            and replay them. It takes memory for the largest of them. What cannot be captured goes on without it, and a
            note says so. It has no effect on a CPU, with several processes, with ``gradient_checkpointing``, or with
            ``compile``.
        parallel: with several processes, ``ddp`` (each holds the whole model) or ``fsdp`` (each holds a part of it).
        trackers: where learning curves go besides the run folder.

    Raises:
        ConfigError: a key or value is wrong; the message names the key, the value and the remedy.

    Example:
        >>> config = Config(name="x", label_set="polarity3", data={"manifest": "m.jsonl"},
        ...                 encoders={"text": {"name": "text_transformer"}}, stages=["text"])
        >>> config.training.lr
        0.001
    """

    name: str
    seed: int = 0
    label_set: str = ""
    task: Literal["single", "multi", "soft", "dimensions"] = "single"
    dimensions: bool = False
    data: DataConfig
    encoders: dict[Modality, PartConfig]
    fusion: PartConfig = PartConfig(name="gated")
    reliability: bool = False
    stages: tuple[StageName, ...] = ("text", "speech", "face", "fuse")
    training: TrainingConfig = TrainingConfig()
    per_stage: dict[StageName, dict[str, Any]] = Field(default_factory=dict)
    recipes: dict[Modality, dict[str, Any]] = Field(default_factory=dict)
    branches: dict[Modality, str] = Field(default_factory=dict)
    init: dict[Modality, str] = Field(default_factory=dict)
    privacy: PrivacyConfig | None = None
    max_error: float | None = Field(None, gt=0, lt=1)
    benchmark: BenchmarkConfig = BenchmarkConfig()
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    compile: bool = False
    cuda_graphs: bool = True
    parallel: Literal["ddp", "fsdp"] = "ddp"
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)

    @field_validator("precision", mode="before")
    @classmethod
    def _no_is_false_in_yaml(cls, value: Any) -> Any:
        return "no" if value is False else value

    @model_validator(mode="before")
    @classmethod
    def _selects_dimensions(cls, values: Any) -> Any:
        """Set the default of ``training.monitor``, which is ``ccc`` with ``task: dimensions``."""
        if not isinstance(values, dict) or values.get("task") != "dimensions":
            return values
        training = values.get("training", {})
        return {**values, "training": {"monitor": "ccc", **training}} if isinstance(training, dict) else values

    @model_validator(mode="after")
    def _answers(self) -> Config:
        own = (values["monitor"] for values in self.per_stage.values() if "monitor" in values)
        monitors = {self.training.monitor, *own}
        if self.task != "dimensions":
            if not self.label_set:
                raise ValueError("label_set: this key is required; only task: dimensions does without it")
            label_set(self.label_set)
            if "ccc" in monitors:
                raise ValueError("training.monitor: 'ccc' needs task: dimensions; choose a label figure, such as uar")
            return self
        if self.label_set:
            raise ValueError(
                f"label_set: {self.label_set!r} is not read with task: dimensions, which has no labels; remove it, "
                "or learn labels and dimensions together with task: single and dimensions: true"
            )
        if self.dimensions:
            raise ValueError("dimensions: task: dimensions learns nothing but dimensions; remove this key")
        if self.data.sources:
            raise ValueError("data.sources: composite clips are paired by label, and task: dimensions has none")
        label_figures = sorted(monitors - {"ccc", "loss"})
        if label_figures:
            raise ValueError(
                f"training.monitor: {label_figures[0]!r} needs labels; task: dimensions has only 'ccc' and 'loss'"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if not self.encoders:
            raise ValueError("encoders: name at least one")
        if not self.stages:
            raise ValueError("stages: name at least one")
        for stage in self.stages:
            if stage != "fuse" and stage not in self.encoders:
                raise ValueError(f"stages: {stage!r} has no encoder; add encoders.{stage} or remove the stage")
        if len(set(self.stages)) != len(self.stages):
            raise ValueError("stages: a stage is named twice")
        if self.fused and self.stages[-1] != "fuse":
            raise ValueError("stages: 'fuse' must be last")
        if not self.fused and len(self.stages) > 1:
            raise ValueError("stages: several branches need 'fuse' as the last stage")
        if self.data.sources and not set(self.data.sources) >= set(self.encoders):
            raise ValueError("data.sources: name one source for each encoder")
        for name in ("branches", "init"):
            for m in getattr(self, name):
                if m not in self.encoders:
                    raise ValueError(f"{name}.{m}: there is no encoders.{m} to use it; add one, or remove this key")
        for m in self.init:
            if m in self.branches:
                raise ValueError(f"init.{m}: branches.{m} is used unchanged; name the folder in only one of the two")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, values: Any, check: ModelWrapValidatorHandler[Config]) -> Config:
        """Convert validation errors to ConfigError; defined last, so that it also wraps the validators above."""
        try:
            config = check(values)
        except ValidationError as error:
            raise explain(error, cls) from None
        config.check_stages()
        if "recipes" not in config.model_fields_set:
            object.__setattr__(config, "recipes", config._recommended())  # still under construction
            config.check_stages()
        config._check_private()
        return config

    def _check_private(self) -> None:
        """Reject settings with which the guarantee of ``privacy`` would not hold.

        Raises:
            ConfigError: a setting excludes private training; the message names its key.
        """
        if self.privacy is None:
            return
        if self.data.sources:
            raise ConfigError(
                "privacy: data.sources draws a clip into several composite clips, so the guarantee for one clip would "
                "not hold; name one manifest, or remove privacy"
            )
        if self.reliability:
            raise ConfigError("reliability: is fitted to training clips without privacy; set it to false")
        for m, part in self.encoders.items():
            if part.options.get("speaker_normalization"):
                raise ConfigError(
                    f"encoders.{m}.speaker_normalization: the gradient of a clip would depend on other clips of its "
                    "speaker, so the guarantee of privacy would not hold; set it to false"
                )
        if self.precision == "fp16":
            raise ConfigError("precision: fp16 skips steps depending on the clips; use bf16 or no with privacy")
        if self.compile:
            raise ConfigError("compile: would compile for each length, as privacy trains clip by clip; set it to false")
        for stage in (s for s in self.stages if s not in self.taken_over):
            check_private_stage(stage, self.training_of(stage), self.per_stage.get(stage, {}))

    def training_of(self, stage: str) -> TrainingConfig:
        """``training`` with the ``recipes`` and ``per_stage`` keys of one stage applied.

        Raises:
            ConfigError: a key under ``per_stage`` is wrong, or a setting does not fit the stage.
        """
        settings = self._merged(stage)
        if stage == "fuse" and settings.modulation > 0 and len(self.encoders) == 1:
            raise ConfigError(
                f"training.modulation: {settings.modulation} slows down the leading modality, but "
                f"{self.modalities[0]!r} is the only one; set it to 0 or add another encoder"
            )
        fitting = {"masked": stage != "fuse", "contrastive": stage == "fuse" and len(self.encoders) > 1}
        if not fitting.get(settings.objective, True):
            needs = {"masked": "the stage of one modality", "contrastive": "the stage 'fuse' over several encoders"}
            raise ConfigError(
                f"per_stage.{stage}.objective: {settings.objective!r} is for {needs[settings.objective]}; set it there"
            )
        return settings if settings.objective == "labels" else settings.model_copy(update={"monitor": "loss"})

    def check_stages(self) -> None:
        """Check the settings of every stage, and those under ``per_stage`` and ``recipes`` for stages that are not run.

        Raises:
            ConfigError: as in :meth:`training_of`.
        """
        for m, settings in self.recipes.items():
            check_settings(settings, f"recipes.{m}.")
        for stage in self.per_stage:
            self._merged(stage)
        for stage in self.stages:
            self.training_of(stage)

    def _merged(self, stage: str) -> TrainingConfig:
        recipe, own = self.recipes.get(stage, {}), self.per_stage.get(stage, {})  # type: ignore[call-overload]
        merged = self.training.model_dump()
        for settings in (recipe, own):
            for key, value in settings.items():
                by_modality = isinstance(value, dict) and isinstance(merged.get(key), dict)
                merged[key] = {**merged[key], **value} if by_modality else value
        try:
            return TrainingConfig(**merged)
        except ValidationError as error:
            raise explain(error, TrainingConfig, prefix=f"per_stage.{stage}.") from None

    def _recommended(self) -> dict[Modality, TrainingKeys]:
        """{modality of a stage that is trained: what its encoder recommends and the config leaves open}."""
        found = {
            m: recommended_settings(m, part, self.training, self.per_stage.get(m, {}), labels=self.task != "dimensions")
            for m, part in self.encoders.items()
            if m in self.stages and m not in self.taken_over
        }
        if self.privacy is not None:
            found = {m: private_recipe(settings) for m, settings in found.items()}
        return {m: settings for m, settings in found.items() if settings}

    @property
    def fused(self) -> bool:
        """Whether the stages end in a fused model."""
        return "fuse" in self.stages

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the model's C output columns: its labels, or the dimensions with ``task: dimensions``."""
        return DIMENSIONS if self.task == "dimensions" else label_set(self.label_set)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that a stage trains or uses, in canonical order; ``encoders`` may name more."""
        return tuple(m for m in MODALITIES if m in (self.encoders if self.fused else self.stages))

    @property
    def taken_over(self) -> dict[Modality, str]:
        """``branches`` if the stage ``fuse`` is run, which is the only one that uses them; else empty."""
        return self.branches if self.fused else {}
