"""What differential privacy guarantees for a model, as its folder states it."""

from __future__ import annotations

from multiemo.records import Record, record
from multiemo.training.accounting import PrivateSteps


@record
class PrivacyFacts(Record):
    """The guarantee of differential privacy for the weights of a model.

    Args:
        epsilon: privacy loss of all training steps that led to the weights.
        delta: probability that the bound may fail.
        unit: who is protected: a ``clip`` or a ``speaker``.
        units: number of clips or speakers that a step was drawn from, of the stage with the fewest.
        most_clips: most training clips of one speaker.
        max_grad_norm: largest norm of the gradient of one unit.
        stages: the steps of every stage.
        not_covered: parts of the model folder that depend on train or validation without privacy.
    """

    epsilon: float
    delta: float
    unit: str
    units: int
    most_clips: int
    max_grad_norm: float
    stages: list[PrivateSteps]
    not_covered: list[str]

    def note(self) -> str:
        """The guarantee in a sentence, for reports and cards."""
        return (
            f"the weights are ({self.epsilon:.2f}, {self.delta:g})-differentially private for each {self.unit} of "
            "train; not covered: " + "; ".join(self.not_covered)
        )
