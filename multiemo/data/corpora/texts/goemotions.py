"""GoEmotions: Reddit comments with one or more of 28 labels (Demszky et al. 2020, arXiv:2005.00547)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from multiemo.data.corpora.source import Skip, not_the_corpus, read_text
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, canonical, map_label
from multiemo.registry import corpora
from multiemo.types import Clip

_PARTS = {"train": "train", "dev": "val", "test": "test"}
_SETS = {"original": "goemotions28", "ekman": "ekman7"}


@corpora.register("goemotions")
def goemotions(root: Path, skip: Skip, *, variant: Literal["original", "ekman"] = "original") -> Iterator[Clip]:
    """One clip per comment, with its list of labels. There are no speakers.

    Folder:
        ``train/dev/test.tsv``, ``labels.txt``; ``variant=original`` or ``ekman``

    Labels:
        ``goemotions28``, ``ekman7``

    Split:
        official; no speakers

    Args:
        root: the folder with ``train.tsv``, ``dev.tsv``, ``test.tsv`` (those that exist) and ``labels.txt`` or
            ``emotions.txt``; or the folder above, with ``original/`` and ``ekman/``.
        skip: called for every row that is left out.
        variant: ``original`` (28 labels) or ``ekman`` (7 labels; mapped with the authors' table if only the 28 exist).

    Yields:
        Clips with the id of the comment, ``labels`` of ``goemotions28`` or ``ekman7``, and the official part.

    Raises:
        ManifestError: the tables or the list of labels are missing or unknown.
    """
    folder = root / variant if (root / variant).is_dir() else root
    tables = [folder / f"{part}.tsv" for part in _PARTS if (folder / f"{part}.tsv").is_file()]
    listing = next((folder / n for n in ("labels.txt", "emotions.txt") if (folder / n).is_file()), None)
    if not tables or listing is None:
        raise not_the_corpus("goemotions", root, "train.tsv or dev.tsv together with labels.txt (or emotions.txt)")
    codes = _codes(listing, _SETS[variant])
    for table in tables:
        for number, line in enumerate(read_text(table).split("\n"), start=1):
            if not line.strip():
                continue
            where = f"{table.name} line {number}"
            cells = line.rstrip("\r").split("\t")
            if len(cells) != 3 or not cells[0].strip() or not cells[2].strip():
                skip(where, "is not text, label numbers and id, separated by tabs")
                continue
            labels = tuple(dict.fromkeys(codes.get(code.strip(), "") for code in cells[1].split(",")))
            if "" in labels:
                skip(where, f"label numbers {cells[1]!r} are not all in {listing.name}")
                continue
            yield Clip(
                id=cells[2].strip(),
                corpus="goemotions",
                language="en",
                text=cells[0].strip(),
                label_set=_SETS[variant],
                labels=labels,
                split=_PARTS[table.stem],
            )


def _codes(listing: Path, target: str) -> dict[str, str]:
    """Return {number in the tables: label of the set ``target``} from the file that lists the names in order."""
    names = [name.strip().lower() for name in read_text(listing).splitlines() if name.strip()]
    seven = [canonical(name) for name in names]
    if set(names) == set(LABEL_SETS["goemotions28"]):
        ours = [map_label(name, "goemotions28", target) for name in names]
    elif set(seven) == set(LABEL_SETS["ekman7"]) and target == "ekman7":
        ours = list(seven)
    else:
        raise ManifestError(
            f"goemotions: {listing} lists {len(names)} labels ({', '.join(names[:3])}, ...), not those of {target}; "
            "give the folder that belongs to the variant, or the option variant=ekman for the seven"
        )
    return {str(code): label for code, label in enumerate(ours) if label is not None}
