"""What every kind of input must answer, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import media_path
from multiemo.inputs.material import ClipMaterial, ManifestRow, PreparedInput, Request
from multiemo.types import Absent, Clip, InputSpec, Modality, spec_to_dict

if TYPE_CHECKING:
    from multiemo.preprocess.faces.tracking import FaceTracker

T = TypeVar("T")
Raw = TypeVar("Raw")


class Input(ABC):
    """One modality of a model as it is fed; of an unknown kind. A kind is a subclass of :class:`InputOf`.

    Training, prediction, the cache, corruptions and baselines ask these questions and look at nothing else.

    Attributes:
        modality: which branch of the model it feeds.
        spec: of the encoder.
        spec_type: class of the spec; its default ``kind`` is the name under which the input is registered.
        raw: class of what it takes of a clip (``Utterance``, ``Audio``, ``Pictures``, ...).
        title: what messages call it.
        in_files: whether media files, streams or texts hold it; else manifest rows alone do.
        decodes: whether media are decoded for it, which is worth worker processes and a place in the cache.
        earlier_turns: turns of a dialogue before the clip that it reads as well.
        request: what is decoded of a media file for it; ``None`` where nothing is.
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

    # ------------------------------------------------------------------------------------------------- making one
    @classmethod
    @abstractmethod
    def build(
        cls,
        modality: Modality,
        spec: InputSpec,
        *,
        texts: Callable[[], Iterable[str]] | None = None,
        assets: Path | None = None,
    ) -> Input:
        """The input that an encoder asks for.

        Args:
            modality: the encoder's.
            spec: the encoder's.
            texts: gives the training texts, for what is learnt from them.
            assets: folder of a checkpoint, where :meth:`save` has written.
        """

    def save(self, folder: Path) -> None:  # noqa: B027
        """Write what :meth:`build` needs besides the spec; by default there is nothing."""

    # ------------------------------------------------------------------------------------------ what a row says
    @classmethod
    @abstractmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """Where a row keeps it (a path, or the words themselves), or why it has none."""

    @classmethod
    @abstractmethod
    def wanted(cls, modality: Modality) -> str:
        """The keys of a row of which it needs one, for messages."""

    def fingerprint(self, clip: Clip) -> dict[str, Any]:
        """Every setting that the tensor depends on besides the file and its span, as JSON values."""
        return spec_to_dict(self.spec)

    def key(self, row: ManifestRow, cache: TensorCache) -> bytes:
        """What the tensor of a row is called in the cache; the row must have the input.

        Raises:
            MediaError: the file is missing.
        """
        clip = row.clip
        path = media_path(str(self.source(clip, self.modality)), row.folder)
        return cache.key(path, clip.start, clip.end, self.fingerprint(clip))

    # ------------------------------------------------------------------------------------------- from it, a tensor
    @abstractmethod
    def take(self, material: ClipMaterial) -> object:
        """Its part of what is known of a clip, of the class ``raw``, or :class:`~multiemo.types.Absent`."""

    @abstractmethod
    def prepare(self, raw: object) -> PreparedInput | Absent:
        """What the encoder reads, made from what :meth:`take` gave or from the same changed.

        Raises:
            MediaError: there is something wrong with it.
        """

    def read(self, material: ClipMaterial) -> PreparedInput | Absent:
        """:meth:`take`, then :meth:`prepare`."""
        raw = self.take(material)
        return raw if isinstance(raw, Absent) else self.prepare(raw)

    # -------------------------------------------------------------------------------------------------- the others
    def tracker(self) -> FaceTracker | None:
        """What follows it through a film; ``None`` where it is not found by following pictures."""
        return None

    def cut_note(self, lengths: Sequence[int]) -> str | None:
        """What to say where clips are longer than what is read of them.

        Args:
            lengths: time steps of every clip of a part, 0 where absent.
        """
        return None

    def described(self) -> Input:
        """The input that a classic baseline describes in place of this one; itself by default."""
        return self


class InputOf(Input, Generic[Raw]):
    """A kind of input that takes ``Raw`` of a clip; register it with ``@inputs.register(kind)``."""

    raw: type[Raw]

    @abstractmethod
    def take(self, material: ClipMaterial) -> Raw | Absent:
        """Its part of what is known of a clip, or why there is none."""

    @abstractmethod
    def make(self, raw: Raw) -> PreparedInput | Absent:
        """The tensor, or why there is none."""

    def prepare(self, raw: object) -> PreparedInput | Absent:
        """As :meth:`Input.prepare`; a raw form of another class is a mistake of the program."""
        return self.make(of_type(raw, self.raw))


def context_width(inputs: Mapping[Modality, Input]) -> int:
    """How many earlier turns of a dialogue a model reads.

    Args:
        inputs: {modality: input} of the model.
    """
    return max((entry.earlier_turns for entry in inputs.values()), default=0)


def of_type(value: object, wanted: type[T]) -> T:
    """The value, if it is of the class.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, wanted):
        raise TypeError(f"{type(value).__name__} in place of {wanted.__name__}")
    return value
