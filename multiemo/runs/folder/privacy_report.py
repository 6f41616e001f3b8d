"""The privacy report of a run: its records, and its place in the run folder, from which cards and receipts quote it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from multiemo.metrics.results import Figure, Interval
from multiemo.records import Record, record
from multiemo.types import CorpusKind, Modality

#: Folder of the report in a run folder, and the name of its JSON.
FOLDER, NAME = "privacy", "privacy.json"


@record
class MeasuredShare(Record):
    """A figure of people, and how sure it is.

    Args:
        value: the figure; ``null`` if it is undefined.
        interval: 95% interval over people.
    """

    value: Figure
    interval: Interval


@record
class Attack(Record):
    """How well an attacker recognises people from protected clips.

    Args:
        attacker: what embeds the clips: ``resemblyzer``, ``run`` for the encoder of the run's own branch, or
            ``features`` for the precomputed features themselves.
        modality: what is attacked.
        knowledge: ``ignorant``: the people that the attacker knows are not protected. ``lazy-informed``: the attacker
            protects them in the same way. ``semi-informed``: the attacker also learns, from the protected
            clips that it knows and those of other people, how clips of one person vary.
        people: number of people; the attacker knows all of them.
        clips: number of protected clips to be recognised.
        eer: equal error rate; 0 is perfect recognition, 0.5 is chance.
        accuracy: share of the clips whose person is named; chance is one in ``people``.
    """

    attacker: str
    modality: Modality
    knowledge: Literal["ignorant", "lazy-informed", "semi-informed"]
    people: int
    clips: int
    eer: MeasuredShare
    accuracy: MeasuredShare


@record
class EmotionKept(Record):
    """How well emotions are still recognised in protected clips.

    Args:
        model: ``run``: the run's own model, trained on clips without protection. ``retrained``: the branch of the
            protected modality, trained again on protected clips.
        subset: modalities that the model is given, of T, S and F.
        figure: ``uar``, or the main figure of the task.
        value: the figure.
        interval: its 95% interval over people.
        clips: number of clips.
        people: number of their people.
    """

    model: Literal["run", "retrained"]
    subset: str
    figure: str
    value: Figure
    interval: Interval
    clips: int
    people: int


@record
class WordsKept(Record):
    """How many words a recogniser still gets wrong.

    Args:
        recogniser: name of the recogniser.
        wer: word error rate, against the texts of the manifest.
        clips: number of clips.
        words: number of words.
    """

    recogniser: str
    wer: MeasuredShare
    clips: int
    words: int


@record
class ProtectionFigures(Record):
    """One protection, and the figures under it.

    Args:
        name: the protection, such as ``mcadams 0.8``; ``none`` for the originals.
        modality: what it protects; absent for ``none``.
        attacks: recognition of people.
        emotion: what emotion recognition keeps; empty without a run.
        words: what words keep; absent without a recogniser, and where voices are not changed.
    """

    name: str
    modality: Modality | None = None
    attacks: list[Attack]
    emotion: list[EmotionKept]
    words: WordsKept | None = None


@record
class MembershipFigures(Record):
    """How well the clips and people that a branch was trained on are told from others, by a likelihood-ratio attack.

    Args:
        modality: branch that is attacked.
        target: ``run``: the weights of the run. ``shadows``: each shadow model in turn is attacked with the others,
            except the one of the other half, and the figures are their means. They describe models that are trained
            like the run on half of its people.
        level: ``clips``, or ``people``: the mean score of a person's clips.
        shadows: number of shadow models that the attack uses.
        members: number of clips or people that were trained on; for ``shadows`` the mean.
        others: number of those that were not.
        auc: area under the ROC curve; 0.5 is chance.
        tpr: share of the members that are found at a share of at most 0.01 false positives; ``null`` with fewer than
            100 others, because so small a share of them is none.
    """

    modality: Modality
    target: Literal["run", "shadows"]
    level: Literal["clips", "people"]
    shadows: int
    members: float
    others: float
    auc: MeasuredShare
    tpr: MeasuredShare


@record
class PrivacyReport(Record):
    """What ``multiemo privacy-report`` measures.

    Args:
        name: name of the run; absent for a manifest.
        manifest: file name of the manifest.
        corpus_kind: ``real``, ``synthetic`` or ``composite``; figures of the last two do not apply to real people.
        split: part of the run whose people are attacked and whose emotions are recognised; absent for a manifest.
        people: number of people in the attacks, and of others on whom attackers are trained.
        protections: one entry for each protection.
        membership: membership inference; empty without shadow models.
        notes: what a reader must know to interpret the figures.
    """

    name: str | None = None
    manifest: str
    corpus_kind: CorpusKind
    split: str | None = None
    people: int
    protections: list[ProtectionFigures]
    membership: list[MembershipFigures]
    notes: list[str]


def stored_report(run: Path) -> PrivacyReport | None:
    """The privacy report in a run folder; ``None`` if there is none.

    Args:
        run: run folder.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = run / FOLDER / NAME
    return PrivacyReport.read(path) if path.is_file() else None
