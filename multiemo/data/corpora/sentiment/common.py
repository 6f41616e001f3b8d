"""Shared by CMU-MOSI, CMU-MOSEI and CH-SIMS: the layout and the label table of MMSA, and mapping scores to labels.

``label.csv`` (``meta.csv`` in CH-SIMS v2) has the columns video_id, clip_id, text, label, label_T, label_A, label_V,
annotation, mode; the media of a clip are ``Raw/<video>/<clip>.mp4``, or have the name of the first release,
``Video/Segmented/<video>_<clip>.mp4`` and ``Audio/WAV_16000/Segmented/<video>_<clip>.wav``. MMSA: Mao et al. 2022, ACL
demo, arXiv:2203.12441.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from multiemo.data.corpora.sentiment.csd import find_sequences, read_sequences
from multiemo.data.corpora.sentiment.feature_pickle import MARK, PARTS, PickledSegment, read_segments
from multiemo.data.corpora.source import Skip, not_the_corpus, read_table, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import canonical, label_set
from multiemo.types import Clip

_COLUMNS = ("video_id", "clip_id", "text", "label", "annotation", "mode")
#: The table of MMSA, and its name in CH-SIMS v2.
_TABLES = ("label.csv", "meta.csv")
_SINGLE = {"text": "label_T", "speech": "label_A", "face": "label_V"}
_AUDIO = (".wav", ".flac")
_VIDEO = (".mp4", ".avi", ".mov", ".mkv", ".flv")
#: A line of CMU-MOSI's ``.annotprocessed``: ``1_DELIM_THE WORDS``.
_MOSI_LINE = re.compile(r"(\d+)_DELIM_(.*)")


@dataclass(frozen=True, slots=True)
class SentimentScale:
    """Properties of one of the corpora.

    Args:
        corpus: name of the adapter.
        language: language of the clips.
        bound: the largest sentiment score; the smallest is its negative.
        one_speaker: whether a video shows one person, so that its name can be used as speaker.
    """

    corpus: str
    language: str
    bound: float
    one_speaker: bool


def sentiment_clips(
    scale: SentimentScale, root: Path, skip: Skip, made: Callable[[], Path], *, labels: str, features: str | None
) -> Iterator[Clip]:
    """Read the clips of a folder in MMSA's layout, of a feature pickle, of both, or of computational sequences.

    Args:
        scale: properties of the corpus.
        root: the folder with ``label.csv``, or with one feature pickle, or with ``.csd`` files including the labels;
            or the feature pickle itself.
        skip: called for everything that is left out.
        made: returns the folder for extracted features.
        labels: the polarity set to which scores are mapped; see :func:`polarity`.
        features: a feature pickle below ``root``; if there is a ``label.csv``, its clips get these features.

    Yields:
        Clips with id ``video$_$clip``, group = video and valence = score, rescaled to -1..1.

    Raises:
        ManifestError: there is neither the table nor a pickle, there are several pickles and none is named, or a file
            has another format.
    """
    if root.is_file() and root.suffix.lower() not in (".pkl", ".pickle"):
        raise not_the_corpus(scale.corpus, root, "label.csv beside Raw/")
    table = next((path for name in _TABLES if (path := root / name).is_file()), root / _TABLES[0])
    sequences = find_sequences(root, skip) if root.is_dir() and features is None and not table.is_file() else None
    media = _Media()
    if sequences is not None:
        media, pickle = _media(root), None
        segments: Iterable[PickledSegment] = read_sequences(root, sequences, made, skip)
    else:
        pickle = root if root.is_file() else _pickle(scale, root, features, skip, tabled=table.is_file())
        segments = () if pickle is None else read_segments(pickle, made, skip)
    if table.is_file():
        media = _media(root)
        segments = _with_table(scale, table, _transcripts(root), list(segments), skip)
    bare = 0
    for segment in _as_spoken(segments):
        clip = _clip(scale, segment, media, labels)
        if isinstance(clip, str):
            skip(segment.id, clip)
            continue
        bare += clip.audio is None and clip.video is None
        yield clip
    if bare and (media.audio or media.video):
        skip(str(root), f"{bare} clips without media file are kept")


def _as_spoken(segments: Iterable[PickledSegment]) -> list[PickledSegment]:
    """Sort the clips of each video by number: tables and pickles list them in any order, and earlier ones are context.

    The videos stay in the order in which they are first listed.
    """
    places: dict[str, int] = {}

    def order(segment: PickledSegment) -> tuple[int, bool, int, str]:
        video, clip = segment.id.split(MARK, 1)
        number = int(clip) if clip.isdecimal() else 0
        return places.setdefault(video, len(places)), not clip.isdecimal(), number, clip

    return sorted(segments, key=order)


def polarity(score: float, bound: float, labels: str) -> str | None:
    """Map a sentiment score to a label, by the rules of the literature.

    - ``polarity2``: the sign; 0 has no label (Tsai et al. 2019, arXiv:1906.00295, "negative/positive").
    - ``polarity3``: the sign; 0 is neutral.
    - ``polarity5``, ``polarity7``: on a scale of -3..3 the score clipped to -2..2 or -3..3 and rounded, half to even
      (the same paper's five and seven classes); on a scale of -1..1 five classes divided at -0.7, -0.1, 0.1 and 0.7
      (Yu et al. 2020, section 4: CH-SIMS).

    Args:
        score: within -``bound`` .. ``bound``.
        labels: a polarity set.

    Example:
        >>> polarity(-1.6, 3, "polarity7"), polarity(-1.6, 3, "polarity3"), polarity(0.0, 3, "polarity2")
        ('negative', 'negative', None)
        >>> polarity(0.8, 1, "polarity5")
        'very positive'
    """
    names = label_set(labels)
    if labels == "polarity2":
        return None if score == 0 else names[int(score > 0)]
    if labels == "polarity3":
        return names[(score > 0) - (score < 0) + 1]
    if bound == 1:
        return names[sum(score > edge for edge in (-0.7, -0.1, 0.1, 0.7))]
    half = len(names) // 2
    return names[round(min(max(score, -half), half)) + half]


@dataclass(slots=True)
class _Media:
    """Files by :func:`clip_key`; those of whole videos by (video, "")."""

    audio: dict[tuple[str, str], str] = field(default_factory=dict)
    video: dict[tuple[str, str], str] = field(default_factory=dict)


def clip_key(video: str, clip: str) -> tuple[str, str]:
    """Return a key for a clip that does not depend on leading zeros.

    Example:
        >>> clip_key("video_0001", "0012"), clip_key("v", "0")
        (('video_0001', '12'), ('v', '0'))
    """
    return video, clip.lstrip("0") or "0"


def _pickle(scale: SentimentScale, root: Path, features: str | None, skip: Skip, *, tabled: bool) -> Path | None:
    """Return the feature pickle to read, if any; existing pickles that are not read are passed to ``skip``."""
    found = list(walk(root, (".pkl",)))
    if features is not None:
        path = root / features
        if not path.is_file():
            there = ", ".join(relative(other, root) for other in found[:5]) or "no .pkl file"
            raise ManifestError(f"{scale.corpus}: features={features}: no such file in {root}; existing: {there}")
        return path
    if not tabled and len(found) == 1:
        return found[0]
    if not tabled and found:
        names = ", ".join(relative(path, root) for path in found[:5])
        raise ManifestError(f"{scale.corpus}: {root} has {len(found)} pickles; choose one, like features={names}")
    if not tabled:
        raise not_the_corpus(
            scale.corpus, root, "label.csv beside Raw/, a feature pickle like unaligned_50.pkl, or .csd files"
        )
    for path in found:
        name = relative(path, root)
        skip(name, f"is a feature pickle; the option features={name} adds its features to the clips")
    return None


def _media(root: Path) -> _Media:
    media = _Media()
    for path in walk(root, (*_AUDIO, *_VIDEO)):
        files = media.audio if path.suffix.lower() in _AUDIO else media.video
        keys = [clip_key(path.parent.name, path.stem), (path.stem, "")]
        if "_" in path.stem:
            keys.append(clip_key(*path.stem.rsplit("_", 1)))
        for key in keys:
            files.setdefault(key, relative(path, root))
    return media


def _transcripts(root: Path) -> dict[tuple[str, str], str]:
    """Read the texts in ``Transcript/Segmented`` of the first release: ``.annotprocessed`` (CMU-MOSI) or ``.txt`` with
    lines ``video___clip___start___end___words`` (CMU-MOSEI)."""
    words: dict[tuple[str, str], str] = {}
    for path in walk(root / "Transcript", (".annotprocessed", ".txt")):
        for line in read_text(path).splitlines():
            fields = line.split("___", 4)
            match = _MOSI_LINE.fullmatch(line)
            if match:
                words[clip_key(path.stem, match[1])] = match[2].strip()
            elif len(fields) == 5:
                words[clip_key(fields[0], fields[1])] = fields[4].strip()
    return words


def _with_table(
    scale: SentimentScale,
    table: Path,
    transcripts: Mapping[tuple[str, str], str],
    pickled: list[PickledSegment],
    skip: Skip,
) -> Iterator[PickledSegment]:
    """Yield the rows of the table with the features of their clips."""
    features = {clip_key(*segment.id.split(MARK, 1)): segment.features for segment in pickled}
    lacking = 0
    for number, row in read_table(table, columns=_COLUMNS, corpus=scale.corpus):
        where = f"{table.name} row {number}"
        video, clip, part = row["video_id"].strip(), row["clip_id"].strip(), PARTS.get(row["mode"].strip())
        scores = {m: value for m, column in _SINGLE.items() if (value := (row.get(column) or "").strip())}
        wrong = [value for value in (row["label"], *scores.values()) if not _is_number(value)]
        if not video or not clip or part is None:
            skip(where, f"video_id {video!r}, clip_id {clip!r}, mode {row['mode']!r}: one is empty or not a part")
        elif wrong:
            skip(where, f"label {wrong[0]!r} is not a number")
        else:
            refs = features.pop(clip_key(video, clip), {})
            lacking += not refs
            yield PickledSegment(
                id=f"{video}{MARK}{clip}",
                part=part,
                text=row["text"].strip() or transcripts.get(clip_key(video, clip)),
                annotation=row["annotation"].strip(),
                score=float(row["label"]),
                scores={m: float(value) for m, value in scores.items()},
                features=refs,
            )
    if pickled and lacking:
        skip(table.name, f"{lacking} clips without features in the pickle are kept")
    if features:
        skip(table.name, f"{len(features)} clips of the pickle have no row")


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _clip(scale: SentimentScale, segment: PickledSegment, media: _Media, labels: str) -> Clip | str:
    """Return the clip of a segment, or why it is left out."""
    video, clip = segment.id.split(MARK, 1)
    scores = {m: score for m, score in segment.scores.items() if not math.isnan(score)}
    for score in (segment.score, *scores.values()):
        if not -scale.bound <= score <= scale.bound:
            return f"label {score:g} is not within {-scale.bound:g}..{scale.bound:g}"
    label = polarity(segment.score, scale.bound, labels)
    if labels == "polarity3" and segment.annotation:
        label = canonical(segment.annotation)
        if label not in label_set(labels):
            return f"annotation {segment.annotation!r} is not one of {', '.join(label_set(labels))}"
    key = clip_key(video, clip) if segment.start is None else (video, "")
    seen = media.video.get(key)
    spanned = segment.start is not None and (seen is not None or key in media.audio)
    if not (segment.text or segment.features or seen or key in media.audio):
        return "has neither text, features nor media"
    single = {m: polarity(score, scale.bound, labels) for m, score in scores.items()}
    return Clip(
        id=segment.id,
        corpus=scale.corpus,
        speaker=video if scale.one_speaker else None,
        group=video,
        language=scale.language,
        text=segment.text,
        audio=media.audio.get(key, seen),
        video=seen,
        features=segment.features,
        start=segment.start if spanned else None,
        end=segment.end if spanned else None,
        label_set=labels,
        label=label,
        modality_labels={m: name for m, name in single.items() if name is not None},
        valence=round(segment.score / scale.bound, 6),
        split=segment.part,
    )
