"""The records that travel through multiemo, and the one legend of shapes and units.

Shape letters, used in every docstring:

====  =====================================================================
B     clips in a batch
L     tokens of a text
N     audio samples
T     time steps of a sequence, whatever the modality (tokens, 10 ms frames, video frames)
F     video frames (sampled, not all of the file)
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
#: What a clip is labelled with: one label, votes for labels, several labels, or valence, arousal and dominance alone.
Task: TypeAlias = Literal["single", "soft", "multi", "dimensions"]
#: Whether figures are of recordings of people; ``composite`` pairs modalities of different people.
CorpusKind: TypeAlias = Literal["real", "composite", "synthetic"]
MODALITIES: tuple[Modality, ...] = ("text", "speech", "face")

#: Where the label of a row can come from: the row itself, or what was judged from one modality alone.
LABEL_SOURCES: tuple[str, ...] = ("clip", *MODALITIES)

#: Every non-empty set of modalities, by the key it has in tables and JSON (T, S, F in that order).
SUBSETS: dict[str, tuple[Modality, ...]] = {
    "T": ("text",),
    "S": ("speech",),
    "F": ("face",),
    "TS": ("text", "speech"),
    "TF": ("text", "face"),
    "SF": ("speech", "face"),
    "TSF": ("text", "speech", "face"),
}

#: A label rarer than this in train is one that nothing is known of: no modality is evidence for or against it, and
#: label frequencies are kept this far from zero and one.
SMALLEST_PRIOR = 1e-6

DIMENSIONS: tuple[str, ...] = ("valence", "arousal", "dominance")

#: P, the columns of the prosody track, in order; ``preprocess/voice/prosody.py`` says what each one measures.
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


#: An earlier utterance of the dialogue: whether the same person said it, and what was said.
ContextTurn: TypeAlias = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class FeatureRef:
    """Where one clip's precomputed features lie.

    Args:
        path: CSV, ``.npy``, ``.npz`` or ``.safetensors``, relative to the manifest's folder.
        key: the row id in a CSV, or the array's name in an ``.npz``/``.safetensors``; ``None`` for a file of one clip.
    """

    path: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One labelled span of media by one speaker: a manifest row (see ``data/manifest/rows.py`` for the rules).

    ``cropped`` says that its pictures are face crops already: they are taken whole, and no face is looked for.
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


@dataclass(frozen=True, slots=True)
class Absent:
    """Returned instead of a tensor: this modality is not there, and why.

    Args:
        reason: why.
        advice: what somebody who asks for a prediction can do, as the reason goes on.
    """

    reason: str
    advice: str = ""


# --------------------------------------------------------------------------------------------------------------------
# Input specs: what an encoder wants to be fed. Made by the encoder, stored in the checkpoint, turned into a
# preprocessor by ``build``. Training and prediction read the same one.


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What an encoder wants to be fed; a subclass a kind.

    Args:
        kind: name of the kind, under which ``multiemo.inputs`` finds what feeds it.
    """

    kind: str


#: First entries of a trained tokenizer, by id: padding, unknown, start, end of an utterance, masked (augmentation), and
#: the marks put before an earlier utterance of the same speaker and of another one.
TEXT_SPECIALS: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[SELF]", "[OTHER]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSpec(InputSpec):
    """Token ids ``[L]`` int64.

    Args:
        tokenizer: ``"trained"`` (a subword tokenizer trained on the training text, kept in the checkpoint), or the
            name or folder of a pretrained model whose tokenizer is used.
        vocab_size: most entries of a trained tokenizer; ignored for a pretrained one.
        characters: the tokens of a trained tokenizer are single characters.
        max_tokens: longer texts lose their oldest context first, then their end.
        context: how many earlier utterances of the same dialogue are put before the text.
    """

    tokenizer: str = "trained"
    vocab_size: int = 8000
    characters: bool = False
    max_tokens: int = 128
    context: int = 0
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSpec(InputSpec):
    """Log-mel bands and prosody channels side by side, ``[T, M + P]`` float32, one row each ``hop`` seconds.

    Args:
        sample_rate: Hz.
        n_mels: M; 0 leaves the log-mel stream out.
        prosody: whether the P channels of ``preprocess/voice/prosody.py`` follow the mel bands.
        hop: seconds between rows.
        max_seconds: longer audio is cut after this many seconds.
        trim: both ends are cut where they lie this many dB under the clip's loudest 25 ms (0.1 s is kept); 0 keeps
            them.
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
        """How many rows a second of sound has."""
        return 1 / self.hop

    @property
    def most_rows(self) -> int:
        """Rows of audio of ``max_seconds``; audio that has as many was cut, or ended there."""
        return round(self.max_seconds / self.hop)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformSpec(InputSpec):
    """The waveform itself, float32, for pretrained speech encoders.

    ``[N, 1]``; with ``prosody`` ``[T, hop * sample_rate + P]``, one row a hop: its samples, then the prosody channels.

    Args:
        sample_rate: Hz.
        max_seconds: longer audio is cut.
        trim: as in :class:`SpeechSpec`.
        normalize: scale each clip to zero mean and unit variance, where the pretrained model wants it.
        prosody: whether the P channels of ``preprocess/voice/prosody.py`` stand beside the samples.
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
        """Samples in each row."""
        return round(self.hop * self.sample_rate) if self.prosody else 1

    @property
    def rows_per_second(self) -> float:
        """How many rows a second of sound has."""
        return self.sample_rate / self.row_samples

    @property
    def most_rows(self) -> int:
        """Rows of audio of ``max_seconds``; audio that has as many was cut, or ended there."""
        return int(round(self.max_seconds * self.sample_rate) / self.row_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSpec(InputSpec):
    """Aligned face crops ``[F, 3, S, S]`` uint8 RGB, evenly spread over the span.

    Args:
        size: S, pixels.
        frames: most crops taken of one clip (1 for a still).
        fps: wanted frames a second before ``frames`` caps them.
        detector: ``auto`` (the best one installed), ``centerface``, ``haar``, or the path of a YuNet ``.onnx`` file.
        detector_size: longer side of the picture handed to the detector, pixels.
        min_score: detections below this confidence are not faces.
        min_face: smallest face taken, as a share of the picture's shorter side.
        mean: subtracted per channel after scaling to 0..1 (done by the encoder, on the device).
        std: divided by, per channel.
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
        dim: columns; the data set says how many there are.
        max_steps: longer sequences are thinned evenly to this many rows.
    """

    dim: int
    max_steps: int = 256
    kind: Literal["features"] = "features"


def spec_to_dict(spec: InputSpec) -> dict[str, Any]:
    """The spec as plain JSON values; ``multiemo.inputs.spec_from_dict`` is the inverse."""
    return asdict(spec)


# --------------------------------------------------------------------------------------------------------------------
# Samples, batches, outputs


@dataclass(slots=True)
class Sample:
    """One preprocessed clip.

    Args:
        id, corpus, speaker: of the clip; ``speaker`` falls back to group, then id.
        inputs: {modality: ``[T, ...]``}; only the modalities that are there.
        absent: {modality: reason} for those that are not.
        target: ``[C]`` float32: one-hot, soft votes, or several ones (multi-label); ``None`` when unlabelled.
        dimensions: ``[3]`` float32 valence, arousal, dominance; NaN where unknown.
        other_targets: ``[A, C]`` float32, what the other label sources (``LABEL_SOURCES`` without the one that
            ``target`` is from) say of the clip; rows of zeros where they say nothing. ``None`` outside training.
        embeddings: {modality: ``[D]``} of frozen encoders; such a modality is present without an input.
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


@dataclass(slots=True)
class Batch:
    """Padded clips.

    Args:
        ids, corpora, speakers: one string a clip.
        inputs: {modality: ``[B, T, ...]``}, zero-padded; every modality of the model has its key.
        masks: {modality: ``[B, T]`` bool}, true where a time step is real.
        presence: {modality: ``[B]`` bool}, true where the clip has the modality. A row that is absent holds zeros
            that no module reads.
        absent: per clip {modality: reason}.
        target: ``[B, C]`` float32; zeros where unlabelled.
        labelled: ``[B]`` bool.
        dimensions: ``[B, 3]`` float32, NaN where unknown.
        other_targets: ``[B, A, C]`` float32, see :class:`Sample`; ``None`` where a sample has none.
        embeddings: {modality: ``[B, D]``} of frozen encoders, zeros where absent; their inputs are empty.
        rows: {modality: the rows that have it, int64, or ``None`` when all do}. Worked out on the CPU, so that a step
            on a GPU need not wait to learn it; a batch made on another device does without.
        together: {modality: time steps in the batch of which this is the share of one process}; empty outside training.
            Where a share lacks what another has, ``inputs`` and ``masks`` hold a clip to stand in for it.
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
    together: dict[Modality, int] = field(default_factory=dict)
    rows: dict[Modality, Tensor | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.rows = {
            m: None if bool(here.all()) else here.nonzero().squeeze(1)
            for m, here in self.presence.items()
            if here.device.type == "cpu"
        }

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: Any) -> Batch:
        """The batch with every tensor on ``device``; from pinned memory the copies do not wait."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory; a loader calls it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def used_on(self, stream: torch.cuda.Stream) -> Batch:
        """The batch, whose memory is not given away before what ``stream`` has been told to do with it is done."""

        def noted(tensor: Tensor) -> Tensor:
            tensor.record_stream(stream)
            return tensor

        return self._each(noted)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: changed(inner) for key, inner in value.items()}
            return None if value is None else change(value)

        names = ("inputs", "masks", "presence", "target", "labelled", "dimensions", "other_targets", "embeddings")
        batch = copy(self)  # not ``replace``, which would work the rows out again
        for name in (*names, "rows"):
            setattr(batch, name, changed(getattr(self, name)))
        return batch


@dataclass(slots=True)
class Output:
    """What a model says of a batch.

    Args:
        logits: ``[B, C]`` for the modalities that were present.
        branch_logits: {modality: ``[B, C]``} of each branch's own head; read only where present.
        dimensions: ``[B, 3]`` within -1..1, or ``None`` when the model has no such head.
        by_subset: {subset key: ``[B, C]``} fused logits as if only that subset were present; asked for, else empty.
        usable: {subset key: ``[B]`` bool}: the clip has at least one modality of the subset.
        embeddings: {modality: ``[B, D]``}.
    """

    logits: Tensor
    branch_logits: dict[Modality, Tensor] = field(default_factory=dict)
    dimensions: Tensor | None = None
    by_subset: dict[str, Tensor] = field(default_factory=dict)
    usable: dict[str, Tensor] = field(default_factory=dict)
    embeddings: dict[Modality, Tensor] = field(default_factory=dict)


@runtime_checkable
class Predicts(Protocol):
    """Anything ``evaluate`` can measure: a callable from a batch to an output."""

    def __call__(self, batch: Batch) -> Output:
        """Predict a batch."""
        ...


def subset_key(modalities: Sequence[str]) -> str:
    """The table key of a set of modalities.

    Example:
        >>> subset_key(["face", "text"])
        'TF'
    """
    return "".join(m[0].upper() for m in MODALITIES if m in modalities)
