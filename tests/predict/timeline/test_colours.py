"""Colours of labels."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.labels import LABEL_SETS
from multiemo.predict.timeline.colours import DARK, LIGHT, Role, ink_on, label_colours, muted


@pytest.mark.parametrize("name", LABEL_SETS)
def test_labels_have_different_colours_that_letters_can_be_read_on(name):
    labels = LABEL_SETS[name]
    colours = label_colours(labels)
    assert len(set(colours.values())) == min(len(labels), 21)
    for colour in colours.values():
        dark, light = (_contrast(colour, ink) for ink in ("#1c2530", "#ffffff"))
        assert _contrast(colour, ink_on(colour)) == max(dark, light) > 3.9


def _contrast(a: str, b: str) -> float:
    """WCAG 2.1, by colour channel with numpy."""

    def luminance(colour):
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", LABEL_SETS)
def test_letters_can_be_read_on_muted_colours_too(name):
    for colour in map(muted, label_colours(LABEL_SETS[name]).values()):
        assert _contrast(colour, ink_on(colour)) > 3.9


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_a_theme_has_every_role_and_its_text_can_be_read(theme):
    assert set(theme) == set(Role)
    for text in (Role.INK, Role.SOFT, Role.LINK):
        for ground in (Role.PAPER, Role.PANEL):
            assert _contrast(theme[text], theme[ground]) > 4.5
