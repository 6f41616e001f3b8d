"""Errors caused by the user's input. Each message names the clip or the key, the value, and the remedy."""

from __future__ import annotations


class MultiemoError(Exception):
    """Base of every error that multiemo raises deliberately; the command line prints it as one line."""


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


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type if the message is empty.

    Example:
        >>> first_line(ValueError("no such layer\\nhint: see the docs")), first_line(KeyboardInterrupt())
        ('no such layer', 'KeyboardInterrupt')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
