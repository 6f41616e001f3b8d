"""RAF-DB: faces from the web, seven basic expressions (Li et al. 2017, CVPR, doi:10.1109/CVPR.2017.277)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, keep_first, not_the_corpus, part_folders, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, find_label
from multiemo.registry import corpora
from multiemo.types import Clip

_CODES = {str(code): label for code, label in enumerate(LABEL_SETS["rafdb7"], start=1)}
_COMPOUND = ("8", "9", "10", "11")
_PARTS = ("train", "test")
#: The list of the release in its original spelling, and in the corrected one of copies.
_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
#: The name of a picture in the release; copies may give pictures other names, which repeat in their folders.
_NAME = re.compile(r"(train|test)_\d+")
_PICTURES = (".jpg", ".jpeg", ".png")


@corpora.register("rafdb")
def rafdb(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per picture of the basic set: the face crop (``aligned``) if it exists. There are no speakers.

    - the release: ``basic/EmoLabel/list_patition_label.txt`` with lines ``train_00001.jpg 5`` and
      ``basic/Image/aligned/train_00001_aligned.jpg`` (or ``Image/original/train_00001.jpg``);
    - copies with one folder per class, named by its code (1-7) or name: ``DATASET/train/1/train_00001_aligned.jpg`` and
      ``test/`` or ``valid/`` (or ``val_set/`` and so on). Pictures named ``test_...`` are in the official test part,
      whatever their folder.

    Folder:
        ``basic/EmoLabel/list_patition_label.txt`` and ``Image/aligned/``, or ``train/``, ``test/`` or ``valid/`` with
        class folders (1-7 or names), also under ``DATASET/``; pictures named ``test_...`` are in the official test
        part, whatever their folder

    Labels:
        ``rafdb7``

    Split:
        official (train, test); no speakers

    Args:
        root: the corpus folder, or one above it.
        skip: called for every line or picture that is left out, and for test pictures in a folder of another part.

    Yields:
        Clips with id ``train_00001`` (or the path, if a copy has other names), the official part (train, test; val if a
        copy has one) and label set ``rafdb7``.

    Raises:
        NotTheCorpus: there are neither the list nor the folders.
        ManifestError: the list is that of the compound expressions, whose codes are different; or the folders are
            numbered from 0, so that the meaning of their numbers is unknown.
    """
    lists = [path for path in walk(root, (".txt",)) if path.name in _LISTS and "compound" not in relative(path, root)]
    if lists:
        yield from _listed(lists[0], root, skip)
        return
    tops = (root, root / "DATASET", root / "dataset")
    parts: dict[Path, str] = next((found for top in tops if "train" in (found := part_folders(top)).values()), {})
    if not parts:
        raise not_the_corpus(
            "rafdb", root, f"basic/EmoLabel/{_LISTS[0]} beside basic/Image/, or train/1/ ... test/7/ (or DATASET/)"
        )
    yield from _folders(parts, root, skip)


def _listed(listing: Path, root: Path, skip: Skip) -> Iterator[Clip]:
    home = listing.parent.parent if listing.parent.name == "EmoLabel" and listing.parent != root else listing.parent
    pictures: dict[str, str] = {}
    for path in walk(home, _PICTURES):
        name = _name(path)
        if name not in pictures or path.stem.endswith("_aligned"):
            pictures[name] = relative(path, root)
    lines = [line.split() for line in read_text(listing).splitlines()]
    if any(cells[-1] in _COMPOUND for cells in lines if cells):
        raise ManifestError(f"rafdb: {listing} lists the compound expressions (codes 1-11); use the folder basic/")
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
            skip(where, f"the picture {cells[0]!r} does not exist, aligned or original")
        else:
            yield _clip(name, pictures[name], label, part)


def _folders(parts: dict[Path, str], root: Path, skip: Skip) -> Iterator[Clip]:
    zero = next((part / "0" for part in parts if (part / "0").is_dir()), None)
    if zero is not None:
        raise ManifestError(
            f"rafdb: {zero}: the release numbers its classes 1-7, so the numbers of a copy that counts from 0 are "
            "ambiguous; name the folders after their emotions"
        )
    found: dict[str, str] = {}
    for part, named in parts.items():
        misplaced = 0
        for path in walk(part, _PICTURES):
            word, name = path.parent.name, _name(path)
            label = (_CODES.get(word) or find_label(word, LABEL_SETS["rafdb7"])) if path.parent.parent == part else None
            if label is None:
                skip(relative(path, root), "is not in a folder of one of the classes 1-7")
                continue
            if _NAME.fullmatch(name) is None:
                name = relative(path, root).rsplit(".", 1)[0]
            if not keep_first(found, name, relative(path, root), skip):
                continue
            split = "test" if name.startswith("test_") else named
            misplaced += split != named
            yield _clip(name, relative(path, root), label, split)
        if misplaced:
            skip(relative(part, root), f"{misplaced} pictures are named test_... and stay in the official test part")


def _name(path: Path) -> str:
    return path.stem.removesuffix("_aligned")


def _clip(name: str, image: str, label: str, part: str) -> Clip:
    aligned = Path(image).stem.endswith("_aligned")
    return Clip(id=name, corpus="rafdb", image=image, cropped=aligned, label_set="rafdb7", label=label, split=part)
