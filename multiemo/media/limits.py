"""Limits of what is decoded, so that a hostile or broken file ends in an error and not in exhausted memory or time.

The limits hold for a process and for those that it starts, because they are kept in its environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache

from multiemo.errors import ConfigError

#: The environment variable that changes limits, such as ``hours=2 megapixels=50``. Child processes inherit it.
VARIABLE = "MULTIEMO_LIMITS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest media that are decoded.

    Args:
        file_gb: size of a file, 10**9 bytes.
        hours: length of what is read of a file.
        megapixels: size of a picture, 10**6 pixels.
        frames: number of pictures of a film or animation that are decoded.
        memory_gb: size of the sound and pictures that are kept in memory of one clip, 10**9 bytes. Playing a file
            needs little memory, whatever its length.

    Raises:
        ConfigError: a limit is not a number above 0.
    """

    file_gb: float = 200.0
    hours: float = 48.0
    megapixels: float = 200.0
    frames: float = 20e6
    memory_gb: float = 16.0

    def __post_init__(self) -> None:
        for name in NAMES:
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e12:
                raise ConfigError(f"limits.{name}: {value!r} is not a number above 0")

    @property
    def pixels(self) -> int:
        """Largest number of pixels of a picture."""
        return max(1, int(self.megapixels * 1e6))


#: Names of the limits.
NAMES: tuple[str, ...] = tuple(f.name for f in fields(Limits))


def current_limits() -> Limits:
    """The limits of this process: the defaults, changed by ``$MULTIEMO_LIMITS``.

    Raises:
        ConfigError: the variable has another form, an unknown name, or a value that is not a number above 0.
    """
    return _parsed(os.environ.get(VARIABLE, ""))


def use_limits(values: Mapping[str, float]) -> None:
    """Change some limits in this process and in those that it starts.

    Args:
        values: {name: limit}.

    Raises:
        ConfigError: a name is unknown, or a value is not a number above 0.
    """
    add_limits(" ".join(f"{name}={value}" for name, value in values.items()))


def add_limits(text: str) -> None:
    """Change some limits, as :func:`use_limits` does.

    Args:
        text: as in ``$MULTIEMO_LIMITS``: ``name=number``, separated by spaces or commas.
    """
    changed = f"{os.environ.get(VARIABLE, '')} {text}".strip()
    _parsed(changed)
    if changed:
        os.environ[VARIABLE] = changed


@contextmanager
def limited(**values: float) -> Iterator[None]:
    """Context in which some limits are changed."""
    before = os.environ.get(VARIABLE)
    use_limits(values)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


@lru_cache(maxsize=16)
def _parsed(text: str) -> Limits:
    values: dict[str, float] = {}
    for entry in text.replace(",", " ").split():
        name, _, value = entry.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in NAMES or not 0 < number < 1e12:
            raise ConfigError(
                f"limits: {entry!r} ({VARIABLE} or --limits) is not one of {', '.join(NAMES)} with a number above 0, "
                "such as hours=2"
            )
        values[name] = number
    return Limits(**values)


def too_big(size: int) -> str | None:
    """Why a file of so many bytes is too big to be opened; ``None`` if it is not."""
    limit = current_limits().file_gb
    if size <= limit * 1e9:
        return None
    return f"has {size / 1e9:.3g} GB; at most {limit:g} GB are read: cut it, or raise the limit file_gb ({VARIABLE})"


def too_long(seconds: float) -> str | None:
    """Why a span of so many seconds is too long to be read; ``None`` if it is not."""
    limit = current_limits().hours
    if seconds <= limit * 3600:
        return None
    return (
        f"lasts {seconds / 3600:.4g} hours according to its header; at most {limit:g} are read: cut it, or raise the "
        f"limit hours ({VARIABLE})"
    )


def too_large(width: float, height: float) -> str | None:
    """Why a picture has too many pixels to be decoded; ``None`` if it has not.

    Args:
        width: pixels.
        height: pixels.
    """
    limit = current_limits().megapixels
    if width * height <= limit * 1e6:
        return None
    return f"{width:.0f}x{height:.0f} pixels; at most {limit:g} million are read, so make it smaller"


def too_much(count: float, what: str) -> str | None:
    """Why something needs too much memory; ``None`` if it does not.

    Args:
        count: bytes.
        what: what they are of.
    """
    limit = current_limits().memory_gb
    if count <= limit * 1e9:
        return None
    return (
        f"{what} would take {count / 1e9:.3g} GB of memory; at most {limit:g} are used: name a shorter span, or raise "
        f"the limit memory_gb ({VARIABLE})"
    )
