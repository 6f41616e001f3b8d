"""Errors caused by the user's input. Each message names the clip or the key, the value, and the remedy."""

from __future__ import annotations

import re

#: Characters that a terminal would obey, or that reorder the text around them: they come from file names and contents.
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class MultiemoError(Exception):
    """Base of every error that multiemo raises deliberately; the command line prints it as one line."""

    def __str__(self) -> str:
        """The message, with control characters escaped."""
        return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), super().__str__())


class ConfigError(MultiemoError):
    """A configuration key is unknown, has the wrong type, or names something that does not exist."""


class ManifestError(MultiemoError):
    """A manifest row, a corpus folder or a split is invalid."""


class SplitError(ManifestError):
    """A split would leak: a group (speaker, dialogue) is in two parts."""


class MediaError(MultiemoError):
    """A media or feature file is missing, empty, truncated or not decodable."""


class DefectError(MediaError):
    """An unexpected exception while reading an input or writing an output: a bug in multiemo or in a library."""


class CheckpointError(MultiemoError):
    """A run or model folder is missing, incomplete, or of an unexpected shape."""


class TrainingError(MultiemoError):
    """Training cannot continue, for instance after a loss that is not finite."""


class NetworkError(MultiemoError):
    """A call over the network was attempted although ``--offline`` or ``MULTIEMO_OFFLINE=1`` forbids it."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type if the message is empty.

    A first line that only announces the second ends with a colon; both are returned then.

    Example:
        >>> first_line(ValueError("no such layer\\nhint: see the docs")), first_line(KeyboardInterrupt())
        ('no such layer', 'KeyboardInterrupt')
        >>> first_line(ValueError("the compiler raised:\\n\\nTypeError: no graph"))
        'the compiler raised: TypeError: no graph'
    """
    first, *others = str(error).strip().splitlines() or [type(error).__name__]
    second = next((line.strip() for line in others if line.strip()), "")
    return f"{first} {second}" if first.endswith(":") and second else first
