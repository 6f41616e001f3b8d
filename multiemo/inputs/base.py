"""The interface that every kind of input implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import media_path
from multiemo.inputs.material import ClipMaterial, ManifestRow, PreparedInput, Request
from multiemo.types import Absent, Clip, InputSpec, Modality, spec_to_dict

if TYPE_CHECKING:
    from multiemo.preprocess.faces.tracking import FaceTracker

T = TypeVar("T")
Raw = TypeVar("Raw")


class Input(ABC):
    """One modality as a model reads it, whatever its kind. A kind is a subclass of :class:`InputOf`.

    Training, prediction, the cache, corruptions and baselines use only this interface.

    Attributes:
        modality: branch of the model that reads the input.
        spec: input specification of the encoder.
        spec_type: class of the spec. Its default ``kind`` is the name under which the input is registered.
        raw: class of the raw form that :meth:`take` returns (``Utterance``, ``Audio``, ``Pictures``, ...).
        title: name of the input in messages.
        in_files: whether media files, streams or texts can hold it. Otherwise only manifest rows can.
        decodes: whether media are decoded for it, which makes worker processes and caching worthwhile.
        earlier_turns: number of preceding dialogue turns that it also reads.
        request: what to decode from a media file; ``None`` if nothing.
        steps_per_unit: time steps in one unit of a budget: a token, a second of sound, a picture, a row.
    """

    spec_type: ClassVar[type[InputSpec]]
    raw: type[object]
    title: ClassVar[str]
    in_files: ClassVar[bool] = True
    decodes: ClassVar[bool] = False

    modality: Modality
    spec: InputSpec
    earlier_turns: int = 0
    request: Request | None = None
    steps_per_unit: float = 1.0

    # ------------------------------------------------------------------------------------------------ construction
    @classmethod
    def build(
        cls,
        modality: Modality,
        spec: InputSpec,
        *,
        texts: Callable[[], Iterable[str]] | None = None,
        assets: Path | None = None,
    ) -> Input:
        """Build the input that an encoder requires; from its spec alone, unless a kind overrides this.

        Args:
            modality: modality of the encoder.
            spec: input specification of the encoder.
            texts: returns the training texts, for what is learnt from them, such as a tokenizer.
            assets: checkpoint folder to which :meth:`save` has written.
        """
        return cls.from_spec(modality, spec)

    @classmethod
    def from_spec(cls, modality: Modality, spec: InputSpec) -> Input:
        """Build the input from its spec alone; a kind that needs more overrides :meth:`build` instead."""
        raise NotImplementedError(f"{cls.__name__} has neither from_spec nor a build of its own")

    def save(self, folder: Path) -> None:  # noqa: B027
        """Write what :meth:`build` needs besides the spec. The default writes nothing."""

    # ----------------------------------------------------------------------------------------------- manifest rows
    @classmethod
    @abstractmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """The path or the text that a row gives for this input, or why it gives none."""

    @classmethod
    @abstractmethod
    def row_keys(cls, modality: Modality) -> str:
        """The manifest keys that provide this input, for messages."""

    def fingerprint(self, clip: Clip) -> dict[str, object]:
        """Every setting that the tensor depends on besides the file and its span, as JSON values."""
        return spec_to_dict(self.spec)

    def key(self, row: ManifestRow, cache: TensorCache) -> bytes:
        """The cache key of a row's tensor. The row must have this input.

        Raises:
            MediaError: the file is missing.
        """
        clip = row.clip
        path = media_path(str(self.source(clip, self.modality)), row.folder)
        return cache.key(path, clip.start, clip.end, self.fingerprint(clip))

    # ------------------------------------------------------------------------------------------------- preparation
    @abstractmethod
    def take(self, material: ClipMaterial) -> object:
        """Extract the raw form from the material of a clip: an instance of ``raw``, or why it is absent."""

    @abstractmethod
    def prepare(self, raw: object) -> PreparedInput | Absent:
        """Convert a raw form to what the encoder reads.

        Args:
            raw: result of :meth:`take`, possibly modified (corruptions do that).

        Raises:
            MediaError: the raw form is unusable.
        """

    def read(self, material: ClipMaterial) -> PreparedInput | Absent:
        """Apply :meth:`take`, then :meth:`prepare`."""
        raw = self.take(material)
        return raw if isinstance(raw, Absent) else self.prepare(raw)

    # ---------------------------------------------------------------------------------------------------- optional
    def tracker(self) -> FaceTracker | None:
        """A tracker that follows this input through a film; ``None`` if the input needs no tracking."""
        return None

    def cut_note(self, lengths: Sequence[int]) -> str | None:
        """A note for the user if clips exceed the longest input that is read, else ``None``.

        Args:
            lengths: time steps of every clip of a split, 0 where absent.
        """
        return None

    def baseline_input(self) -> Input:
        """The input that classic baselines describe in place of this one. The default is the input itself."""
        return self


class InputOf(Input, Generic[Raw]):
    """A kind of input whose raw form is ``Raw``. Register it with ``@inputs.register(kind)``."""

    raw: type[Raw]

    @abstractmethod
    def take(self, material: ClipMaterial) -> Raw | Absent:
        """Extract the raw form from the material of a clip, or say why it is absent."""

    @abstractmethod
    def make(self, raw: Raw) -> PreparedInput | Absent:
        """Convert the raw form to a tensor, or say why that is impossible."""

    def prepare(self, raw: object) -> PreparedInput | Absent:
        """As :meth:`Input.prepare`. A raw form of another class is a programming error (``TypeError``)."""
        return self.make(of_type(raw, self.raw))


def context_width(inputs: Mapping[Modality, Input]) -> int:
    """The largest number of earlier dialogue turns that any input of a model reads.

    Args:
        inputs: {modality: input} of the model.
    """
    return max((entry.earlier_turns for entry in inputs.values()), default=0)


def of_type(value: object, expected: type[T]) -> T:
    """Return the value unchanged after checking its class.

    Raises:
        TypeError: the value is not an instance of ``expected``.
    """
    if not isinstance(value, expected):
        raise TypeError(f"expected {expected.__name__}, got {type(value).__name__}")
    return value
