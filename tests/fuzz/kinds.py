"""The kinds of input: where each comes from, and what multiemo does with it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from hypothesis import strategies as st

from multiemo.config import load_config
from tests.fuzz.binary_kinds import (
    features_kind,
    media_kind,
    model_kind,
    pickle_kind,
    text_kind,
)
from tests.fuzz.run import Kind
from tests.fuzz.strategies import as_json, changed, damaged, deep_json, odd_text, odd_value
from tests.fuzz.wholes import (
    CAPTION_TOKENS,
    CHUNKS,
    CONFIG,
    LABELS,
    OTHERS,
    ROW,
    VTT,
    WHISPER,
    YAML_TOKENS,
)
from tests.support.captions import ASS, SRT


def make_kind(name: str, folder: Path) -> Kind:
    """A kind of input by its name; its whole files are made in a folder, if they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return _MAKERS[name](folder)


def _manifest_jsonl(folder: Path) -> Kind:
    rows = changed(ROW).map(as_json)
    lines = st.lists(rows, min_size=1, max_size=3).map(b"\n".join)
    files = st.one_of(
        lines, damaged([as_json(ROW) + b"\n"], [b"\\ud800", b"NaN", b"{", b'"id"', b"\xff\xfe"]), deep_json
    )
    return Kind(files.map(lambda data: ("m.jsonl", data)), _read_manifest)


def _manifest_parquet(folder: Path) -> Kind:
    def table(rows: list[Any]) -> bytes:
        made = io.BytesIO()
        try:
            pl.DataFrame(rows, strict=False, infer_schema_length=None).write_parquet(made)
        except Exception:  # values that no table can hold together
            pl.DataFrame({"id": [str(rows)[:100].encode(errors="replace")]}).write_parquet(made)
        return made.getvalue()

    plain = {key: value for key, value in ROW.items() if not isinstance(value, dict)}
    whole = table([plain, {**plain, "id": "c2"}])
    tables = st.lists(changed(plain), min_size=1, max_size=3).map(table)
    return Kind(st.one_of(damaged([whole], [b"PAR1"]), tables).map(lambda data: ("m.parquet", data)), _read_manifest)


def _read_manifest(file: Path, out: Path) -> None:
    from multiemo.data.manifest.checks import check_media
    from multiemo.data.manifest.reading import read_manifest, split_manifest, write_manifest

    clips, problems = split_manifest(file)
    for problem in (*problems, *check_media(file)):
        assert str(problem)
    if clips:
        write_manifest(clips, out / "again.jsonl")
        assert read_manifest(out / "again.jsonl") == clips
    read_manifest(file)


def _table(folder: Path) -> Kind:
    whole = b'id,words,label,start,file\n1,so happy,positive,0,a.wav\n2,"so, sad",negative,1,b.wav\n'
    tokens = [
        b'"',
        b",",
        b";",
        b"\t",
        b"\r",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b'""',
        b"\n\n",
        b"'",
        b"|",
        b"\x80",
        b"=1+1",
        b"," * 999,
    ]
    rows = st.lists(st.lists(odd_text, min_size=1, max_size=5).map(",".join), min_size=1, max_size=5)
    texts = rows.map(lambda lines: "\n".join(["id,words,label", *lines]).encode("utf-8", "surrogatepass"))
    objects = st.lists(changed({"id": "1", "words": "so happy", "label": "positive"}), max_size=3)
    made = st.one_of(
        st.tuples(st.sampled_from(["t.csv", "t.tsv", "t.txt"]), st.one_of(damaged([whole], tokens), texts)),
        st.tuples(st.sampled_from(["t.json"]), st.one_of(objects.map(as_json), deep_json)),
        st.tuples(st.sampled_from(["t.jsonl"]), objects.map(lambda found: b"\n".join(map(as_json, found)))),
    )

    def read(file: Path, out: Path) -> None:
        from multiemo.data.prepare import prepare

        options = {"text": "words", "label": "label", "label_set": "polarity3"}
        prepare("table", file, out / "m.jsonl", options)

    return Kind(made, read)


def _config(folder: Path) -> Kind:
    values = changed(CONFIG)
    dumped = values.map(lambda value: yaml.safe_dump(_writable(value), allow_unicode=True).encode("utf-8", "replace"))
    whole = yaml.safe_dump(CONFIG).encode()
    files = st.one_of(dumped, values.map(as_json), damaged([whole], YAML_TOKENS), deep_json)

    def read(file: Path, out: Path) -> None:
        load_config(file)

    return Kind(files.map(lambda data: ("c.yaml", data)), read, _names_key)


def _writable(value: Any) -> Any:
    """A value with what YAML cannot write replaced."""
    return json.loads(json.dumps(value).replace("\\ud800", "?"))


def _overrides(folder: Path) -> Kind:
    """The file holds an override in each line."""
    keys = st.sampled_from(
        [
            "training.epochs",
            "encoders.text.layers",
            "name",
            "data.split.val",
            "per_stage.fuse.lr",
            "stages",
            "a.b.c",
            "",
        ]
    )
    values = st.one_of(odd_text, odd_value.map(str), st.sampled_from([t.decode("latin-1") for t in YAML_TOKENS]))
    line = st.one_of(st.builds("{}={}".format, keys, values), odd_text)
    (folder / "whole.yaml").write_text(yaml.safe_dump(CONFIG), "utf-8")

    def read(file: Path, out: Path) -> None:
        load_config(folder / "whole.yaml", file.read_bytes().decode("utf-8", "surrogatepass").split("\0"))

    made = st.lists(line, min_size=1, max_size=3).map("\0".join)
    return Kind(made.map(lambda text: ("overrides", text.encode("utf-8", "surrogatepass"))), read, _names_key)


def _names_key(line: str, file: Path) -> bool:
    """Whether a message names the file, an override or a key."""
    return file.name in line or line.startswith("override ") or ": " in line


def _transcript(folder: Path) -> Kind:
    captions = [text.encode() for text in (SRT, VTT, ASS, *OTHERS)]
    recognised = st.one_of(changed(WHISPER), changed(CHUNKS)).map(as_json)
    made = st.one_of(
        st.tuples(st.sampled_from(["t.srt", "t.vtt", "t.txt", "t.ass"]), damaged(captions, CAPTION_TOKENS)),
        st.tuples(st.just("t.json"), st.one_of(recognised, deep_json)),
        st.tuples(st.just("t.txt"), odd_text.map(lambda text: text.encode("utf-8", "surrogatepass"))),
    )

    def read(file: Path, out: Path) -> None:
        from multiemo.transcripts import fit_to_media, read_transcript

        fit_to_media(read_transcript(file), 10.0, fps=25.0, whole=False)

    return Kind(made, read)


def _predictions(folder: Path) -> Kind:
    from multiemo.benchmark.imported.clip_names import ClipNames
    from multiemo.benchmark.imported.reading import read_imported
    from multiemo.benchmark.predictions import Predictions

    ids = tuple(f"c{i}" for i in range(6))
    tested = Predictions("run", ids, tuple("abcabc"), np.eye(3)[[0, 1, 2, 0, 1, 2]], {"T": np.full((1, 6, 3), 1 / 3)})
    rows = [
        {"id": i, "label": LABELS[n % 3], "probs": dict(zip(LABELS, (0.2, 0.3, 0.5), strict=True))}
        for n, i in enumerate(ids)
    ]
    csv = ("id,label\n" + "".join(f"{row['id']},{row['label']}\n" for row in rows)).encode()
    jsonl = changed(rows).map(lambda found: b"\n".join(map(as_json, found if isinstance(found, list) else [found])))
    made = st.one_of(
        st.tuples(st.sampled_from(["p.csv", "p.tsv"]), damaged([csv], [b",", b'"', b"\x00", b"c1,positive\n"])),
        st.tuples(st.just("p.jsonl"), st.one_of(jsonl, deep_json)),
    )

    def read(file: Path, out: Path) -> None:
        read_imported(file, tested, ClipNames(ids, list), LABELS, "single")

    return Kind(made, read)


def _lexicon(folder: Path) -> Kind:
    vader = b"happy\t2.7\t0.9\t[3, 2]\nsad\t-2.1\t0.9\t[-2, -2]\n"
    nrc = b"happy\tjoy\t1\nhappy\tanger\t0\nsad\tsadness\t1\n"

    def read(file: Path, out: Path) -> None:
        from multiemo.rules.lexicon.files import read_lexicon

        read_lexicon(file)

    files = damaged([vader, nrc], [b"\t", b"\n", b"nan", b"1e999", b"\xff", b"\x00", b"joy\t2"])
    return Kind(files.map(lambda data: ("lexicon.txt", data)), read)


def report_of(labels: Sequence[str], figures: dict[str, Any]) -> dict[str, Any]:
    """The ``evaluation.json`` of a run of words alone, tested on one clip."""
    return {
        "label_set": list(labels),
        "split": "test",
        "n": 1,
        "speakers": 1,
        "task": "single",
        "majority": figures,
        "subsets": {"T": figures},
        "corpus_kind": "synthetic",
        "label_from": "clip",
    }


def _run(folder: Path) -> Kind:
    """The results in a run folder, as ``compare`` reads them."""
    from multiemo.evaluation.report import Report

    row = {"id": "c1", "speaker": "s1", "target": [1.0, 0.0, 0.0], "probs": {"T": [0.5, 0.2, 0.3]}, "decided": {"T": 0}}
    figures = {"n": 1, "uar": 1.0, "uar_ci": [0.5, 1.0], "macro_f1": 1.0, "wf1": 1.0, "accuracy": 1.0, "ece": 0.1}
    report = report_of(LABELS, figures)
    made = st.one_of(
        st.tuples(
            st.just("evaluation.json"), st.one_of(changed(report).map(as_json), deep_json, damaged([as_json(report)]))
        ),
        st.tuples(
            st.just("predictions.jsonl"), st.one_of(changed(row).map(as_json), deep_json, damaged([as_json(row)]))
        ),
    )

    def read(file: Path, out: Path) -> None:
        from multiemo.benchmark.compare import read_measured

        for name, value in (("evaluation.json", report), ("predictions.jsonl", row)):
            (out / name).write_bytes(as_json(value))
        shutil.copy(file, out / file.name)
        Report.read(out / "evaluation.json")
        read_measured(out)

    return Kind(made, read, lambda line, file: str(file.parent.parent / "out") in line)


def _anonymize(folder: Path) -> Kind:
    media, transcripts = media_kind(folder), _transcript(folder)
    small = media.inputs.filter(
        lambda found: found[0].rpartition(".")[2] in ("wav", "jpg", "png", "gif", "mp4", "webp", "flac")
    )

    def read(file: Path, out: Path) -> None:
        from multiemo.anonymize.run import anonymize
        from multiemo.anonymize.settings import Settings

        anonymize([file], out / "made", Settings(detector="haar"))

    return Kind(st.one_of(small, transcripts.inputs), read)


_MAKERS: dict[str, Callable[[Path], Kind]] = {
    "manifest-jsonl": _manifest_jsonl,
    "manifest-parquet": _manifest_parquet,
    "table": _table,
    "config": _config,
    "overrides": _overrides,
    "media": media_kind,
    "transcript": _transcript,
    "text": text_kind,
    "model": model_kind,
    "pickle": pickle_kind,
    "features": features_kind,
    "predictions": _predictions,
    "anonymize": _anonymize,
    "lexicon": _lexicon,
    "run": _run,
}
