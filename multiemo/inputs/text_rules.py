"""What rules find in the words of a row or the transcript of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from multiemo.data.cache.keys import text_key
from multiemo.data.cache.tensors import TensorCache
from multiemo.errors import CheckpointError, ConfigError
from multiemo.inputs.base import Input, of_type
from multiemo.inputs.material import ClipMaterial, ManifestRow, Utterance
from multiemo.inputs.rules import RuleInput
from multiemo.registry import inputs
from multiemo.rules.findings import Findings
from multiemo.rules.lexicon.files import lexicon_digest, read_lexicon
from multiemo.rules.lexicon.words import Lexicon
from multiemo.rules.text import read_text
from multiemo.rules.vector import rule_vector
from multiemo.types import Absent, Clip, InputSpec, Modality, TextRulesSpec


@inputs.register("text_rules")
class TextRulesInput(RuleInput[Utterance]):
    """The rule vector of an utterance, see :mod:`multiemo.rules.text`.

    Args:
        modality: modality of the encoder.
        spec: input specification, with the digest of the lexicon.
        place: where the lexicon was found; ``None`` without one.
    """

    spec_type = TextRulesSpec
    raw = Utterance
    title: ClassVar[str] = "words"
    spec: TextRulesSpec

    def __init__(self, modality: Modality, spec: TextRulesSpec, place: Path | None = None) -> None:
        self.modality, self.spec, self._place = modality, spec, place

    @classmethod
    def build(
        cls,
        modality: Modality,
        spec: InputSpec,
        *,
        texts: Callable[[], Iterable[str]] | None = None,
        assets: Path | None = None,
    ) -> Input:
        """Build the input; a lexicon is read for a new model, and compared with the stored digest for a saved one.

        Args:
            modality: modality of the encoder.
            spec: a :class:`~multiemo.types.TextRulesSpec`.
            texts: not used.
            assets: checkpoint folder; a lexicon is also looked for in it, by its name.

        Raises:
            ConfigError: the lexicon of a new model is missing or has an unknown format.
            CheckpointError: the lexicon of a saved model is missing or is another one.
        """
        spec = of_type(spec, TextRulesSpec)
        if not spec.lexicon:
            return cls(modality, spec)
        if not spec.lexicon_sha256:
            place = Path(spec.lexicon).absolute()
            read = cls(modality, replace(spec, lexicon=str(place), lexicon_sha256=lexicon_digest(place)), place)
            _ = read.lexicon  # an error in the file should appear now, not at the first clip
            return read
        return cls(modality, spec, _stored_lexicon(spec, assets))

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """The academic lexicon, read on first use."""
        return None if self._place is None else read_lexicon(self._place)

    @classmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """The text of the row."""
        return Absent("the row has no text") if clip.text is None else clip.text

    @classmethod
    def row_keys(cls, modality: Modality) -> str:
        """As :meth:`Input.row_keys`."""
        return "text"

    def key(self, row: ManifestRow, cache: TensorCache) -> bytes:
        """As :meth:`Input.key`. Includes the vector, because the spec does not describe the built-in lists."""
        text = row.clip.text or ""
        found = self.find(Utterance(text, language=row.clip.language))
        vector = None if isinstance(found, Absent) else rule_vector(found).tolist()
        return text_key(text, (), {**self.fingerprint(row.clip), "vector": vector})

    def take(self, material: ClipMaterial) -> Utterance | Absent:
        """The text of the clip, with the language of its row."""
        if material.text is None:
            return Absent(material.why_not("text"))
        language = None if material.row is None else material.row.clip.language
        return Utterance(material.text, material.earlier, language=language)

    def find(self, raw: Utterance) -> Findings | Absent:
        """What the rules find in the words."""
        if not raw.text.strip():
            return Absent("the text is empty")
        return read_text(raw.text, language=self.spec.language or raw.language, lexicon=self.lexicon)


def _stored_lexicon(spec: TextRulesSpec, assets: Path | None) -> Path:
    """Find the lexicon that a saved model was made with.

    Raises:
        CheckpointError: it is missing, or has changed.
    """
    own = Path(spec.lexicon)
    places = [own] if assets is None else [own, assets / own.name]
    remedy = f"give the lexicon that the model was made with (SHA-256 {spec.lexicon_sha256})"
    for place in places:
        if place.exists():
            try:
                digest = lexicon_digest(place)
            except ConfigError as error:
                raise CheckpointError(str(error)) from None
            if digest != spec.lexicon_sha256:
                raise CheckpointError(f"{place}: is another lexicon, or was changed; {remedy}, or train again")
            return place
    where = f" or {places[1]}" if len(places) > 1 else ""
    raise CheckpointError(
        f"encoders.text.lexicon: {own} is missing; model folders do not contain it, because of its licence: {remedy} "
        f"at {own}{where}"
    )
