"""CMU-MOSEI: sentences of YouTube monologues, sentiment from -3 to 3, six emotions from 0 to 3 (Zadeh et al. 2018, ACL,
P18-1208).

The emotions are in ``CMU_MOSEI_Labels.csd`` (:mod:`multiemo.data.corpora.sentiment.csd`), or in the ``Labels/*.csv`` of
the first release: one row per rater, with the columns Input.VIDEO_ID, Input.CLIP, Answer.happiness and so on. Several
emotions may be present at once. An emotion is present if the mean over the raters is above 0 (README of
CMU-MultimodalSDK, "binary emotions").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from multiemo.data.corpora.sentiment.common import SentimentScale, clip_key, sentiment_clips
from multiemo.data.corpora.sentiment.csd import find_sequences, present_emotions
from multiemo.data.corpora.sentiment.feature_pickle import MARK
from multiemo.data.corpora.source import Skip, not_the_corpus, read_table, relative, walk
from multiemo.registry import corpora
from multiemo.types import Clip

#: Column of the ratings -> label.
_EMOTIONS = {
    "Answer.happiness": "happy", "Answer.sadness": "sad", "Answer.anger": "angry", "Answer.surprise": "surprised",
    "Answer.disgust": "disgusted", "Answer.fear": "fearful",
}  # fmt: skip
_WHICH = ("Input.VIDEO_ID", "Input.CLIP")
_SCALE = SentimentScale("cmumosei", language="en", bound=3, one_speaker=True)


@corpora.register("cmumosei")
def cmumosei(
    root: Path,
    skip: Skip,
    made: Callable[[], Path],
    *,
    label_set: Literal["polarity2", "polarity3", "polarity5", "polarity7", "ekman6", "ekman7"] = "polarity3",
    features: str | None = None,
) -> Iterator[Clip]:
    """One clip per sentence.

    A video shows one unnamed person, so the video is used as speaker. The authors count 1000 speakers in 3228 videos,
    so many speakers are in several videos; no published table identifies them.

    Folder:
        ``label.csv`` (MMSA) with ``Raw/VIDEO/CLIP.mp4`` or the first release's ``*/Segmented/VIDEO_CLIP.*``; or a
        feature pickle; or ``.csd`` files; valence = score / 3; ``label_set=polarity2``, ``5``, ``7``; also ``ekman6``
        or ``ekman7``: the emotions that are present, from the first release's ``Labels/*.csv`` or
        ``CMU_MOSEI_Labels.csd``

    Labels:
        ``polarity3``

    Split:
        official; by video

    Args:
        root: the folder with ``label.csv`` and the media, with one feature pickle, or the pickle itself
            (``aligned_50.pkl``, ``unaligned_50.pkl``); see :mod:`multiemo.data.corpora.sentiment.common`.
        skip: called for everything that is left out.
        made: returns the folder for extracted features.
        label_set: the label set to which scores are mapped; or the set of emotions, with those present as ``labels``:
            clips without any emotion are unlabelled with ``ekman6``, and neutral with ``ekman7``. These sets need
            ``Labels/*.csv`` or ``CMU_MOSEI_Labels.csd``.
        features: a feature pickle below ``root`` with features for the clips of ``label.csv``.

    Yields:
        Clips with id ``video$_$clip``, the official part, valence = score / 3.

    Raises:
        ManifestError: there is neither the table nor a pickle, or one has another format; or emotions are asked for
            and there are no ratings.
    """
    if label_set not in ("ekman6", "ekman7"):
        yield from sentiment_clips(_SCALE, root, skip, made, labels=label_set, features=features)
        return
    sequences = None if (root / "label.csv").is_file() else find_sequences(root, lambda what, reason: None)
    rated = _rated(root, skip) if sequences is None else present_emotions(sequences)
    if not rated:
        expected = "Labels/*.csv with the column Answer.happiness (CMU_MOSEI.zip), or CMU_MOSEI_Labels.csd"
        raise not_the_corpus("cmumosei", root, expected)
    unrated = nothing = 0
    for clip in sentiment_clips(_SCALE, root, skip, made, labels="polarity3", features=features):
        present = rated.get(clip_key(*clip.id.split(MARK, 1)))
        labels = ("neutral",) if label_set == "ekman7" and present == () else present
        unrated += present is None
        nothing += present == () and not labels
        yield replace(clip, label_set=label_set, label=None, labels=labels or None, modality_labels={})
    if unrated:
        skip(str(root), f"{unrated} clips have no rating in Labels/*.csv and are kept without labels")
    if nothing:
        skip(str(root), f"{nothing} clips show none of the six emotions and are kept without labels")


def _rated(root: Path, skip: Skip) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return {(video, clip): the emotions present}, over all raters and all files."""
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for path in walk(root, (".csv",)):
        if path.parent.name != "Labels":
            continue
        bad = 0
        for _, row in read_table(path, columns=(), corpus="cmumosei"):
            missing = [column for column in (*_WHICH, *_EMOTIONS) if column not in row]
            if missing:
                skip(relative(path, root), f"has no column {missing[0]!r}")
                break
            try:
                scores = {label: float(row[column]) for column, label in _EMOTIONS.items()}
            except ValueError:
                bad += 1
                continue
            # Some files have a folder before the video.
            video, clip = row["Input.VIDEO_ID"].strip().rsplit("/", 1)[-1], row["Input.CLIP"].strip()
            total = sums.setdefault(clip_key(video, clip), dict.fromkeys(scores, 0.0))
            for label, score in scores.items():
                total[label] += score
        if bad:
            skip(relative(path, root), f"{bad} rows lack a number for one of the emotions")
    return {key: tuple(label for label, total in found.items() if total > 0) for key, found in sums.items()}
