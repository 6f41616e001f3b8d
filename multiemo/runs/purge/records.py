"""The receipt of a purge."""

from __future__ import annotations

from multiemo.records import Record, record


@record
class Removal(Record):
    """Something that was removed.

    Args:
        place: file or folder. Names of the person in it are replaced.
        what: what was removed: ``cache entries``, ``rows``, ``clips of the split``, ``members or lines``, ``files``,
            ``feature files`` or ``media files``.
        count: how many.
    """

    place: str
    what: str
    count: int


@record
class Remainder(Record):
    """Something about the person that was not removed.

    Args:
        place: file or folder. Names of the person in it are replaced.
        why: why it was not removed, and what removes it.
    """

    place: str
    why: str


@record
class PurgeReceipt(Record):
    """What a purge removed, and what it could not remove.

    Args:
        person: SHA-256 of the person's name as it was given. The receipt itself does not name them.
        time: ISO 8601, UTC.
        done: false for a listing of what would be removed.
        clips: number of the person's clips in the manifests.
        removed: everything that was removed.
        remains: everything that was not.
    """

    person: str
    time: str
    done: bool
    clips: int
    removed: list[Removal]
    remains: list[Remainder]


@record
class PurgeReceipts(Record):
    """What ``multiemo cache purge --json`` writes.

    Args:
        receipts: one for each person.
    """

    receipts: list[PurgeReceipt]
