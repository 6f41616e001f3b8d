"""Shared data types, and the legend of shapes and units.

Shape letters, used in every docstring:

====  =====================================================================
B     clips in a batch
L     tokens of a text
N     audio samples
T     time steps of a sequence, whatever the modality (tokens, 10 ms frames, video frames)
F     video frames (those sampled, not all of the file)
M     mel bands
P     prosody channels
H, W  height and width of an image, pixels
D     width of an embedding
C     labels of the label set
====  =====================================================================

Units: time in seconds, audio in mono float32 within -1..1, rates in Hz, frames as uint8 RGB ``[F, H, W, 3]``,
valence/arousal/dominance within -1..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Modality: TypeAlias = Literal["text", "speech", "face"]
#: Form of the labels: one label, votes for labels, several labels, or only valence, arousal and dominance.
Task: TypeAlias = Literal["single", "soft", "multi", "dimensions"]
#: Origin of the recordings; ``composite`` pairs modalities of different people.
CorpusKind: TypeAlias = Literal["real", "composite", "synthetic"]
MODALITIES: tuple[Modality, ...] = ("text", "speech", "face")

#: Sources of a row's label: the row itself, or a judgement of one modality.
LABEL_SOURCES: tuple[str, ...] = ("clip", *MODALITIES)

#: {key in tables and JSON: modalities} of every non-empty set of modalities (T, S, F in that order).
SUBSETS: dict[str, tuple[Modality, ...]] = {
    "T": ("text",),
    "S": ("speech",),
    "F": ("face",),
    "TS": ("text", "speech"),
    "TF": ("text", "face"),
    "SF": ("speech", "face"),
    "TSF": ("text", "speech", "face"),
}

#: A label with a smaller frequency in the train split counts as unknown: no modality is evidence for or against it.
#: Label frequencies are kept at least this far from zero and one.
SMALLEST_PRIOR = 1e-6

DIMENSIONS: tuple[str, ...] = ("valence", "arousal", "dominance")

#: P, the columns of the prosody track, in order. ``preprocess/voice/prosody.py`` defines each one.
PROSODY_CHANNELS: tuple[str, ...] = (
    "f0",
    "voicing",
    "energy",
    "tilt",
    "harmonicity",
    "jitter",
    "shimmer",
    "rate",
    "delta_f0",
    "flux",
    "h1_h2",
)


#: An earlier utterance of the dialogue: whether the same person said it, and its text.
ContextTurn: TypeAlias = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class FeatureRef:
    """Location of one clip's precomputed features.

    Args:
        path: CSV, ``.npy``, ``.npz`` or ``.safetensors``, relative to the manifest's folder.
        key: row id in a CSV, or name of the array in an ``.npz`` or ``.safetensors``; ``None`` if the file holds only
            one clip.
    """

    path: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One labelled span of media by one speaker: a manifest row (see ``data/manifest/rows.py`` for the rules).

    ``cropped`` states that the pictures are face crops, so they are used whole and no face is searched for.
    ``attributes`` are facts about the speaker or the recording (``sex``, ``age``, ``intensity``), by which errors are
    compared between groups of clips; no model reads them.
    """

    id: str
    corpus: str
    speaker: str | None = None
    group: str | None = None
    language: str | None = None
    text: str | None = None
    audio: str | None = None
    video: str | None = None
    image: str | None = None
    cropped: bool = False
    features: Mapping[str, FeatureRef] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None
    label_set: str | None = None
    label: str | None = None
    labels: tuple[str, ...] | None = None
    votes: Mapping[str, float] | None = None
    modality_labels: Mapping[str, str] = field(default_factory=dict)
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """Returned instead of a tensor if a modality is absent.

    Args:
        reason: why it is absent.
        advice: what a user who requested a prediction can do, phrased as a continuation of the reason.
    """

    reason: str
    advice: str = ""


# --------------------------------------------------------------------------------------------------------------------
# Input specs: the input that an encoder requires. The encoder creates its spec, checkpoints store it, and
# ``inputs.build_input`` builds the preprocessor from it, for training and prediction alike.


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The input that an encoder requires. Each kind of input has a subclass.

    Args:
        kind: name under which ``multiemo.inputs`` registers the kind.
    """

    kind: str


#: First entries of a trained tokenizer, by id: padding, unknown, start, end of an utterance, masked (augmentation), and
#: the marks that precede an earlier utterance of the same speaker and of another one.
TEXT_SPECIALS: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[SELF]", "[OTHER]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSpec(InputSpec):
    """Token ids ``[L]`` int64.

    Args:
        tokenizer: ``"trained"`` (a subword tokenizer trained on the training text, stored in the checkpoint), or the
            name or folder of a pretrained model whose tokenizer is used.
        vocab_size: largest vocabulary of a trained tokenizer; ignored for a pretrained one.
        characters: whether the tokens of a trained tokenizer are single characters.
        max_tokens: longest input; longer ones lose their oldest context first, then their end, or with a layout other
            than ``utterance_first`` their beginning.
        context: number of earlier utterances of the same dialogue that are read with the text.
        prefix: text put directly before the utterance, as some pretrained models require ("query: ").
        layout: order and marks of utterance and context, see ``preprocess/sequences.py``.
    """

    tokenizer: str = "trained"
    vocab_size: int = 8000
    characters: bool = False
    max_tokens: int = 128
    context: int = 0
    prefix: str = ""
    layout: Literal["utterance_first", "utterance_last", "chat"] = "utterance_first"
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSpec(InputSpec):
    """Log-mel bands and prosody channels side by side, ``[T, M + P]`` float32, one row every ``hop`` seconds.

    Args:
        sample_rate: sample rate, Hz.
        n_mels: M; 0 leaves the log-mel bands out.
        prosody: whether the P channels of ``preprocess/voice/prosody.py`` follow the mel bands.
        hop: seconds between rows.
        max_seconds: longer audio is cut after this many seconds.
        trim: both ends are cut where they are this many dB below the clip's loudest 25 ms (0.1 s is kept); 0 cuts
            nothing.
    """

    sample_rate: int = 16000
    n_mels: int = 64
    prosody: bool = True
    hop: float = 0.01
    max_seconds: float = 12.0
    trim: float = 40.0
    kind: Literal["speech"] = "speech"

    @property
    def rows_per_second(self) -> float:
        """Number of rows per second of sound."""
        return 1 / self.hop

    @property
    def most_rows(self) -> int:
        """Number of rows of ``max_seconds`` of audio. Audio with this many rows was cut, or ended there."""
        return round(self.max_seconds / self.hop)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformSpec(InputSpec):
    """The waveform as float32, for pretrained speech encoders.

    ``[N, 1]``. With ``prosody``: ``[T, hop * sample_rate + P]``, one row per hop with its samples, then the prosody
    channels.

    Args:
        sample_rate: sample rate, Hz.
        max_seconds: longer audio is cut after this many seconds.
        trim: as in :class:`SpeechSpec`.
        normalize: scale each clip to zero mean and unit variance, if the pretrained model requires it.
        prosody: whether the P channels of ``preprocess/voice/prosody.py`` follow the samples.
        hop: seconds between rows of prosody.
    """

    sample_rate: int = 16000
    max_seconds: float = 12.0
    trim: float = 40.0
    normalize: bool = True
    prosody: bool = False
    hop: float = 0.01
    kind: Literal["waveform"] = "waveform"

    @property
    def row_samples(self) -> int:
        """Number of samples in each row."""
        return round(self.hop * self.sample_rate) if self.prosody else 1

    @property
    def rows_per_second(self) -> float:
        """Number of rows per second of sound."""
        return self.sample_rate / self.row_samples

    @property
    def most_rows(self) -> int:
        """Number of rows of ``max_seconds`` of audio. Audio with this many rows was cut, or ended there."""
        return int(round(self.max_seconds * self.sample_rate) / self.row_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSpec(InputSpec):
    """Aligned face crops ``[F, 3, S, S]`` uint8 RGB, evenly spread over the span.

    Args:
        size: S, side of a crop, pixels.
        frames: largest number of crops per clip (1 for a still).
        fps: frames per second to sample, before ``frames`` limits them.
        detector: ``auto`` (the best one installed), ``centerface``, ``haar``, or the path of a YuNet ``.onnx`` file.
        detector_size: longer side of the picture passed to the detector, pixels.
        min_score: smallest confidence of a detection.
        min_face: smallest face, as a share of the picture's shorter side.
        mean: subtracted per channel after scaling to 0..1 (by the encoder, on the device).
        std: divisor per channel.
    """

    size: int = 64
    frames: int = 8
    fps: float = 4.0
    detector: str = "auto"
    detector_size: int = 320
    min_score: float = 0.5
    min_face: float = 0.04
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    kind: Literal["face"] = "face"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec(InputSpec):
    """Precomputed vectors (T = 1) or sequences, ``[T, dim]`` float32.

    Args:
        dim: number of columns, given by the data.
        max_steps: longer sequences are subsampled evenly to this many rows.
        columns: names of the columns in the training data; empty if the files do not name them.
    """

    dim: int
    max_steps: int = 256
    columns: tuple[str, ...] = ()
    kind: Literal["features"] = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRulesSpec(InputSpec):
    """What rules find in a text, ``[1, K]`` float32.

    Args:
        lexicon: file or folder of an academic lexicon, added to the built-in lists; empty for none.
        lexicon_sha256: digest of the lexicon that the model was made with; empty before that.
        language: ISO 639-1 code of the language of all texts; empty takes it from the rows, or from the script.
    """

    lexicon: str = ""
    lexicon_sha256: str = ""
    language: str = ""
    kind: Literal["text_rules"] = "text_rules"


def spec_to_dict(spec: InputSpec) -> dict[str, object]:
    """The spec as plain JSON values; ``multiemo.inputs.spec_from_dict`` is the inverse."""
    return asdict(spec)


# --------------------------------------------------------------------------------------------------------------------
# Samples, batches, outputs


@dataclass(slots=True)
class Sample:
    """One preprocessed clip.

    Args:
        id: id of the clip.
        corpus: corpus of the clip.
        speaker: speaker of the clip, or its group, or its id, with the corpus as prefix.
        inputs: {modality: ``[T, ...]``}, only for present modalities.
        absent: {modality: reason} for absent ones.
        target: ``[C]`` float32: one-hot, soft votes, or several ones (multi-label); ``None`` without a label.
        dimensions: ``[3]`` float32 valence, arousal, dominance; NaN where unknown.
        other_targets: ``[A, C]`` float32, labels from the other label sources (``LABEL_SOURCES`` without the one of
            ``target``); rows of zeros for sources without a label. ``None`` outside training.
        embeddings: {modality: ``[D]``} of frozen encoders. Such a modality is present without an input.
        states: {modality: ``[T, K]``} hidden states of frozen backbones. Such a modality is present; its input holds
            only what its encoder reads besides, and may be missing.
    """

    id: str
    corpus: str
    speaker: str
    inputs: dict[Modality, Tensor]
    absent: dict[Modality, str]
    target: Tensor | None
    dimensions: Tensor
    other_targets: Tensor | None = None
    embeddings: dict[Modality, Tensor] = field(default_factory=dict)
    states: dict[Modality, Tensor] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """Padded clips.

    Args:
        ids: id of each clip.
        corpora: corpus of each clip.
        speakers: speaker of each clip.
        inputs: {modality: ``[B, T, ...]``}, zero-padded, for every modality of the model.
        masks: {modality: ``[B, T]`` bool}, true for real time steps.
        presence: {modality: ``[B]`` bool}, true if the clip has the modality. Rows of absent inputs are zero and no
            module reads them.
        absent: {modality: reason} for each clip.
        target: ``[B, C]`` float32; zeros without a label.
        labelled: ``[B]`` bool, true for clips with a label.
        dimensions: ``[B, 3]`` float32, NaN where unknown.
        other_targets: ``[B, A, C]`` float32, see :class:`Sample`; ``None`` if a sample has none.
        embeddings: {modality: ``[B, D]``} of frozen encoders, zeros where absent; their inputs are empty.
        states: {modality: ``[B, T, K]``} hidden states of frozen backbones, zero-padded.
        state_masks: {modality: ``[B, T]`` bool}, true for real steps of ``states``.
        speaker_offsets: {modality: ``[B, M]``} to subtract from every step of the input ``[B, T, M]``: how the speaker
            of each clip usually differs from others, see ``encoders/common/speaker_offset.py``.
        rows: {modality: rows that have it, int64, or ``None`` if all have it}. Computed on the CPU, so that a step on a
            GPU does not wait for it; empty for a batch created on another device.
        together: {modality: time steps in the whole batch of which this is one process's share}; empty outside
            training. If a share lacks a modality of another share, ``inputs`` and ``masks`` hold one clip in its place.
        unpadded: modalities of which every clip that has them fills all steps. Computed on the CPU, like ``rows``, so
            that encoders can leave masks away.
    """

    ids: list[str]
    corpora: list[str]
    speakers: list[str]
    inputs: dict[Modality, Tensor]
    masks: dict[Modality, Tensor]
    presence: dict[Modality, Tensor]
    absent: list[dict[Modality, str]]
    target: Tensor
    labelled: Tensor
    dimensions: Tensor
    other_targets: Tensor | None = None
    embeddings: dict[Modality, Tensor] = field(default_factory=dict)
    states: dict[Modality, Tensor] = field(default_factory=dict)
    state_masks: dict[Modality, Tensor] = field(default_factory=dict)
    speaker_offsets: dict[Modality, Tensor] = field(default_factory=dict)
    together: dict[Modality, int] = field(default_factory=dict)
    rows: dict[Modality, Tensor | None] = field(init=False, repr=False)
    unpadded: frozenset[Modality] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.rows = {
            m: None if bool(here.all()) else here.nonzero().squeeze(1)
            for m, here in self.presence.items()
            if here.device.type == "cpu"
        }
        self.unpadded = frozenset(
            m
            for m, rows in self.rows.items()
            if m in self.masks and bool((self.masks[m] if rows is None else self.masks[m][rows]).all())
        )

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: Any) -> Batch:
        """The batch with every tensor on ``device``. Copies from pinned memory are asynchronous."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, as data loaders request it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def used_on(self, stream: torch.cuda.Stream) -> Batch:
        """The batch, with its memory reserved until the work queued on ``stream`` is done."""

        def noted(tensor: Tensor) -> Tensor:
            tensor.record_stream(stream)
            return tensor

        return self._each(noted)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: changed(inner) for key, inner in value.items()}
            return None if value is None else change(value)

        names = ("inputs", "masks", "presence", "target", "labelled", "dimensions", "other_targets")
        batch = copy(self)  # not ``replace``, which would compute ``rows`` again
        for name in (*names, "embeddings", "states", "state_masks", "speaker_offsets", "rows"):
            setattr(batch, name, changed(getattr(self, name)))
        return batch


@dataclass(slots=True)
class Output:
    """The output of a model for a batch.

    Args:
        logits: ``[B, C]`` for the modalities that were present.
        branch_logits: {modality: ``[B, C]``} of each branch's own head; valid only where the modality is present.
        dimensions: ``[B, 3]`` within -1..1, or ``None`` if the model has no such head.
        by_subset: {subset key: ``[B, C]``} fused logits as if only that subset were present, if requested.
        usable: {subset key: ``[B]`` bool}, true if the clip has at least one modality of the subset.
        embeddings: {modality: ``[B, D]``}.
        reliability: {modality: ``[B]`` within 0..1}, the weight of its input in the fusion; 1 where it is absent. Empty
            if the model does not measure it.
    """

    logits: Tensor
    branch_logits: dict[Modality, Tensor] = field(default_factory=dict)
    dimensions: Tensor | None = None
    by_subset: dict[str, Tensor] = field(default_factory=dict)
    usable: dict[str, Tensor] = field(default_factory=dict)
    embeddings: dict[Modality, Tensor] = field(default_factory=dict)
    reliability: dict[Modality, Tensor] = field(default_factory=dict)


@runtime_checkable
class Predicts(Protocol):
    """Anything that ``evaluate`` can measure: a callable from a batch to an output."""

    def __call__(self, batch: Batch) -> Output:
        """Predict a batch."""
        ...


def subset_key(modalities: Sequence[str]) -> str:
    """The key of a set of modalities in tables and JSON.

    Example:
        >>> subset_key(["face", "text"])
        'TF'
    """
    return "".join(m[0].upper() for m in MODALITIES if m in modalities)
