"""Public names of a package that are fetched when they are first used, so that importing it is quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose ``__init__`` imports none of its modules.

    A public name must not be that of a module in the package: Python would put the module in its place as soon as
    anything imports it.

    Args:
        package: its ``__name__``.
        places: {public name: the module that defines it}.

    Example:
        >>> fetch = lazy_names("multiemo", {"Clip": "multiemo.types"})
        >>> fetch("Clip").__name__
        'Clip'
    """

    def fetch(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(places[name]), name)

    return fetch
