"""RAF-DB: faces from the web, seven basic expressions (Li et al. 2017, CVPR, doi:10.1109/CVPR.2017.277)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, not_the_corpus, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS
from multiemo.registry import corpora
from multiemo.types import Clip

_CODES = {str(code): label for code, label in enumerate(LABEL_SETS["rafdb7"], start=1)}
_COMPOUND = ("8", "9", "10", "11")
_PARTS = ("train", "test")
#: The list of the release, in its own spelling, and in the one that copies correct it to.
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
_PICTURES = (".jpg", ".jpeg", ".png")


@corpora.register("rafdb", kind="real", languages=())
def rafdb(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip a picture of the basic set: the face crop where that is there (``aligned``). There are no speakers.

    - the release: ``basic/EmoLabel/list_patition_label.txt`` with lines ``train_00001.jpg 5`` and
      ``basic/Image/aligned/train_00001_aligned.jpg`` (or ``Image/original/train_00001.jpg``);
    - copies in one folder a class: ``DATASET/train/1/train_00001_aligned.jpg``.

    Args:
        root: the corpus folder, or one above it.
        skip: told of every line or picture that is left out.

    Yields:
        Clips with id ``train_00001``, the official part (train, test), label set ``rafdb7``.

    Raises:
        ManifestError: neither the list nor the folders are there, or the list is that of the compound expressions,
            whose codes mean something else.
    """
    lists = [path for path in walk(root, (".txt",)) if path.name in _LISTS and "compound" not in relative(path, root)]
    if lists:
        yield from _listed(lists[0], root, skip)
        return
    tops = (root, root / "DATASET", root / "dataset")
    top = next((top for top in tops if all((top / part).is_dir() for part in _PARTS)), None)
    if top is None:
        raise not_the_corpus(
            "rafdb", root, f"basic/EmoLabel/{_LISTS[0]} beside basic/Image/, or train/1/ ... test/7/ (or DATASET/)"
        )
    yield from _folders(top, root, skip)


def _listed(listing: Path, root: Path, skip: Skip) -> Iterator[Clip]:
    home = listing.parent.parent if listing.parent.name == "EmoLabel" else listing.parent
    pictures: dict[str, str] = {}
    for path in walk(home, _PICTURES):
        name = _name(path)
        if name not in pictures or path.stem.endswith("_aligned"):
            pictures[name] = relative(path, root)
    lines = [line.split() for line in read_text(listing).splitlines()]
    if any(cells[-1] in _COMPOUND for cells in lines if cells):
        raise ManifestError(f"rafdb: {listing} lists the compound expressions (codes 1-11); take the folder basic/")
    for number, cells in enumerate(lines, start=1):
        where = f"{listing.name} line {number}"
        if not cells:
            continue
        name = Path(cells[0]).stem
        part = name.partition("_")[0]
        label = _CODES.get(cells[1]) if len(cells) == 2 else None
        if part not in _PARTS or label is None:
            skip(where, f"{' '.join(cells)!r} is not a picture of train or test and a code 1-7")
        elif name not in pictures:
            skip(where, f"the picture {cells[0]!r} is not there, aligned or not")
        else:
            yield _clip(name, pictures[name], label, part)


def _folders(top: Path, root: Path, skip: Skip) -> Iterator[Clip]:
    for part in _PARTS:
        for path in walk(top / part, _PICTURES):
            label = _CODES.get(path.parent.name) if path.parent.parent == top / part else None
            if label is None:
                skip(relative(path, root), "is not in a folder of one of the classes 1-7")
            else:
                yield _clip(_name(path), relative(path, root), label, part)


def _name(path: Path) -> str:
    return path.stem.removesuffix("_aligned")


def _clip(name: str, image: str, label: str, part: str) -> Clip:
    aligned = Path(image).stem.endswith("_aligned")
    return Clip(id=name, corpus="rafdb", image=image, cropped=aligned, label_set="rafdb7", label=label, split=part)
