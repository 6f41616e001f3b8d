"""The errors a user can meet. Each message names the clip or the key, the value, and what to do."""

from __future__ import annotations


class MultiemoError(Exception):
    """Base of every error that multiemo raises on purpose; the command line prints it as one line."""


class ConfigError(MultiemoError):
    """A configuration key is unknown, has the wrong type, or names something that does not exist."""


class ManifestError(MultiemoError):
    """A manifest row, a corpus folder or a split breaks its rules."""


class SplitError(ManifestError):
    """A split would leak: one group (speaker, dialogue) stands in two parts."""


class MediaError(MultiemoError):
    """A media or feature file is missing, empty, truncated or not decodable."""


class DefectError(MediaError):
    """Something that nobody foresaw happened while one input was read or one output written: a defect of multiemo or
    of a library."""


class CheckpointError(MultiemoError):
    """A run or model folder is missing, incomplete, or of another shape than asked for."""


class TrainingError(MultiemoError):
    """Training cannot go on, for instance after a loss that is not finite."""


def first_line(error: BaseException) -> str:
    """What a library's error says in its first line, or its type where it says nothing; for a message of ours.

    Example:
        >>> first_line(ValueError("no such layer\\nhint: see the docs")), first_line(KeyboardInterrupt())
        ('no such layer', 'KeyboardInterrupt')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
