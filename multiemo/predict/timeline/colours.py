"""The colours of labels and modalities, from the palette of all plots, and those of everything else by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import cycle
from typing import TypeAlias

from multiemo.calibration import UNCERTAIN
from multiemo.labels import canonical
from multiemo.plots import ACCENT, ALERT, GREY, INK, LINES, PALE
from multiemo.predict.timeline.contents import OTHER

MODALITY_COLOURS = {"text": ACCENT, "speech": PALE, "face": GREY}


class Role(Enum):
    """A colour that differs between a light and a dark page."""

    PAPER = "paper"
    INK = "ink"
    SOFT = "soft"
    LINE = "line"
    RULE = "rule"
    PANEL = "panel"
    WAVE = "wave"
    LINK = "link"


#: "#rrggbb", or a role.
Colour: TypeAlias = str | Role

LIGHT: Mapping[Role, str] = {
    Role.PAPER: "#ffffff", Role.INK: INK, Role.SOFT: "#55606e", Role.LINE: "#e3e8ee", Role.RULE: "#b9c4d0",
    Role.PANEL: "#f6f8fa", Role.WAVE: PALE, Role.LINK: ACCENT,
}  # fmt: skip
DARK: Mapping[Role, str] = {
    Role.PAPER: "#14181d", Role.INK: "#e6eaef", Role.SOFT: "#a2adb9", Role.LINE: "#2a313a", Role.RULE: "#4a5561",
    Role.PANEL: "#1b2128", Role.WAVE: "#3d5a78", Role.LINK: PALE,
}  # fmt: skip


def mixed(colour: str, other: str, share: float) -> str:
    """Mix two colours.

    Args:
        colour, other: "#rrggbb".
        share: of ``other``, 0..1.

    Example:
        >>> mixed("#000000", "#ffffff", 0.5)
        '#808080'
    """
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


class _Colours(dict[str, str]):
    """A mapping with a default colour for texts that are not labels, such as dimensions."""

    def __missing__(self, text: str) -> str:
        return PALE


def muted(colour: str) -> str:
    """A paler version of a colour, for content of secondary importance."""
    return mixed(colour, "#ffffff", 0.4)


def label_colours(labels: Sequence[str]) -> dict[str, str]:
    """{label: colour}; a well-known category has the same colour in every label set, others take the unused colours.

    Example:
        >>> label_colours(["angry", "happy"])["angry"] == label_colours(["anger"])["anger"]
        True
    """
    found: dict[str, str] = {}
    for label in labels:
        colour = _KNOWN.get(canonical(label))
        if colour is not None and colour not in found.values():
            found[label] = colour
    every = (*_BASE, *(mixed(c, "#ffffff", 0.5) for c in _BASE), *(mixed(c, "#000000", 0.45) for c in _BASE))
    rest = cycle([c for c in every if c not in found.values()] or every)
    return _Colours({label: found.get(label) or next(rest) for label in labels})


def ink_on(colour: str) -> str:
    """Dark ink or white, whichever has the higher contrast on a colour (WCAG 2)."""
    light = _luminance(colour) + 0.05
    return "#ffffff" if 1.05 / light > light / (_luminance(INK) + 0.05) else INK


def _luminance(colour: str) -> float:
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


_GREEN, _ORANGE, _PINK, _SKY, _GOLD, _SLATE = LINES
_BASE = (_GOLD, _SKY, ALERT, _PINK, _GREEN, _ORANGE, _SLATE)
_KNOWN = {
    UNCERTAIN: "#c3ccd6", OTHER: "#e3e8ee",
    "neutral": _SLATE, "happy": _GOLD, "sad": _SKY, "angry": ALERT, "fearful": _PINK, "disgusted": _GREEN,
    "surprised": _ORANGE, "negative": ALERT, "positive": _GREEN,
    "very negative": mixed(ALERT, "#000000", 0.45), "strongly negative": mixed(ALERT, "#000000", 0.45),
    "weakly negative": mixed(ALERT, "#ffffff", 0.5), "very positive": mixed(_GREEN, "#000000", 0.45),
    "strongly positive": mixed(_GREEN, "#000000", 0.45), "weakly positive": mixed(_GREEN, "#ffffff", 0.5),
}  # fmt: skip
