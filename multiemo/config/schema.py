"""The models of the one configuration: frozen, typed, closed; every key is documented here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from multiemo.config.explain import explain
from multiemo.errors import ConfigError
from multiemo.labels import label_set
from multiemo.types import DIMENSIONS, MODALITIES, Modality

StageName = Literal["text", "speech", "face", "fuse"]
ObjectiveName = Literal["labels", "masked", "contrastive"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """``epochs: yes`` is a slip, and Python would count it as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"{str(value).lower()!r} is no number")
        return value


class SplitConfig(_Frozen):
    """How clips are dealt to train, val and test.

    Args:
        kind: ``holdout`` and ``kfold`` draw whole groups by seed; ``official`` takes the manifest's ``split`` and
            holds out groups of train where a part is missing; ``speakers`` names the speakers of each part;
            ``corpora`` tests on whole corpora of the manifest and trains on the others.
        group_by: what must not stand in two parts: ``speaker``; ``group`` (dialogue or session), for corpora whose
            speakers recur on purpose; ``clip`` only for corpora that know neither.
        val: share of the groups held out for validation, where a draw makes that part.
        test: share of the groups held out for the test (``holdout``); 0 tests nothing, and then ``val: 0`` trains on
            every row: the last epoch is kept, and nothing is calibrated.
        folds, fold: ``kfold``: how many, and which one is test (0-based).
        val_as_test: ``official``: the published validation part is the test, for want of the published test, and
            validation is held out of train.
        train_speakers, val_speakers, test_speakers: ``speakers``: names, or ranges such as ``01-12``.
        test_corpora: ``corpora``: which ones are the test.
        exclude: ids of clips that stand in no part, such as near-duplicates.
        hash: what the split must hash to; a split that came out differently is refused.
        seed: of the draw; apart from the training seed, so that seeds share one split.
    """

    kind: Literal["holdout", "kfold", "official", "speakers", "corpora"] = "holdout"
    group_by: Literal["speaker", "group", "clip"] = "speaker"
    val: float = Field(0.15, ge=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    folds: int = Field(5, ge=2)
    fold: int = Field(0, ge=0)
    val_as_test: bool = False
    train_speakers: tuple[str, ...] = ()
    val_speakers: tuple[str, ...] = ()
    test_speakers: tuple[str, ...] = ()
    test_corpora: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hash: str | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _parts(self) -> SplitConfig:
        if self.test == 0 and self.kind != "holdout":
            raise ValueError(f"test: only kind 'holdout' can do without a test part, and the kind is {self.kind!r}")
        if self.val == 0 and self.test > 0:
            raise ValueError("val: a model that is tested is chosen on validation; set test to 0 too, or val above 0")
        return self


class SourceConfig(_Frozen):
    """One manifest and how it is read.

    Args:
        manifest: path of a JSONL or Parquet manifest, relative to the working directory.
        split: see :class:`SplitConfig`.
        label_from: ``clip`` (the row's label), or the modality whose own label (``modality_labels``) is the target.
    """

    manifest: str
    split: SplitConfig = SplitConfig()
    label_from: Literal["clip", "text", "speech", "face"] = "clip"


class DataConfig(_Frozen):
    """What is trained on: one ``manifest``, or ``sources`` to pretrain on and fuse as a label-paired composite.

    Args:
        manifest, split, label_from: one corpus for every stage, as in :class:`SourceConfig`.
        sources: {modality: source}; branch *m* pretrains on source *m*; the fused stage sees composite clips whose
            modalities come from different people with the same label, drawn within each part.
        per_label: composite clips drawn a label, for each part.
        workers: processes of one machine that decode, preprocess and read; those that train on it share them out. 0 =
            one a core.
        cache: folder of preprocessed tensors; ``None`` = ``$MULTIEMO_CACHE`` or the user's cache folder.
        skip_bad: list and leave out what of a clip cannot be read, instead of stopping; its other modalities are kept.
    """

    manifest: str | None = None
    split: SplitConfig = SplitConfig()
    label_from: Literal["clip", "text", "speech", "face"] = "clip"
    sources: dict[Modality, SourceConfig] = {}
    per_label: dict[Literal["train", "val", "test"], Annotated[int, Field(ge=1)]] = {
        "train": 400, "val": 100, "test": 100,
    }  # fmt: skip
    workers: int = Field(0, ge=0)
    cache: str | None = None
    skip_bad: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> DataConfig:
        if (self.manifest is None) == (not self.sources):
            raise ValueError("give either 'manifest' or 'sources'")
        if len(self.per_label) < 3:
            raise ValueError("per_label: give a number for each of train, val and test")
        return self


class PartConfig(BaseModel):
    """A registered part by name; every other key is an option of it, checked against its signature."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class TrainingConfig(_Frozen):
    """One stage of training.

    Args:
        epochs: passes over train.
        objective: ``labels``; ``masked``, a branch learns without labels to fill in what is hidden of its input; or
            ``contrastive``, in the stage ``fuse`` the encoders learn without labels which words, voice and face are of
            one clip.
        batch_size: clips a batch, of all processes together.
        accumulate: batches a step, of all whose clips the loss is the mean.
        budget: {modality: most of it in a batch of one process, padding included}, in tokens of text, seconds of
            speech, frames of faces, or rows of features; long clips then come in smaller batches. The loss of a step
            is the sum over its clips divided by the mean number of clips of the epoch's steps, so that every clip
            weighs the same. It
            holds for validation and evaluation too, which otherwise take 64 clips at a time.
        lr: peak learning rate of heads and fusion, and of encoders not named in ``branch_lr``.
        branch_lr: {modality: peak learning rate of its encoder}. What stands untrained beside trained weights in it,
            such as the pooling and projection over a pretrained model, has ``lr``.
        layer_decay: {modality: factor between the learning rates of an encoder's layer and the one below it}.
        freeze: encoders that keep their weights; what they make of each clip is computed once and cached.
        unfreeze: {modality: epochs from the thawing of one layer of its encoder to that of the next below}; the last
            layer is trained from the start.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        weight_decay: of AdamW, on weight matrices only.
        warmup: share of all steps for the linear rise; a cosine falls to zero after it.
        clip_norm: largest gradient norm; with a ``budget``, of a step of mean size, and in proportion for others.
        label_smoothing: share of the target spread over all labels.
        focal: exponent of the focal loss, by which what is already right counts less (0 off).
        class_weights: loss weight of a label is its train frequency to the power of minus this (0 none, 1 balanced);
            with ``task: multi`` that of the clips which have a label, against those which do not.
        balanced_sampling: clips are drawn with the frequency of their label to the power of minus this (0 each once, 1
            all labels alike).
        mixup: alpha of the Beta distribution by which the embeddings of pairs of clips are mixed (0 off).
        ema: decay of an exponential moving average of the weights, evaluated and kept in place of them (0 off).
        branch_loss: weight of the branches' own losses in the fused stage.
        modulation: how strongly, in the fused stage, the gradient of a modality that is ahead of the others is slowed
            down (the alpha of OGM-GE; 0 off); needs ``branch_loss`` and two modalities.
        auxiliary_loss: weight, in a branch's own stage, of learning beside the label what every other source says of
            the same clips (``modality_labels`` and the row's own label; see ``data.label_from``); heads of their own
            carry that and are thrown away, so that nothing of it is read in prediction (0 off).
        modality_dropout: chance that a clip shows only a random subset of its modalities, in the fused stage.
        dimension_loss: weight of the valence/arousal/dominance loss.
        patience: epochs without a better ``monitor`` before the stage stops.
        monitor: validation figure that selects the epoch; of labels ``uar`` (default), ``macro_f1``, ``wf1``,
            ``accuracy`` or ``loss``, of ``task: dimensions`` ``ccc`` or ``loss``; without either it is always ``loss``.
        save_steps: a resumable state every so many steps besides the one after each epoch (0 none).
        keep: how many of the last states are kept.
    """

    objective: ObjectiveName = "labels"
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    budget: dict[Modality, Annotated[float, Field(gt=0)]] = {}
    lr: float = Field(1e-3, gt=0)
    branch_lr: dict[Modality, Annotated[float, Field(gt=0)]] = {}
    layer_decay: dict[Modality, Annotated[float, Field(gt=0, le=1)]] = {}
    freeze: tuple[Modality, ...] = ()
    unfreeze: dict[Modality, Annotated[float, Field(gt=0)]] = {}
    gradient_checkpointing: bool = False
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    clip_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    focal: float = Field(0.0, ge=0)
    class_weights: float = Field(0.0, ge=0, le=1)
    balanced_sampling: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1)
    branch_loss: float = Field(0.3, ge=0)
    modulation: float = Field(0.0, ge=0)
    auxiliary_loss: float = Field(0.0, ge=0)
    modality_dropout: float = Field(0.5, ge=0, le=1)
    dimension_loss: float = Field(0.5, ge=0)
    patience: int = Field(10, ge=1)
    monitor: Literal["uar", "macro_f1", "wf1", "accuracy", "ccc", "loss"] = "uar"
    save_steps: int = Field(0, ge=0)
    keep: int = Field(1, ge=1)

    @field_validator("monitor", mode="before")
    @classmethod
    def _selects_on_validation(cls, value: Any) -> Any:
        if "test" in str(value):
            raise ValueError(
                f"{value!r} would choose the epoch on the test part; it is chosen on validation, by uar, macro_f1, "
                "wf1, accuracy or loss"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TrainingConfig:
        if self.modulation > 0 and self.branch_loss == 0:
            raise ValueError("modulation: compares the branches' own answers, so branch_loss must be above 0")
        both = sorted(set(self.freeze) & set(self.unfreeze))
        if both:
            raise ValueError(f"unfreeze.{both[0]}: freeze keeps this encoder as it is; take it out of one of the two")
        return self


class BenchmarkConfig(_Frozen):
    """What ``multiemo benchmark`` runs; training alone does not read it.

    Args:
        protocol: ``holdout`` (one split, as ``data.split`` draws or names it), ``kfold``, ``leave-one-speaker-out``,
            ``leave-one-session-out``, ``official``, or ``cross-corpus`` (each corpus of the manifest is the test
            once). Left out, it follows ``data.split.kind``.
        folds: of ``kfold``.
        seeds: trainings of each fold; the first has the seed ``seed``, the next ``seed + 1`` ...
        duplicates: what to do with near-duplicate clips in two parts: ``stop``; ``drop`` the one outside the test (of
            a train and validation pair the one in train); ``keep`` them, and say so in the report.
        baselines: also fit the classic baselines on the same folds.
        robustness: also measure the models of the first seed on corrupted test clips.
        jobs: trainings at a time; 0 = one a GPU, or one a core.
    """

    protocol: (
        Literal["holdout", "kfold", "leave-one-speaker-out", "leave-one-session-out", "official", "cross-corpus"] | None
    ) = None
    folds: int = Field(5, ge=2)
    seeds: int = Field(3, ge=1)
    duplicates: Literal["stop", "drop", "keep"] = "stop"
    baselines: bool = True
    robustness: bool = True
    jobs: int = Field(0, ge=0)


class Config(_Frozen):
    """A whole experiment.

    Args:
        name: of the experiment.
        seed: of initial weights, batch order and augmentation.
        label_set: a name in ``labels.LABEL_SETS``, or labels of your own, like ``custom:happy,sad,bored``; the corpus'
            labels are mapped to it. Left out with ``task: dimensions``.
        task: ``single`` label; ``multi`` (several at once); ``soft`` (crowd votes as a distribution); ``dimensions``,
            no label at all: valence, arousal and dominance, those that clips have.
        dimensions: beside labels, also learn valence, arousal and dominance where clips have them.
        data: see :class:`DataConfig`.
        encoders: {modality: encoder name and options}.
        fusion: fusion name and options.
        stages: in order; a modality pretrains its branch, ``fuse`` trains the fused model.
        training: settings of every stage.
        per_stage: {stage: keys of ``training`` that differ there}.
        branches: {modality: run or model folder} to start from; its pretraining stage is then skipped.
        init: {modality: run or model folder} whose encoder a stage starts from, for instance one that was pretrained
            without labels.
        max_error: wished error rate among the labels that are given; the others become ``uncertain``. The confidence
            that assures it is found on validation (``calibration.abstention_threshold``). ``None`` gives every label.
        benchmark: see :class:`BenchmarkConfig`.
        device: where it is trained, validated and benchmarked; ``auto`` is a CUDA GPU when there is one, else the CPU.
            Using the model elsewhere does not depend on it.
        precision: of every call of the model, also after training; ``auto`` is bf16 on a CUDA GPU that has it, else
            float32 (``no``). ``fp16`` trains on a CUDA GPU only, and is float32 on a CPU.
        compile: run the encoders through ``torch.compile``; needs a C++ compiler, pays off in long trainings.
        parallel: with several processes, ``ddp`` (each has the whole model) or ``fsdp`` (each has a share of it).
        trackers: where learning curves go besides the run folder.
    """

    name: str
    seed: int = 0
    label_set: str = ""
    task: Literal["single", "multi", "soft", "dimensions"] = "single"
    dimensions: bool = False
    data: DataConfig
    encoders: dict[Modality, PartConfig]
    fusion: PartConfig = PartConfig(name="gated")
    stages: tuple[StageName, ...] = ("text", "speech", "face", "fuse")
    training: TrainingConfig = TrainingConfig()
    per_stage: dict[StageName, dict[str, Any]] = {}
    branches: dict[Modality, str] = {}
    init: dict[Modality, str] = {}
    max_error: float | None = Field(None, gt=0, lt=1)
    benchmark: BenchmarkConfig = BenchmarkConfig()
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    compile: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)

    @model_validator(mode="before")
    @classmethod
    def _selects_dimensions(cls, values: Any) -> Any:
        """What is complete says which figure selects: another one without labels than with."""
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
                raise ValueError("label_set: this key is required; without labels, task: dimensions needs none")
            label_set(self.label_set)
            if "ccc" in monitors:
                raise ValueError("training.monitor: 'ccc' is of task: dimensions; choose one of labels, as uar")
            return self
        if self.label_set:
            raise ValueError(
                f"label_set: {self.label_set!r} is not read with task: dimensions, which gives no label; leave it out, "
                "or learn labels and dimensions together with task: single and dimensions: true"
            )
        if self.dimensions:
            raise ValueError("dimensions: task: dimensions learns them and nothing else; leave this key out")
        if self.data.sources:
            raise ValueError("data.sources: composite clips are paired by label, and task: dimensions has none")
        of_labels = sorted(monitors - {"ccc", "loss"})
        if of_labels:
            raise ValueError(f"training.monitor: {of_labels[0]!r} is of labels; task: dimensions has 'ccc' and 'loss'")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if not self.encoders:
            raise ValueError("encoders: name at least one")
        if not self.stages:
            raise ValueError("stages: name at least one")
        for stage in self.stages:
            if stage != "fuse" and stage not in self.encoders:
                raise ValueError(f"stages: {stage!r} has no encoder; add encoders.{stage} or leave the stage out")
        if len(set(self.stages)) != len(self.stages):
            raise ValueError("stages: a stage is named twice")
        if self.fused and self.stages[-1] != "fuse":
            raise ValueError("stages: 'fuse' comes last")
        if not self.fused and len(self.stages) > 1:
            raise ValueError("stages: several branches need 'fuse' at the end")
        if self.data.sources and not set(self.data.sources) >= set(self.encoders):
            raise ValueError("data.sources: name one source for each encoder")
        for name in ("branches", "init"):
            for m in getattr(self, name):
                if m not in self.encoders:
                    raise ValueError(f"{name}.{m}: there is no encoders.{m} to start from it")
        for m in self.init:
            if m in self.branches:
                raise ValueError(f"init.{m}: branches.{m} is used as it is; name the folder in one of the two")
        return self

    def training_of(self, stage: str) -> TrainingConfig:
        """``training`` with the differences of one stage.

        Raises:
            ConfigError: an unknown key under ``per_stage``.
        """
        settings = self._merged(stage)
        if stage == "fuse" and settings.modulation > 0 and len(self.encoders) == 1:
            raise ConfigError(
                f"training.modulation: {settings.modulation} would slow down the modality that is ahead of others, and "
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
        """Check the settings of every stage, and under ``per_stage`` also those of stages that are left out.

        Raises:
            ConfigError: as in :meth:`training_of`.
        """
        for stage in self.per_stage:
            self._merged(stage)
        for stage in self.stages:
            self.training_of(stage)

    def _merged(self, stage: str) -> TrainingConfig:
        merged = {**self.training.model_dump(), **self.per_stage.get(stage, {})}  # type: ignore[call-overload]
        try:
            return TrainingConfig(**merged)
        except ValidationError as error:
            raise explain(error, TrainingConfig, prefix=f"per_stage.{stage}.") from None

    @property
    def fused(self) -> bool:
        """Whether the stages end in a fused model."""
        return "fuse" in self.stages

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the C columns that a model answers with: its labels, or, without labels, the dimensions."""
        return DIMENSIONS if self.task == "dimensions" else label_set(self.label_set)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that a stage trains or uses, in the order of the tables; ``encoders`` may name more."""
        return tuple(m for m in MODALITIES if m in (self.encoders if self.fused else self.stages))

    @property
    def taken_over(self) -> dict[Modality, str]:
        """``branches``, of which only the stage ``fuse`` makes use."""
        return self.branches if self.fused else {}
