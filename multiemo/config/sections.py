"""The sections of a config: splits, data, encoders and fusion, training, and benchmark."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from multiemo.types import Modality

StageName = Literal["text", "speech", "face", "fuse"]
ObjectiveName = Literal["labels", "masked", "contrastive"]


class Frozen(BaseModel):
    """Base of the config sections: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject ``epochs: yes``, which Python would convert to 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"{str(value).lower()!r} is not a number")
        return value


class SplitConfig(Frozen):
    """How clips are assigned to train, val and test.

    Args:
        kind: ``holdout`` and ``kfold`` draw whole groups at random; ``official`` takes the ``split`` of the manifest
            and holds out groups of train where a part is missing; ``speakers`` names the speakers of each part;
            ``corpora`` tests on whole corpora of the manifest and trains on the others.
        group_by: what must not occur in two parts: ``speaker``; ``group`` (dialogue or session), for corpora whose
            speakers recur on purpose; ``clip``, only for corpora that know neither.
        val: share of the groups held out for validation where that part is drawn.
        test: share of the groups held out for the test, for ``holdout``. With 0 there is no test part, and ``val: 0``
            then trains on every row: the last epoch is kept and nothing is calibrated.
        folds: number of folds, for ``kfold``.
        fold: which fold is the test part, from 0, for ``kfold``.
        val_as_test: for ``official`` without a published test part: the published validation part becomes the test,
            and validation is held out of train.
        train_speakers: speakers of train, for ``speakers``: names, or ranges such as ``01-12``.
        val_speakers: speakers of validation, likewise.
        test_speakers: speakers of the test, likewise.
        test_corpora: the corpora that are the test, for ``corpora``.
        exclude: ids of clips that belong to no part, such as near-duplicates.
        hash: the hash that the split must have; a split that comes out differently is an error.
        seed: random seed of the draw. It is separate from the training seed, so that all seeds share one split.
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
            raise ValueError(f"test: only kind 'holdout' can have no test part, but the kind is {self.kind!r}")
        if self.val == 0 and self.test > 0:
            raise ValueError("val: a tested model is selected on validation; set test to 0 too, or val above 0")
        return self


class SourceConfig(Frozen):
    """One manifest and how it is read.

    Args:
        manifest: path of a JSONL or Parquet manifest, relative to the working directory.
        split: how its clips are assigned to train, val and test.
        label_from: what the target is: ``clip``, the label of the row, or a modality, whose own label in
            ``modality_labels`` is the target.
    """

    manifest: str
    split: SplitConfig = SplitConfig()
    label_from: Literal["clip", "text", "speech", "face"] = "clip"


class DataConfig(Frozen):
    """What is trained on: one ``manifest``, or ``sources`` to pretrain on and fuse as a label-paired composite.

    Args:
        manifest: path of the JSONL or Parquet manifest of every stage, relative to the working directory. Give this or
            ``sources``.
        split: how its clips are assigned to train, val and test.
        label_from: what the target is: ``clip``, the label of the row, or a modality, whose own label in
            ``modality_labels`` is the target.
        sources: one manifest for each modality. Each branch is pretrained on its own; the fused stage sees composite
            clips, whose modalities come from different people with the same label, drawn within each part.
        per_label: number of composite clips drawn for each label, in each part.
        workers: processes on one machine that decode, preprocess and read, shared by the processes that train there; 0
            means one for each core.
        cache: folder of the cache; ``null`` means ``$MULTIEMO_CACHE``, else the user's cache folder.
        limits: the largest media that are decoded: ``file_gb`` (size of a file, 10^9 bytes; default 200), ``hours``
            (what is read of a file; 48), ``megapixels`` (a picture; 200), ``frames`` (pictures of a film; 20 million)
            and ``memory_gb`` (sound and pictures of a clip in memory; 16). They precede ``$MULTIEMO_LIMITS``.
        skip_bad: where some modality of a clip cannot be read, list it and keep the clip's other modalities, instead of
            stopping.
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
    limits: dict[Literal["file_gb", "hours", "megapixels", "frames", "memory_gb"], Annotated[float, Field(gt=0)]] = {}
    skip_bad: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> DataConfig:
        if (self.manifest is None) == (not self.sources):
            raise ValueError("give either 'manifest' or 'sources'")
        if len(self.per_label) < 3:
            raise ValueError("per_label: give a number for each of train, val and test")
        return self


#: {option of a registered part: value}, checked against its signature when it is built.
Options: TypeAlias = dict[str, Any]


class PartConfig(BaseModel):
    """A registered encoder or fusion; every other key is one of its options, checked against its signature.

    Args:
        name: name of the encoder or fusion.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> Options:
        """All keys except the name."""
        return dict(self.model_extra or {})


class TrainingConfig(Frozen):
    """One stage of training.

    Args:
        objective: what is learned: ``labels``; ``masked``, without labels: a branch fills in what is hidden of its
            input; or ``contrastive``, without labels and in the stage ``fuse``: the encoders learn which words, voice
            and face belong to the same clip.
        epochs: passes over the training part.
        batch_size: clips in a batch, over all processes.
        accumulate: batches in an optimiser step; the loss of a step is the mean over all their clips.
        budget: the most of a modality in one batch of one process, padding included: tokens of text, seconds of speech,
            frames of faces, rows of features. Long clips then come in smaller batches. The loss of a step is the sum
            over its clips divided by the mean number of clips in the steps of the epoch, so that every clip weighs the
            same. It holds for validation and evaluation too, which otherwise take 64 clips at a time.
        lr: peak learning rate of heads and fusion, and of encoders without an entry in ``branch_lr``.
        branch_lr: peak learning rate of each encoder. Untrained parameters beside pretrained ones, such as the pooling
            and projection over a pretrained model, use ``lr``.
        layer_decay: factor between the learning rate of an encoder layer and that of the layer below it.
        freeze: encoders whose weights are kept, in the fused stage together with the heads of their pretrained
            branches. The embedding of each clip is computed once and cached.
        unfreeze: gradual unfreezing: the last layer of the encoder trains from the start, and after every so many
            epochs the next layer below it does too.
        gradient_checkpointing: recompute activations in the backward pass instead of storing them.
        weight_decay: weight decay of AdamW, on weight matrices only.
        warmup: share of all steps in which the learning rate rises linearly; after that it follows a cosine to zero.
        clip_norm: largest gradient norm. With a ``budget`` it applies to a step of mean size, and scales with the
            number of clips in other steps.
        label_smoothing: share of the target that is spread over all labels.
        focal: exponent of the focal loss, which reduces the weight of clips that are already classified well; 0
            switches it off.
        class_weights: the loss weight of a label is its frequency in train to the power of minus this: 0 means no
            weights, 1 balanced labels. With ``task: multi`` it weighs, for each label, the clips that have it against
            those that do not.
        balanced_sampling: clips are sampled with the frequency of their label to the power of minus this: 0 means each
            clip once, 1 all labels equally often.
        mixup: alpha of the Beta distribution with which the embeddings of pairs of clips are mixed; 0 switches it off.
        ema: decay of an exponential moving average of the weights, which is evaluated and kept in place of the weights
            themselves; 0 switches it off.
        branch_loss: weight of the branches' own losses in the fused stage.
        modulation: in the fused stage, how strongly the gradient of a modality that is ahead of the others is reduced
            (alpha of OGM-GE); 0 switches it off. Needs ``branch_loss`` and two modalities.
        auxiliary_loss: in the stage of a branch, weight of also learning what every other source says of the same clips
            (``modality_labels`` and the row's own label; see ``data.label_from``), with heads that are discarded after
            training; 0 switches it off.
        speaker_adversary: in the stage of a branch, weight of making its embedding useless to a classifier of the
            training speakers (gradient reversal); 0 switches it off. See docs/privacy.md for its effect and its cost.
        modality_dropout: in the fused stage, probability that a clip shows only a random subset of its modalities.
        dimension_loss: weight of the loss of valence, arousal and dominance.
        select: which epoch's weights are kept: ``best``, the one with the best ``monitor``, or ``last``. With few
            people in validation the best epoch is partly chance, and the last one can do better on other people.
        patience: with ``select: best``, epochs without a better ``monitor`` before the stage stops.
        monitor: the validation figure by which the best epoch is selected: ``uar``, ``macro_f1``, ``wf1``,
            ``accuracy`` or ``loss`` with labels, ``ccc`` (then the default) or ``loss`` with ``task: dimensions``;
            always ``loss`` with an objective without labels.
        save_steps: also write a resumable state every so many steps, besides the one after each epoch; 0 writes none.
        keep: how many of the latest states are kept.
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
    speaker_adversary: float = Field(0.0, ge=0)
    modality_dropout: float = Field(0.5, ge=0, le=1)
    dimension_loss: float = Field(0.5, ge=0)
    select: Literal["best", "last"] = "best"
    patience: int = Field(10, ge=1)
    monitor: Literal["uar", "macro_f1", "wf1", "accuracy", "ccc", "loss"] = "uar"
    save_steps: int = Field(0, ge=0)
    keep: int = Field(1, ge=1)

    @field_validator("monitor", mode="before")
    @classmethod
    def _selects_on_validation(cls, value: Any) -> Any:
        if "test" in str(value):
            raise ValueError(
                f"{value!r} would select the epoch on the test part; select it on validation, by uar, macro_f1, wf1, "
                "accuracy or loss"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TrainingConfig:
        if self.modulation > 0 and self.branch_loss == 0:
            raise ValueError("modulation: compares the branches' own predictions, so branch_loss must be above 0")
        both = sorted(set(self.freeze) & set(self.unfreeze))
        if both:
            raise ValueError(f"unfreeze.{both[0]}: freeze keeps this encoder unchanged; remove it from one of the two")
        return self


class BenchmarkConfig(Frozen):
    """What ``multiemo benchmark`` runs; training alone does not read it.

    Args:
        protocol: how the folds are made: ``holdout`` (the one split of ``data.split``), ``kfold``,
            ``leave-one-speaker-out``, ``leave-one-session-out``, ``official``, or ``cross-corpus`` (each corpus of the
            manifest is the test once). ``null`` follows ``data.split.kind``.
        folds: number of folds, for ``kfold``.
        seeds: trainings of each fold, with the seeds ``seed``, ``seed + 1`` and so on.
        duplicates: what to do with near-duplicate clips in two parts: ``stop``; ``drop`` the one outside the test (of a
            train and validation pair, the one in train); or ``keep`` them, which the report then says.
        baselines: also fit the classic baselines on the same folds; needs ``pip install "multiemo[benchmark]"``.
        robustness: also measure the models of the first seed on corrupted test clips.
        explanations: also measure how faithful the explanations of the models of the first seed are, on validation
            clips. It is off because it takes minutes: each explained clip costs hundreds of passes of its encoders.
        jobs: trainings that run at the same time; 0 means one for each GPU, or one for each core.
    """

    protocol: (
        Literal["holdout", "kfold", "leave-one-speaker-out", "leave-one-session-out", "official", "cross-corpus"] | None
    ) = None
    folds: int = Field(5, ge=2)
    seeds: int = Field(3, ge=1)
    duplicates: Literal["stop", "drop", "keep"] = "stop"
    baselines: bool = True
    robustness: bool = True
    explanations: bool = False
    jobs: int = Field(0, ge=0)
