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
    """One clip per opinion segment.

    A video shows one unnamed person, so the video is used as speaker (2199 segments, 93 videos; the authors count 89
    speakers, so a few speakers are in two videos).

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
        skip: called for everything that is left out.
        made: returns the folder for extracted features.
        label_set: the label set to which scores are mapped.
        features: a feature pickle below ``root`` with features for the clips of ``label.csv``.

    Yields:
        Clips with id ``video$_$clip``, the official part, valence = score / 3.

    Raises:
        ManifestError: there is neither the table nor a pickle, or one has another format.
    """
    yield from sentiment_clips(_SCALE, root, skip, made, labels=label_set, features=features)
