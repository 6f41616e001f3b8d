"""TESS: two actresses, 200 words in a carrier phrase, seven emotions (Pichora-Fuller & Dupuis 2020,
doi:10.5683/SP2/E8H2MF).

File names: actress (OAF older, YAF younger), word, emotion: ``OAF_back_angry.wav``; ``ps`` is pleasant surprise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import Skip, keep_first, not_the_corpus, relative, walk
from multiemo.registry import corpora
from multiemo.types import Clip

#: One published file begins with ``OA`` for ``OAF``.
_NAME = re.compile(r"(OAF?|YAF)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)", re.IGNORECASE)
_EMOTIONS = {
    "angry": "angry", "disgust": "disgusted", "fear": "fearful", "happy": "happy", "neutral": "neutral",
    "ps": "surprised", "sad": "sad",
}  # fmt: skip


@corpora.register("tess")
def tess(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per recording.

    Folder:
        ``OAF_back_angry.wav`` ...

    Labels:
        ``ekman7``

    Split:
        two actresses

    Args:
        root: the corpus folder; recordings are found by name at any depth (``OAF_angry/OAF_back_angry.wav``).
        skip: called for every file that is left out.

    Yields:
        Clips with id ``OAF_back_angry``, speaker ``OAF`` or ``YAF``, the phrase as text and label set ``ekman7``.

    Raises:
        ManifestError: no file under ``root`` is named like a recording of TESS.
    """
    found: dict[str, str] = {}
    for path in walk(root, (".wav", ".flac")):
        name = relative(path, root)
        match = _NAME.fullmatch(path.stem)
        if match is None:
            skip(name, "is not named like a recording of TESS (OAF_word_emotion or YAF_word_emotion)")
            continue
        speaker = "YAF" if match[1].upper() == "YAF" else "OAF"
        word, emotion = match[2].lower(), match[3].lower()
        take = f"{speaker}_{word}_{emotion}"
        if not keep_first(found, take, name, skip):
            continue
        yield Clip(
            id=take,
            corpus="tess",
            speaker=speaker,
            language="en",
            text=f"Say the word {word}.",
            audio=name,
            label_set="ekman7",
            label=_EMOTIONS[emotion],
            attributes={"sex": "female", "age": "64" if speaker == "OAF" else "26"},
        )
    if not found:
        raise not_the_corpus("tess", root, "files like OAF_back_angry.wav")
