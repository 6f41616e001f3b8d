"""Any table (CSV, TSV, JSON Lines, Parquet, Excel) whose columns are named by options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from multiemo.data.corpora.source import Became, Skip, not_the_corpus
from multiemo.data.corpora.tables.cells import columns, pairs, parts_of, scales
from multiemo.data.corpora.tables.table_features import Features
from multiemo.data.corpora.tables.table_labels import Form, labels_in
from multiemo.data.corpora.tables.table_media import CellPattern, MediaColumns
from multiemo.data.corpora.tables.table_rows import CandidateRow, RowReader, clips_of
from multiemo.data.manifest.rows import PARTS
from multiemo.errors import ConfigError, ManifestError
from multiemo.registry import corpora
from multiemo.tables.reading import TABLES, open_table
from multiemo.types import Clip


@corpora.register("table")
def table(
    root: Path,
    skip: Skip,
    became: Became,
    made: Callable[[], Path],
    *,
    corpus: str = "table",
    language: str | None = None,
    label_set: str | None = None,
    cropped: bool = False,
    media: str | None = None,
    time: Literal["s", "ms"] = "s",
    scale: str | None = None,
    label_map: str | None = None,
    parts: str | None = None,
    id: str | None = None,
    speaker: str | None = None,
    group: str | None = None,
    text: str | None = None,
    file: str | None = None,
    audio: str | None = None,
    video: str | None = None,
    image: str | None = None,
    text_features: str | None = None,
    speech_features: str | None = None,
    face_features: str | None = None,
    start: str | None = None,
    end: str | None = None,
    duration: str | None = None,
    label: str | None = None,
    labels: str | None = None,
    votes: str | None = None,
    onehot: str | None = None,
    rater: str | None = None,
    valence: str | None = None,
    arousal: str | None = None,
    dominance: str | None = None,
    split: str | None = None,
    attributes: str | None = None,
) -> Iterator[Clip]:
    """One clip per row.

    ``corpus`` to ``parts`` are values; every other option names a column. ``id``, ``speaker``, ``group``, ``text`` and
    media also accept a pattern of columns, such as ``clips/dia{Dialogue_ID}_utt{Utterance_ID}.mp4``; so do ``corpus``
    and ``language`` (``{lang}``) if they differ between rows. If an option accepts several columns, separate them by
    commas; ``*`` matches anything (``votes=vote_*``). Cells are stripped; an empty cell is an absent value. An invalid
    row is left out and reported.

    Folder:
        any CSV, TSV, JSON Lines, Parquet or Excel table; options name its columns

    Labels:
        any

    Split:
        column ``split``, or one table per part

    Args:
        root: the table, or a folder with exactly one, or with one per part (``train.csv``, ``dev.csv``).
        skip: called for every row that is left out, with the reason.
        became: called with every label and its mapped label (:func:`multiemo.labels.find_label`).
        made: returns the folder for extracted features.
        corpus: corpus name of every clip, or a pattern.
        language: language of every clip, such as ``en``, or a pattern.
        label_set: label set to which labels are mapped.
        cropped: whether all pictures are face crops, which are used whole.
        media: folder of the media files; the default is the folder of the table.
        time: unit of ``start``, ``end`` and ``duration`` in cells that are not clock times and have no unit.
        scale: rating scale of valence, arousal and dominance: ``1..5``, or ``valence:1..5,arousal:1..9``.
        label_map: meaning of the labels in the table: ``1:happy,2:sad,other:`` (an empty meaning leaves them out).
        parts: meaning of unusual names of parts in the table: ``fold1:train,fold2:test``.
        id: column of ids; without it the id is made of table and row (``clips-000001``).
        speaker: column or pattern of speakers.
        group: column or pattern of dialogues or sessions.
        text: column or pattern of texts.
        audio, video, image: column or pattern of paths, if the kind is known or a clip has several files.
        start, end: column of times.
        split: column of parts (train, val, test and their common synonyms).
        file: column or pattern of media of any kind; the content of each file decides whether it is ``audio``,
            ``video`` or ``image``.
        text_features, speech_features, face_features: columns of numbers, which form one vector per clip, or a column
            or pattern of paths of feature files.
        duration: column of the duration of the span, instead of ``end``.
        label: column of labels; several columns are those of several raters and become ``votes``.
        labels: column with several labels per cell (``happy;surprised``, a JSON list), or several columns.
        votes: columns of counts named after labels, or one column with ``{"happy": 3}`` or ``happy:3;sad:1``.
        onehot: columns of 0 or 1 named after labels.
        rater: column of raters, if each row is the rating of the clip ``id`` by one rater.
        valence, arousal, dominance: column of ratings; the mean of several columns is used.
        attributes: columns of facts about the speaker or the recording, such as ``sex,age``; errors are compared
            between their values.

    Yields:
        Clips in the order of the table.

    Raises:
        ManifestError: there is no table or no usable row; a column is unknown (the message lists the existing columns);
            no column of content is named; labels are given without ``label_set``; ``cropped`` without pictures; or no
            file of a column is found.
        ConfigError: the label set is unknown, or an option is invalid.
    """
    filled = {
        "id": id, "speaker": speaker, "group": group, "text": text, "file": file, "audio": audio, "video": video,
        "image": image,
    }  # fmt: skip
    filled |= {key: option for key, option in (("corpus", corpus), ("language", language)) if option and "{" in option}
    plain = {"start": start, "end": end, "duration": duration, "split": split, "rater": rater}
    rated = {"valence": valence, "arousal": arousal, "dominance": dominance}
    features = {"text": text_features, "speech": speech_features, "face": face_features}
    forms: dict[Form, str | None] = {"label": label, "labels": labels, "votes": votes, "onehot": onehot}
    _check_content(
        {**filled, **{f"{modality}_features": option for modality, option in features.items()}}, cropped=cropped
    )
    if rater is not None and id is None:
        raise ManifestError("table: rater needs id; name the column that identifies the clip of a row, like id=clip")
    tables = _find(root, pairs(parts, "parts"))
    files = MediaColumns(next(iter(tables)).parent, media, time=time)
    left_out: list[str] = []

    def listed(what: str, reason: str) -> None:
        left_out.append(f"{what}: {reason}")
        skip(what, reason)

    def rows_in(path: Path) -> Iterator[CandidateRow]:
        opened = open_table(path)
        present = list(opened.columns)

        def named(key: str, option: str) -> list[str]:
            return [column for column, _ in columns(option, present, key, path)]

        def one(key: str, option: str) -> str:
            found = named(key, option)
            if len(found) > 1:
                raise ManifestError(f"table: {key}={option} names {len(found)} columns; name one")
            return found[0]

        reader = RowReader(
            filled={
                key: CellPattern(option, present, key, path) for key, option in filled.items() if option is not None
            },
            columns={key: one(key, option) for key, option in plain.items() if option is not None},
            attributes=[] if attributes is None else named("attributes", attributes),
            rated={key: named(key, option) for key, option in rated.items() if option is not None},
            labels=labels_in(forms, present, path, label_set=label_set, label_map=label_map, became=became),
            features=Features(features, present, path, made, files),
            media=files,
            scales=scales(scale),
            time=time,
        )
        for found in reader.rows(opened, listed):
            if tables[path] and split is None:
                found.values["split"] = tables[path]
            yield found

    found = [row for path in tables for row in rows_in(path)]
    clips = list(clips_of(found, listed, parts=_known_parts(pairs(parts, "parts")), by_raters=rater is not None))
    files.finish()
    if not clips:  # not NotTheCorpus: no other table near this one is meant
        why = f"; first of {len(left_out)} rows left out: {left_out[0]}" if left_out else ": it has no rows"
        raise ManifestError(f"table: {root} has no usable row{why}")
    for values in clips:
        pictures = cropped and bool(values.keys() & {"video", "image"})
        of_all = {key: option for key, option in (("corpus", corpus), ("language", language)) if key not in filled}
        yield Clip(**{"corpus": "table", **of_all, "label_set": label_set, "cropped": pictures, **values})


def _check_content(content: dict[str, str | None], *, cropped: bool) -> None:
    named = {key for key, option in content.items() if option is not None}
    if not named - {"id", "speaker", "group", "corpus", "language"}:
        raise ManifestError(
            "table: no column of content is named; name the one of text or of files, like text=utterance or file=path"
        )
    if cropped and not named & {"file", "video", "image"}:
        raise ManifestError("table: cropped=true needs pictures; name their column, like image=file")


def _known_parts(given: dict[str, str]) -> dict[str, str]:
    for word, part in given.items():
        if part not in PARTS:
            raise ConfigError(f"prepare.parts: {word}:{part}: the part must be one of {', '.join(PARTS)}")
    return given


def _find(root: Path, given: dict[str, str]) -> dict[Path, str]:
    """Return {table: the word in its name that gives its part, or ``""``}; several tables need one part each."""
    if root.is_file():
        return {root: ""}
    found = [path for path in sorted(root.glob("*")) if path.suffix.lower() in TABLES] if root.is_dir() else []
    tables = [path for path in found if path.suffix.lower() in (".csv", ".tsv")] or found
    if not tables:
        raise not_the_corpus("table", root, "one .csv or .tsv")
    if len(tables) == 1:
        return {tables[0]: ""}
    words = {path: [word for word in re.split(r"[\W_]+", path.stem) if parts_of([word], given)] for path in tables}
    named = {path: one[0] for path, one in words.items() if len(one) == 1}
    if len(named) < len(tables) or len(set(named.values())) < len(tables):
        raise ManifestError(
            f"table: {root} has {len(tables)} tables; choose one, or name each after its part, like train.csv: "
            f"{', '.join(map(str, tables[:5]))}"
        )
    return named
