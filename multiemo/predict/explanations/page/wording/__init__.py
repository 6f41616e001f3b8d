"""The fixed texts of the page in each language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from multiemo.errors import ConfigError
from multiemo.labels import canonical
from multiemo.predict.explanations.page.wording import chinese, english

Language: TypeAlias = Literal["en", "zh"]
#: Languages of the page.
LANGUAGES: tuple[Language, ...] = get_args(Language)
#: {language: {key: text with fields in braces}}.
TEXTS: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": english.TEXTS, "zh": chinese.TEXTS})
_NAMES: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": english.NAMES, "zh": chinese.NAMES})
_REMARKS: Mapping[Language, Mapping[str, str]] = MappingProxyType({"en": {}, "zh": chinese.REMARKS})


class PageTexts:
    """The texts of one language.

    Args:
        language: ``en`` or ``zh``.

    Raises:
        ConfigError: there is no such language.

    Example:
        >>> PageTexts("en")("points", value="+43"), PageTexts("zh").name("Joy")
        ('+43 points', '快乐')
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ConfigError(f"--language: {language!r} is not one of {', '.join(LANGUAGES)}")
        self.language: Language = "zh" if language == "zh" else "en"
        self._texts, self._names, self._remarks = TEXTS[self.language], _NAMES[self.language], _REMARKS[self.language]

    def __call__(self, key: str, /, **fields: object) -> str:
        """The text of a key with its fields filled in."""
        return self._texts[key].format(**fields)

    def unit(self, unit: str) -> str:
        """What the parts of a view are; unchanged if it has no translation."""
        return self._texts.get(f"unit_{unit}", unit)

    def name(self, name: str) -> str:
        """A label, dimension, method or figure in this language; unchanged if it has no translation."""
        return self._names.get(name) or self._names.get(canonical(name), name)

    def part(self, name: str) -> str:
        """A cue, region or action unit in this language; the number of an action unit stays.

        Example:
            >>> PageTexts("zh").part("AU12 lip corner puller"), PageTexts("zh").part("eyes")
            ('AU12 嘴角上扬', '眼')
        """
        number, _, rest = name.partition(" ")
        return f"{number} {self.name(rest)}" if number.startswith("AU") and rest else self.name(name)

    def remark(self, text: str) -> str:
        """A remark of the package in this language; unchanged if it has no translation."""
        return self._remarks.get(text, text)

    def listed(self, parts: Iterable[str]) -> str:
        """Several parts as one list."""
        return self("list_separator").join(parts)

    def sentences(self, parts: Iterable[str]) -> str:
        """Several sentences, one after the other; empty ones are left out."""
        return self("sentence_separator").join(part for part in parts if part)
