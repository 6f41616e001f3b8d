"""A privacy report with figures that are easy to recognise."""

from __future__ import annotations

from multiemo.runs.folder.privacy_report import (
    Attack,
    EmotionKept,
    MeasuredShare,
    MembershipFigures,
    PrivacyReport,
    ProtectionFigures,
)


def _share(value: float, spread: float) -> MeasuredShare:
    return MeasuredShare(value=value, interval=[value - spread, value + spread])


def _attack(knowledge: str, eer: float) -> Attack:
    about = {"attacker": "resemblyzer", "modality": "speech", "people": 10, "clips": 40}
    return Attack.of(about, knowledge=knowledge, eer=_share(eer, 0.05), accuracy=_share(0.5, 0.1))


def _emotion(model: str, value: float) -> EmotionKept:
    about = {"subset": "S", "figure": "uar", "clips": 40, "people": 10}
    return EmotionKept.of(about, model=model, value=value, interval=[value - 0.1, value + 0.1])


def privacy_report() -> PrivacyReport:
    """A report of a speech branch, without protection and with McAdams 0.8."""
    protections = [
        ProtectionFigures(name="none", attacks=[_attack("lazy-informed", 0.1)], emotion=[_emotion("run", 0.6)]),
        ProtectionFigures(
            name="mcadams 0.8",
            modality="speech",
            attacks=[_attack("ignorant", 0.05), _attack("lazy-informed", 0.3), _attack("semi-informed", 0.2)],
            emotion=[_emotion("run", 0.4), _emotion("retrained", 0.55)],
        ),
    ]
    figures = {"modality": "speech", "target": "run", "shadows": 4, "auc": _share(0.7, 0.1), "tpr": _share(0.2, 0.1)}
    membership = [
        MembershipFigures.of(figures, level=level, members=members, others=others)
        for level, members, others in (("clips", 30.0, 10.0), ("people", 6.0, 4.0))
    ]
    return PrivacyReport(
        name="tiny", manifest="clips.jsonl", corpus_kind="real", split="test", people=10, protections=protections,
        membership=membership, notes=["10 people were attacked"],
    )  # fmt: skip
