"""Tables of a privacy report."""

from __future__ import annotations

from multiemo.report.tables import COLUMNS, format_number, markdown
from multiemo.runs.folder.privacy_report import Attack, MeasuredShare, PrivacyReport, ProtectionFigures

_HEADS = {name: head for columns in COLUMNS.values() for name, head in columns.items()}


def strongest(protection: ProtectionFigures, modality: str) -> Attack | None:
    """The attack on a modality with the smallest equal error rate, among attackers that know the protection.

    An ignorant attacker is no measure of a protection, since a protection cannot be kept secret.

    Args:
        protection: figures under one protection.
        modality: the modality.
    """
    found = [a for a in protection.attacks if a.modality == modality and a.knowledge != "ignorant"]
    return min(found, key=lambda a: a.eer.value, default=None)


def share(found: MeasuredShare) -> str:
    """A share with its interval, in per cent.

    Example:
        >>> share(MeasuredShare(value=0.125, interval=[0.1, 0.2]))
        '12.5% [10.0, 20.0]'
    """
    if found.value != found.value:
        return "undefined"
    low, high = found.interval
    return f"{found.value:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def attack_rows(report: PrivacyReport) -> list[list[str]]:
    """A header, and a row for each attack."""
    rows = [["protection", "modality", "attacker", "knowledge", "people", "clips", "EER", "named", "chance"]]
    for p in report.protections:
        rows += [
            [p.name, a.modality, a.attacker, a.knowledge, str(a.people), str(a.clips), share(a.eer), share(a.accuracy),
             f"{1 / a.people:.1%}"]
            for a in p.attacks
        ]  # fmt: skip
    return rows


def emotion_rows(report: PrivacyReport) -> list[list[str]]:
    """A header, and a row for each evaluation of emotion recognition; only the header without a run."""
    rows = [["protection", "modalities", "model", "clips", "people", "figure", "value", "95% interval"]]
    for p in report.protections:
        for e in p.emotion:
            low, high = map(format_number, e.interval)
            rows.append(
                [p.name, e.subset, e.model, str(e.clips), str(e.people), _HEADS[e.figure], format_number(e.value),
                 f"{low} .. {high}"]
            )  # fmt: skip
    return rows


def word_rows(report: PrivacyReport) -> list[list[str]]:
    """A header, and a row for each word error rate."""
    rows = [["protection", "recogniser", "clips", "words", "WER"]]
    for p in report.protections:
        if p.words is not None:
            w = p.words
            rows.append([p.name, w.recogniser, str(w.clips), str(w.words), share(w.wer)])
    return rows


def membership_rows(report: PrivacyReport) -> list[list[str]]:
    """A header, and a row for each membership inference."""
    rows = [["branch", "attacked", "level", "shadow models", "members", "others", "AUC", "found at 1% false"]]
    rows += [
        [f.modality, f.target, f.level, str(f.shadows), f"{f.members:g}", f"{f.others:g}", share(f.auc), share(f.tpr)]
        for f in report.membership
    ]
    return rows


def card_lines(report: PrivacyReport) -> list[str]:
    """The privacy section of a model card: what the weights remember, and what protections hide."""
    lines = []
    if report.membership:
        lines += [
            "Membership inference by a likelihood-ratio attack with shadow models: how well clips and people of the "
            "training part are told from others (AUC; 50% is chance), and the share of them that is found at 1% false "
            "positives.", "", *markdown(membership_rows(report)), "",
        ]  # fmt: skip
    rows = [["protection", "modality", "strongest attacker", "people", "EER (50% is chance)", "named"]]
    for p in report.protections:
        for m in dict.fromkeys(a.modality for a in p.attacks):
            a = strongest(p, m)
            if a is not None:
                who = f"{a.attacker}, {a.knowledge}"
                rows.append([p.name, m, who, str(a.people), share(a.eer), share(a.accuracy)])
    if len(rows) > 1:
        lines += ["Re-identification of people from their clips:", "", *markdown(rows), ""]
    kept = emotion_rows(report)
    if len(kept) > 1:
        lines += ["Emotion recognition on protected clips:", "", *markdown(kept), ""]
    lines += [f"In brackets: 95% intervals over people. Manifest: `{report.manifest}`.", ""]
    return [*lines, *(f"- {note}" for note in report.notes)]
