"""The base class of inputs that hold what rules find."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

import torch

from multiemo.inputs.base import InputOf
from multiemo.inputs.material import PreparedInput
from multiemo.rules.findings import Findings
from multiemo.rules.vector import rule_vector
from multiemo.types import Absent

Raw = TypeVar("Raw")


class RuleInput(InputOf[Raw]):
    """The rule vector of a clip, ``[1, K]`` float32, see :data:`multiemo.rules.vector.RULE_COLUMNS`."""

    @abstractmethod
    def find(self, raw: Raw) -> Findings | Absent:
        """Apply the rules to a raw form, or say why that is impossible. Explanations show the result."""

    def make(self, raw: Raw) -> PreparedInput | Absent:
        """The rule vector, ``[1, K]`` float32."""
        found = self.find(raw)
        return found if isinstance(found, Absent) else PreparedInput(torch.from_numpy(rule_vector(found))[None])
