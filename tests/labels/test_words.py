"""Words of labels."""

from __future__ import annotations

import pytest

from multiemo.errors import ConfigError
from multiemo.labels.sets import LABEL_SETS
from multiemo.labels.words import spoken


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_label_of_the_field_has_its_own_word_in_both_languages(name: str) -> None:
    assert len(set(spoken(LABEL_SETS[name], "en"))) == len(LABEL_SETS[name])
    chinese = spoken(LABEL_SETS[name], "zh")
    assert len(set(chinese)) == len(chinese)
    assert not any(word.isascii() for word in chinese)


def test_two_labels_with_one_word_are_refused() -> None:
    with pytest.raises(ConfigError, match="very_sad, very sad"):
        spoken(["happy", "very_sad", "very sad"], "en")
