"""Lazy public names: a package imports the module of a name on its first use, so that importing the package is fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose ``__init__`` imports none of its modules.

    A public name must differ from the names of the package's modules: when a module is imported, Python binds its name
    in the package.

    Args:
        package: ``__name__`` of the package.
        places: {public name: module that defines it}.

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
