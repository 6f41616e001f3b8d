"""Where the cache lies and how large it may become, unless a config says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from multiemo.errors import ConfigError


def default_cache() -> Path:
    """``$MULTIEMO_CACHE``, else ``multiemo`` in the user's cache folder."""
    base = os.environ.get("MULTIEMO_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multiemo"


def default_limit() -> int:
    """Bytes: ``$MULTIEMO_CACHE_GB`` (10**9 bytes each, a fraction is fine), else 50 GB.

    Raises:
        ConfigError: the variable is no number above 0.
    """
    given = os.environ.get("MULTIEMO_CACHE_GB") or "50"
    try:
        limit = int(float(given) * 1e9)
    except (ValueError, OverflowError):
        limit = 0
    if limit <= 0:
        raise ConfigError(f"MULTIEMO_CACHE_GB is {given!r}; it must be a number of gigabytes above 0")
    return limit
