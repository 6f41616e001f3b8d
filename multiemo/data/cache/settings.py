"""Default folder and size limit of the cache, taken from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from multiemo.errors import ConfigError


def default_cache() -> Path:
    """Return ``$MULTIEMO_CACHE``, else ``multiemo`` in the user's cache folder."""
    base = os.environ.get("MULTIEMO_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multiemo"


def default_limit() -> int:
    """Return the limit in bytes: ``$MULTIEMO_CACHE_GB`` (in units of 10**9 bytes, may be fractional), else 50 GB.

    Raises:
        ConfigError: the variable is not a number above 0.
    """
    given = os.environ.get("MULTIEMO_CACHE_GB") or "50"
    try:
        limit = int(float(given) * 1e9)
    except (ValueError, OverflowError):
        limit = 0
    if limit <= 0:
        raise ConfigError(f"MULTIEMO_CACHE_GB is {given!r}; it must be a number of gigabytes above 0")
    return limit
