"""What a checkpoint has seen: digests of the speakers, groups and clips of its train and validation parts.

Digests instead of names are stored with the weights: a million clips take 8 MB, and no name leaves the corpus.
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
#: Corpus name of the clips made by :mod:`multiemo.data.composite`.
_COMPOSITE = "composite"


def name_of(clip: Clip, kind: GroupBy) -> str | None:
    """Return the name of a clip, its speaker or its group that is the same in every manifest, or ``None`` if unknown.

    The name begins with the corpus, so that the speakers ``01`` of two corpora are distinct. Ids written by ``merge``
    and speakers of composite clips already begin with it; it is not repeated there.

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
    """The clips, speakers and groups that a checkpoint was trained or selected on.

    Args:
        digests: {kind: ``[N]`` digests of names, sorted}; kinds without names are omitted.
    """

    digests: Mapping[GroupBy, Digests] = field(default_factory=dict)

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> Seen:
        """Collect the digests of all names of some clips."""
        rows = list(clips)
        found = {kind: _digests(name for clip in rows if (name := name_of(clip, kind))) for kind in GROUP_BY}
        return cls({kind: digests for kind, digests in found.items() if len(digests)})

    def __or__(self, other: Seen) -> Seen:
        kinds = [kind for kind in GROUP_BY if kind in self.digests or kind in other.digests]
        none = np.zeros(0, dtype=np.int64)
        return Seen({k: np.union1d(self.digests.get(k, none), other.digests.get(k, none)) for k in kinds})

    def counts(self) -> dict[str, int]:
        """Return {plural of the kind: number of names}, for display."""
        return {f"{kind}s": len(digests) for kind, digests in self.digests.items()}

    def among(self, clips: Sequence[Clip], kind: GroupBy) -> list[str]:
        """Return the names of the clips, speakers or groups of ``clips`` that were seen, sorted."""
        if kind not in self.digests:
            return []
        names = sorted({name for clip in clips if (name := name_of(clip, kind))})
        was_seen = np.isin(np.array([_digest(name) for name in names], dtype=np.int64), self.digests[kind])
        return [name for name, seen_here in zip(names, was_seen, strict=True) if seen_here]


def check_unseen(seen: Seen, clips: Sequence[Clip], split: Split, what: str) -> list[str]:
    """Refuse a test part of which a checkpoint has seen a clip, speaker or group.

    Clips are always compared. Speakers and groups are compared if the split keeps them apart. If the split itself has
    them in several parts (MELD's six friends are in every part), the checkpoint may have seen them too.

    Args:
        seen: what the checkpoint has seen.
        clips: clips of the manifest.
        split: split of the run to be tested.
        what: name of the checkpoint for the message.

    Returns:
        Notes for the reader of the results.

    Raises:
        SplitError: a clip, speaker or group of the test part was seen.
    """
    tested, trained = set(split.parts["test"]), {*split.parts["train"], *split.parts["val"]}
    test = [clip for clip in clips if clip.id in tested]
    notes = []
    for kind in GROUP_BY:
        known = seen.among(test, kind)
        if not known:
            continue
        rest = (clip for clip in clips if clip.id in trained)
        if kind != split.group_by and Seen.of(rest).among(test, kind):
            notes.append(f"{what} has seen {len(known)} {kind}s of the test part; the train part of this split has too")
            continue
        raise SplitError(
            f"{what} was trained or selected on {kind} {known[0]!r} of the test part of this run ({len(known)} such "
            f"{kind}s); use the same split for both, or train the branch in this run; if a different {kind} has the "
            "same name here, prepare this corpus under another name"
        )
    return notes


def _digest(name: str) -> int:
    """Return a 64-bit digest; two of a million names collide with a probability of 3e-8."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def _digests(names: Iterable[str]) -> Digests:
    return np.unique(np.fromiter((_digest(name) for name in names), dtype=np.int64))
