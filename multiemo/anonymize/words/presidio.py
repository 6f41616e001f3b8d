"""Names and places by presidio (Microsoft), where it is installed, in addition to the patterns."""

from __future__ import annotations

from typing import Any

from multiemo.anonymize.words.patterns import Span, WordKind, find_words, without_overlaps
from multiemo.errors import ConfigError
from multiemo.extras import require
from multiemo.transcripts import language_of

_PURPOSE = "--words presidio"
#: Kinds of presidio's entities; others (dates, nationalities) are left as they are.
_KINDS: dict[str, WordKind] = {
    "PERSON": "NAME",
    "LOCATION": "NAME",
    "EMAIL_ADDRESS": "EMAIL",
    "URL": "URL",
    "PHONE_NUMBER": "PHONE",
    **dict.fromkeys(
        ("CREDIT_CARD", "CRYPTO", "IBAN_CODE", "IP_ADDRESS", "US_SSN", "US_BANK_NUMBER", "US_PASSPORT",
         "US_DRIVER_LICENSE", "US_ITIN", "UK_NHS", "MEDICAL_LICENSE"), "NUMBER"
    ),
}  # fmt: skip


class PresidioFinder:
    """Finds what presidio and the patterns find. It uses the spaCy models that are installed and downloads none.

    Raises:
        ConfigError: presidio is not installed, or there is no English spaCy model.
    """

    def __init__(self) -> None:
        analyzer = require("presidio_analyzer", _PURPOSE, instead="; or use --words mask")
        engine = require("presidio_analyzer.nlp_engine", _PURPOSE)
        installed = sorted(require("spacy", _PURPOSE).util.get_installed_models(), key=_size)
        models = {code: name for code in ("en", "zh") for name in installed if name.startswith(f"{code}_core")}
        if "en" not in models:
            raise ConfigError(
                f"{_PURPOSE} needs an English spaCy model: python -m spacy download en_core_web_lg; or use --words mask"
            )
        names = [{"lang_code": code, "model_name": name} for code, name in models.items()]
        settings = {"nlp_engine_name": "spacy", "models": names}
        self._languages = list(models)
        self._engine: Any = analyzer.AnalyzerEngine(
            nlp_engine=engine.NlpEngineProvider(nlp_configuration=settings).create_engine(),
            supported_languages=self._languages,
        )

    def find(self, text: str) -> list[Span]:
        """What presidio and the patterns find, in order and without overlaps."""
        language = language_of(text)
        code = language if language in self._languages else "en"
        results = self._engine.analyze(text=text, language=code)
        named: list[Span] = [(r.start, r.end, _KINDS[r.entity_type]) for r in results if r.entity_type in _KINDS]
        return without_overlaps([*find_words(text), *named])


def _size(name: str) -> int:
    """Order of a model by its size, the largest last, so that it is the one that is used."""
    return (
        ("sm", "md", "lg", "trf").index(name.rpartition("_")[2])
        if name.rpartition("_")[2] in ("sm", "md", "lg", "trf")
        else -1
    )
