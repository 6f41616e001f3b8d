"""Numbers, times and names as the page writes them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

#: Scores below this share of the largest one are not marked.
_UNMARKED = 0.08
#: Steps of colour.
LEVELS = 4


def percent(share: float) -> str:
    """A share as a percentage; digits after the point only where they tell shares near 0 or 1 apart.

    Example:
        >>> percent(0.583), percent(0.0004), percent(0.9996), percent(1.0)
        ('58%', '<0.1%', '>99.9%', '100%')
    """
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    digits = 1 if 0 < share < 0.01 or 0.99 < share < 1 else 0
    return f"{share:.{digits}%}"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a true minus sign included; zero has none.

    Args:
        value: the number.
        digits: digits after the point.

    Example:
        >>> signed(0.429), signed(-3.1, 0), signed(-0.001)
        ('+0.43', '−3', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def number(value: float) -> str:
    """A measured value with three significant digits.

    Example:
        >>> number(183.456), number(0.012345), number(2.0)
        ('183', '0.0123', '2')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def level(score: float, largest: float) -> int:
    """Step of colour of a score, from ``-LEVELS`` to ``LEVELS``; 0 if it is small beside the largest one.

    Args:
        score: the score.
        largest: the largest absolute score of the figure.

    Example:
        >>> level(1.0, 1.0), level(-0.3, 1.0), level(0.01, 1.0)
        (4, -2, 0)
    """
    share = abs(score) / largest if largest > 0 else 0.0
    if not share >= _UNMARKED:
        return 0
    return int(math.copysign(min(LEVELS, math.ceil(share * LEVELS)), score))


def largest(scores: Iterable[float], least: float = 0.0) -> float:
    """The largest absolute score, but at least ``least``; 0 if there is none."""
    return max((least, *map(abs, scores)))


def mostly_chinese(text: str) -> bool:
    """Whether at least a third of the letters are Chinese characters; a Chinese character carries more than a letter.

    Example:
        >>> mostly_chinese("我很开心"), mostly_chinese("OK, 我很 happy today"), mostly_chinese("")
        (True, False, False)
    """
    letters = [c for c in text if c.isalpha()]
    chinese = sum(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in letters)
    return bool(letters) and 3 * chinese >= len(letters)
