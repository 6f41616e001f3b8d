"""EmoDB: ten actors, ten everyday German sentences, seven emotions (Burkhardt et al. 2005, Interspeech).

File names: two digits speaker, three characters sentence, one letter emotion, one letter version: ``03a01Fa.wav``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, keep_first, not_the_corpus, relative, walk
from multiemo.registry import corpora
from multiemo.types import Clip

_NAME = re.compile(r"(\d\d)([ab]\d\d)([WLEAFTN])([a-z]?)")
_SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_EMOTIONS = {
    "W": "angry",  # Wut
    "L": "bored",  # Langeweile
    "E": "disgusted",  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "N": "neutral",
}

#: Sex and age of each speaker, from the corpus's web page.
_SPEAKERS = {
    "03": ("male", "31"), "08": ("female", "34"), "09": ("female", "21"), "10": ("male", "32"), "11": ("male", "26"),
    "12": ("male", "30"), "13": ("female", "32"), "14": ("female", "35"), "15": ("male", "25"), "16": ("female", "31"),
}  # fmt: skip


@corpora.register("emodb")
def emodb(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per recording.

    Folder:
        ``wav/03a01Fa.wav`` ...

    Labels:
        ``emodb7``

    Split:
        by speaker

    Args:
        root: the corpus folder; recordings are found by name at any depth (``wav/03a01Fa.wav``).
        skip: called for every file that is left out.

    Yields:
        Clips whose id is the stem of the file, with the sentence as text and label set ``emodb7``.

    Raises:
        ManifestError: no file under ``root`` is named like a recording of EmoDB.
    """
    found: dict[str, str] = {}
    for path in walk(root, (".wav", ".flac")):
        name = relative(path, root)
        match = _NAME.fullmatch(path.stem)
        if match is None or match[2] not in _SENTENCES:
            skip(name, "is not named like a recording of EmoDB (NNxYYEv: speaker, sentence, emotion, version)")
            continue
        if not keep_first(found, path.stem, name, skip):
            continue
        yield Clip(
            id=path.stem,
            corpus="emodb",
            speaker=match[1],
            language="de",
            text=_SENTENCES[match[2]],
            audio=name,
            label_set="emodb7",
            label=_EMOTIONS[match[3]],
            attributes=dict(zip(("sex", "age"), _SPEAKERS.get(match[1], ()), strict=False)),
        )
    if not found:
        raise not_the_corpus("emodb", root, "files like wav/03a01Fa.wav")
