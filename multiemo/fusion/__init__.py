"""Late fusion: {modality: [B, D]} + presence -> [B, D]. Importing the package registers every fusion."""

from multiemo.fusion import attention, concat, decision, gated, tensor
from multiemo.fusion.base import Fusion

__all__ = ["Fusion", "attention", "concat", "decision", "gated", "tensor"]
