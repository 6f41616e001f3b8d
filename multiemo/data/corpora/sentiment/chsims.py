"""CH-SIMS: Chinese films and shows, sentiment from -1 to 1, from each modality alone and from all together.

Yu et al. 2020, ACL, 2020.acl-main.343.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from multiemo.data.corpora.sentiment.common import SentimentScale, sentiment_clips
from multiemo.data.corpora.source import Skip
from multiemo.registry import corpora
from multiemo.types import Clip

_SCALE = SentimentScale("chsims", language="zh", bound=1, one_speaker=False)


@corpora.register("chsims")
def chsims(
    root: Path,
    skip: Skip,
    made: Callable[[], Path],
    *,
    label_set: Literal["polarity2", "polarity3", "polarity5"] = "polarity3",
    features: str | None = None,
) -> Iterator[Clip]:
    """One clip per segment; labels from one modality alone are in ``modality_labels``.

    Speakers are not named, and a video may show several, so splits have to be by video (``group_by: group``).

    Folder:
        ``label.csv`` (MMSA; ``meta.csv`` in version 2) with ``Raw/VIDEO/CLIP.mp4``, or a feature pickle;
        ``modality_labels`` from text, voice and face alone; valence

    Labels:
        ``polarity3`` (or ``polarity2``, ``polarity5``)

    Split:
        official; by video, as ``group``

    Args:
        root: the folder with ``label.csv`` and ``Raw/``, with one feature pickle, or the pickle itself
            (``unaligned_39.pkl``); see :mod:`multiemo.data.corpora.sentiment.common`.
        skip: called for everything that is left out.
        made: returns the folder for extracted features.
        label_set: the label set to which scores are mapped.
        features: a feature pickle below ``root`` with features for the clips of ``label.csv``.

    Yields:
        Clips with id ``video$_$clip``, the official part, valence = score.

    Raises:
        ManifestError: there is neither the table nor a pickle, or one has another format.
    """
    yield from sentiment_clips(_SCALE, root, skip, made, labels=label_set, features=features)
