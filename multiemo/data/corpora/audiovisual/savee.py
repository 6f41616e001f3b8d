"""SAVEE: audio and video of four actors, seven emotions, TIMIT sentences (Haq & Jackson 2009, AVSP, pp. 53-58).

File names: emotion and sentence, in one folder per speaker: ``AudioData/DC/a01.wav``, ``AudioVisualClip/DC/a1.avi``.
Apart from three common sentences every emotion has its own, so the text would reveal the label; clips have no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.source import RECORDINGS, Skip, keep_first, not_the_corpus, relative, walk
from multiemo.registry import corpora
from multiemo.types import Clip

_SPEAKERS = ("DC", "JE", "JK", "KL")
_EMOTIONS = {
    "a": "angry", "d": "disgusted", "f": "fearful", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprised",
}  # fmt: skip
_NAME = re.compile(r"(?:(DC|JE|JK|KL)_?)?(a|d|f|h|n|sa|su)(\d{1,2})")


@corpora.register("savee")
def savee(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per sentence; its audio and its video are merged.

    Folder:
        ``AudioData/DC/a01.wav``, ``AudioVisualClip/DC/a1.avi``

    Labels:
        ``ekman7``

    Split:
        by actor

    Args:
        root: the folder with ``AudioData/`` and ``AudioVisualClip/``, or one of them, or files named ``DC_a01.wav``.
        skip: called for every file that is left out.

    Yields:
        Clips with id ``DC_a01``, speaker ``DC``, label set ``ekman7``.

    Raises:
        ManifestError: no file under ``root`` is named like a recording of SAVEE.
    """
    takes: dict[str, dict[str, str]] = {}
    for path in walk(root, RECORDINGS):
        name = relative(path, root)
        match = _NAME.fullmatch(path.stem)
        speaker = (match[1] or path.parent.name) if match else None
        if match is None or speaker not in _SPEAKERS:
            skip(name, "is not named like a recording of SAVEE (DC/a01: speaker, emotion, sentence)")
            continue
        take = takes.setdefault(f"{speaker}_{match[2]}{int(match[3]):02d}", {})
        keep_first(take, RECORDINGS[path.suffix.lower()], name, skip)
    if not takes:
        raise not_the_corpus("savee", root, "files like AudioData/DC/a01.wav or AudioVisualClip/DC/a1.avi")
    for name in sorted(takes):
        yield Clip(
            id=name,
            corpus="savee",
            speaker=name[:2],
            language="en",
            audio=takes[name].get("audio"),
            video=takes[name].get("video"),
            label_set="ekman7",
            label=_EMOTIONS[name[3:].rstrip("0123456789")],
        )
