"""EmoryNLP: utterances of the series Friends, the seven emotions of the feeling wheel (Zahiri & Choi 2018,
arXiv:1708.04299).

Layout as released: ``json/emotion-detection-trn.json`` (``dev``, ``tst``) with episodes, scenes and utterances; or the
tables published with MELD: ``emorynlp_train_final.csv`` (``dev``, ``test``), with clips, if downloaded, in
``emorynlp_train_splits/`` (``sea1_ep2_sc1_utt2.mp4``).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiemo.data.corpora.source import Skip, mend, nearest, not_the_corpus, read_table, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["emorynlp7"]
#: Part -> its names in the JSON and in the tables.
_PARTS = {"train": ("trn", "train"), "val": ("dev", "dev"), "test": ("tst", "test")}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode")


@dataclass(frozen=True)
class _Utterance:
    """One utterance of either format; ``place`` is (season, episode, scene, number)."""

    place: tuple[int, int, int, int]
    speakers: list[str]
    text: str
    emotion: str

    @property
    def scene(self) -> str:
        """Name of the scene as in the JSON."""
        return "s{:02d}_e{:02d}_c{:02d}".format(*self.place[:3])


@corpora.register("emorynlp")
def emorynlp(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per utterance, scene by scene in spoken order; with its video if downloaded.

    The six friends are in every part, so speakers overlap between parts; scenes and episodes do not.

    Folder:
        ``emotion-detection-trn.json`` ..., or ``emorynlp_train_final.csv`` ... with clips if downloaded

    Labels:
        ``emorynlp7``

    Split:
        official (episodes; speakers overlap)

    Args:
        root: the folder with the JSON files or the tables; JSON takes priority over a table of the same part.
        skip: called for every utterance that is left out.

    Yields:
        Clips with id ``s01_e02_c01_u002``, group ``s01_e02_c01``, the official part and label set ``emorynlp7``. People
        who speak at once form one speaker, joined with ``&``.

    Raises:
        ManifestError: none of the files exists, or one has another format.
    """
    sources = {
        part: nearest(root, f"emotion-detection-{short}.json", f"emorynlp_{long}_final.csv")
        for part, (short, long) in _PARTS.items()
    }
    if not any(sources.values()):
        raise not_the_corpus("emorynlp", root, "emotion-detection-trn.json or emorynlp_train_final.csv")
    videos = {path.stem: relative(path, root) for path in walk(root, (".mp4",))}
    for part, path in sources.items():
        if path is None:
            continue
        bare = 0
        read = _from_json if path.suffix == ".json" else _from_table
        for utterance in sorted(read(path, skip), key=lambda utterance: utterance.place):
            label, text = utterance.emotion.strip().lower(), mend(utterance.text).strip()
            name = f"{utterance.scene}_u{utterance.place[3]:03d}"
            video = videos.get("sea{}_ep{}_sc{}_utt{}".format(*utterance.place))
            if label not in _LABELS:
                skip(f"{path.name} {name}", f"emotion {utterance.emotion!r} is not one of {', '.join(_LABELS)}")
            elif not text and video is None:
                skip(f"{path.name} {name}", "has neither text nor a video")
            else:
                bare += video is None
                yield Clip(
                    id=name,
                    corpus="emorynlp",
                    speaker=" & ".join(utterance.speakers) or None,
                    group=utterance.scene,
                    language="en",
                    text=text or None,
                    audio=video,
                    video=video,
                    label_set="emorynlp7",
                    label=label,
                    split=part,
                )
        if bare and videos:
            skip(path.name, f"{bare} utterances without video file are kept for their words")


def _from_json(path: Path, skip: Skip) -> Iterator[_Utterance]:
    try:
        utterances = [
            utterance
            for episode in json.loads(read_text(path))["episodes"]
            for scene in episode["scenes"]
            for utterance in scene["utterances"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"emorynlp: {path} does not contain episodes, scenes, utterances ({type(error).__name__}: {error})"
        ) from None
    for number, utterance in enumerate(utterances, start=1):
        where = f"{path.name} utterance {number}"
        try:
            place = _numbers([field[1:] for field in utterance["utterance_id"].split("_")])
            speakers, text, emotion = utterance["speakers"], utterance["transcript"], utterance["emotion"]
        except (KeyError, TypeError, AttributeError) as error:
            skip(where, f"lacks {error}")
            continue
        if place is None:
            skip(where, f"utterance_id {utterance['utterance_id']!r} is not like s01_e02_c01_u002")
        else:
            yield _Utterance(place, [str(name) for name in speakers], str(text or ""), str(emotion))


def _from_table(path: Path, skip: Skip) -> Iterator[_Utterance]:
    for number, row in read_table(path, columns=_COLUMNS, corpus="emorynlp"):
        place = _numbers([row[column] for column in ("Season", "Episode", "Scene_ID", "Utterance_ID")])
        if place is None:
            skip(f"{path.name} row {number}", "Season, Episode, Scene_ID or Utterance_ID is not a number")
        else:
            yield _Utterance(place, _speakers(row["Speaker"]), row["Utterance"], row["Emotion"])


def _numbers(fields: list[str]) -> tuple[int, int, int, int] | None:
    if len(fields) != 4 or not all(field.strip().isdecimal() for field in fields):
        return None
    season, episode, scene, utterance = (int(field) for field in fields)
    return season, episode, scene, utterance


def _speakers(cell: str) -> list[str]:
    """Parse ``['Monica Geller']``, a list as written by pandas, or a bare name."""
    try:
        names: Any = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        names = cell
    return [str(name) for name in names] if isinstance(names, list) else [str(names).strip()]
