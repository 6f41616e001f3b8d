"""Text: the words of a row or the transcript of a file, as token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor

from multiemo.data.cache.keys import text_key
from multiemo.data.cache.tensors import TensorCache
from multiemo.inputs.base import Input, InputOf, of_type
from multiemo.inputs.material import ClipMaterial, ManifestRow, PreparedInput, Utterance
from multiemo.preprocess.text import TextPreprocessor
from multiemo.registry import inputs
from multiemo.types import Absent, Clip, ContextTurn, InputSpec, Modality, TextSpec


class ReadsText(Protocol):
    """A :class:`~multiemo.preprocess.text.TextPreprocessor`, or a substitute for one."""

    @property
    def spec(self) -> TextSpec:
        """Input specification of the encoder."""
        ...

    def __call__(self, text: str, context: Sequence[ContextTurn] = ()) -> Tensor | Absent:
        """Convert a text and its preceding turns to token ids, ``[L]`` int64."""
        ...

    def save(self, folder: Path) -> None:
        """Write the tokenizer."""
        ...


@inputs.register("text")
class TextInput(InputOf[Utterance]):
    """Token ids ``[L]`` int64 of an utterance, with preceding dialogue turns if the encoder reads them.

    Args:
        modality: modality of the encoder.
        preprocessor: converts text to token ids.
    """

    spec_type = TextSpec
    raw = Utterance
    title: ClassVar[str] = "words"
    spec: TextSpec

    def __init__(self, modality: Modality, preprocessor: ReadsText) -> None:
        self.modality, self.preprocessor, self.spec = modality, preprocessor, preprocessor.spec
        self.earlier_turns = self.spec.context

    @classmethod
    def build(
        cls,
        modality: Modality,
        spec: InputSpec,
        *,
        texts: Callable[[], Iterable[str]] | None = None,
        assets: Path | None = None,
    ) -> Input:
        """Build the input with the tokenizer of the checkpoint or the pretrained model, or train one on the texts.

        Args:
            modality: modality of the encoder.
            spec: a :class:`~multiemo.types.TextSpec`.
            texts: returns the training texts; only used if the tokenizer has yet to be trained.
            assets: checkpoint folder that holds a tokenizer.
        """
        spec = of_type(spec, TextSpec)
        if assets is not None:
            return cls(modality, TextPreprocessor.from_assets(spec, assets))
        if spec.tokenizer != "trained":
            return cls(modality, TextPreprocessor.from_pretrained(spec))
        return cls(modality, TextPreprocessor.train(spec, texts() if texts is not None else ()))

    def save(self, folder: Path) -> None:
        """Write the tokenizer."""
        self.preprocessor.save(folder)

    @classmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """The text of the row."""
        return Absent("the row has no text") if clip.text is None else clip.text

    @classmethod
    def row_keys(cls, modality: Modality) -> str:
        """As :meth:`Input.row_keys`."""
        return "text"

    def key(self, row: ManifestRow, cache: TensorCache) -> bytes:
        """As :meth:`Input.key`. Includes the token ids, because the spec does not describe a trained tokenizer."""
        text = row.clip.text or ""
        ids = self.preprocessor(text, row.earlier)
        settings: dict[str, object] = {**self.fingerprint(row.clip), "ids": of_type(ids, Tensor).tolist()}
        return text_key(text, row.earlier, settings)

    def take(self, material: ClipMaterial) -> Utterance | Absent:
        """The text of the clip and its preceding turns."""
        if material.text is None:
            return Absent(material.why_not("text"))
        return Utterance(material.text, material.earlier)

    def make(self, raw: Utterance) -> PreparedInput | Absent:
        """The token ids, ``[L]`` int64."""
        ids = self.preprocessor(raw.text, raw.earlier)
        return ids if isinstance(ids, Absent) else PreparedInput(ids)
