"""Whom a checkpoint has seen: speakers, groups and clips of its train and validation parts, as digests.

Digests travel with the weights instead of names: a million clips take 8 MB, and nobody's name leaves the corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.data.splits.grouping import GROUP_BY, GroupBy
from multiemo.data.splits.split import Split
from multiemo.errors import SplitError
from multiemo.types import Clip

Digests: TypeAlias = NDArray[np.int64]
#: The corpus of clips that :mod:`multiemo.data.composite` makes.
_COMPOSITE = "composite"


def name_of(clip: Clip, kind: GroupBy) -> str | None:
    """What a clip, its speaker or its group is called in every manifest; ``None`` where the clip does not say.

    The corpus stands in front, so that the speakers ``01`` of two corpora stay two. ``merge`` puts it into ids, and a
    composite clip into its speaker: there it is not repeated.

    Example:
        >>> name_of(Clip(id="ravdess:01-a", corpus="ravdess", speaker="01"), "clip")
        'ravdess:01-a'
        >>> name_of(Clip(id="composite-train-00000", corpus="composite", speaker="ravdess:01"), "speaker")
        'ravdess:01'
    """
    name = clip.id if kind == "clip" else clip.speaker if kind == "speaker" else clip.group
    if name is None or (clip.corpus == _COMPOSITE and kind == "speaker"):
        return name
    return f"{clip.corpus}:{name.removeprefix(f'{clip.corpus}:')}"


@dataclass(frozen=True, slots=True)
class Seen:
    """Whom a checkpoint was trained or selected on.

    Args:
        digests: {kind: ``[N]`` digests of names, sorted}; a kind that nobody named is left out.
    """

    digests: Mapping[GroupBy, Digests] = field(default_factory=dict)

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> Seen:
        """All names of some clips."""
        rows = list(clips)
        found = {kind: _digests(name for clip in rows if (name := name_of(clip, kind))) for kind in GROUP_BY}
        return cls({kind: digests for kind, digests in found.items() if len(digests)})

    def __or__(self, other: Seen) -> Seen:
        kinds = [kind for kind in GROUP_BY if kind in self.digests or kind in other.digests]
        none = np.zeros(0, dtype=np.int64)
        return Seen({k: np.union1d(self.digests.get(k, none), other.digests.get(k, none)) for k in kinds})

    def counts(self) -> dict[str, int]:
        """{kind: how many}, for people to read."""
        return {f"{kind}s": len(digests) for kind, digests in self.digests.items()}

    def among(self, clips: Sequence[Clip], kind: GroupBy) -> list[str]:
        """Which clips, speakers or groups of ``clips`` were seen, by name, sorted."""
        if kind not in self.digests:
            return []
        names = sorted({name for clip in clips if (name := name_of(clip, kind))})
        here = np.isin(np.array([_digest(name) for name in names], dtype=np.int64), self.digests[kind])
        return [name for name, was in zip(names, here, strict=True) if was]


def check_unseen(seen: Seen, clips: Sequence[Clip], split: Split, what: str) -> list[str]:
    """Refuse a test part that a checkpoint has seen something of.

    Clips are always compared; speakers and groups where the split keeps them apart. Where it lets them stand in several
    parts (MELD's six friends are in every one), a checkpoint may know them too.

    Args:
        seen: by the checkpoint.
        clips: of the manifest.
        split: of the run that is to be tested.
        what: names the checkpoint in the message.

    Returns:
        What a reader of the results should know.

    Raises:
        SplitError: a clip, speaker or group of the test part was seen.
    """
    tested, learnt = set(split.parts["test"]), {*split.parts["train"], *split.parts["val"]}
    test = [clip for clip in clips if clip.id in tested]
    notes = []
    for kind in GROUP_BY:
        known = seen.among(test, kind)
        if not known:
            continue
        rest = (clip for clip in clips if clip.id in learnt)
        if kind != split.group_by and Seen.of(rest).among(test, kind):
            notes.append(f"{what} knows {len(known)} {kind}s of the test part, as this split lets train do")
            continue
        raise SplitError(
            f"{what} was trained or selected on {kind} {known[0]!r} of the test part of this run ({len(known)} such "
            f"{kind}s); use the same split for both, or train the branch here; if others have the same name here, "
            "prepare them under another corpus name"
        )
    return notes


def _digest(name: str) -> int:
    """Of 64 bits; two of a million names share one with a probability of 3e-8."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def _digests(names: Iterable[str]) -> Digests:
    return np.unique(np.fromiter((_digest(name) for name in names), dtype=np.int64))
