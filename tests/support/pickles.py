"""Pickles that do more than hold data."""

from __future__ import annotations

from typing import Any


class Call:
    """What a malicious file hides: a call at unpickling."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call
