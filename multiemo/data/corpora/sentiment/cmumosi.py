"""CMU-MOSI: opinions from YouTube, sentiment from -3 to 3 (Zadeh et al. 2016, arXiv:1606.06259)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from multiemo.data.corpora.sentiment.common import SentimentScale, sentiment_clips
from multiemo.data.corpora.source import Skip
from multiemo.registry import corpora
from multiemo.types import Clip

_SCALE = SentimentScale("cmumosi", language="en", bound=3, one_speaker=True)


@corpora.register("cmumosi")
def cmumosi(
    root: Path,
    skip: Skip,
    made: Callable[[], Path],
    *,
    label_set: Literal["polarity2", "polarity3", "polarity5", "polarity7"] = "polarity3",
    features: str | None = None,
) -> Iterator[Clip]:
    """One clip an opinion segment.

    A video shows one person, and names no one: the video stands for the speaker (2199 segments, 93 videos; the authors
    count 89 speakers, so a few are met in two videos).

    Folder:
        ``label.csv`` (MMSA) with ``Raw/VIDEO/CLIP.mp4`` or the first release's ``*/Segmented/VIDEO_CLIP.*``; or a
        feature pickle; or ``.csd`` files; valence = score / 3; ``label_set=polarity2``, ``5``, ``7``

    Labels:
        ``polarity3``

    Split:
        official; by video

    Args:
        root: the folder with ``label.csv`` and the media, with one feature pickle, or the pickle itself
            (``aligned_50.pkl``, ``unaligned_50.pkl``); see :mod:`multiemo.data.corpora.sentiment.common`.
        skip: told of everything that is left out.
        made: gives the folder that features are written into.
        label_set: the labels that scores are turned into.
        features: a feature pickle below ``root`` whose features the clips of ``label.csv`` are given.

    Yields:
        Clips with id ``video$_$clip``, the official part, valence = score / 3.

    Raises:
        ManifestError: neither the table nor a pickle is there, or one is of another form.
    """
    yield from sentiment_clips(_SCALE, root, skip, made, labels=label_set, features=features)
