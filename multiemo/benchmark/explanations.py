"""Faithfulness of explanations as a table."""

from __future__ import annotations

from multiemo.explanation.faithfulness.records import Difference, Faithfulness

#: Column headings of the table.
HEADS = (
    "modality", "parts", "clips", "deletion over random", "95% interval", "over magnitude", "insertion over random",
    "comprehensiveness", "sufficiency", "similarity to shuffled weights", "stability", "checks",
)  # fmt: skip


def faithfulness_table(found: Faithfulness) -> list[list[str]]:
    """The rows of the table, one for each view, in the order of :data:`HEADS`."""
    return [
        [
            view.modality,
            view.unit,
            str(view.clips),
            _mean(view.deletion),
            _interval(view.deletion),
            _mean(view.deletion_over_magnitude),
            _mean(view.insertion),
            _mean(view.comprehensiveness),
            _mean(view.sufficiency),
            _mean(view.similarity_to_shuffled),
            _mean(view.stability),
            view.trust,
        ]
        for view in found.views
    ]


def failures(found: Faithfulness) -> list[str]:
    """One sentence for each view that did not pass."""
    return [f"{view.modality}, {view.unit}: {'; '.join(view.reasons)}" for view in found.views if view.reasons]


def _mean(value: Difference) -> str:
    return "-" if value["mean"] is None else f"{value.mean:+.3f}"


def _interval(value: Difference) -> str:
    return "-" if value["mean"] is None else f"{value.interval[0]:+.3f} .. {value.interval[1]:+.3f}"
