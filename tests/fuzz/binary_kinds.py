"""Kinds of input that are not text, and models: media, arrays, pickles, model folders."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from safetensors.numpy import save

from multiemo.errors import MultiemoError
from multiemo.runs.folder.required_files import file_digest
from tests.fuzz.run import Kind
from tests.fuzz.strategies import as_json, changed, damaged, deep_json, odd_text
from tests.fuzz.wholes import (
    CONFIG,
    PICKLED,
)
from tests.support.pickles import Call


def media_kind(folder: Path) -> Kind:
    from multiemo.media.reading import probe
    from tests.support.damage import reader, whole_files

    files = whole_files(folder)
    wholes = {path.name: path.read_bytes() for path in files}
    tokens = [
        b"moov",
        b"mdat",
        b"trak",
        b"stsz",
        b"stts",
        b"RIFF",
        b"fmt ",
        b"data",
        b"IHDR",
        b"IDAT",
        b"ANIM",
        b"GIF89a",
        b"\x1aE\xdf\xa3",
    ]

    def one(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        return damaged([wholes[name]], tokens).map(lambda data: (name, data))

    reads = reader()

    def read(file: Path, out: Path) -> None:
        from multiemo.predict.sources import Item

        refused = None
        for use in (lambda: probe(file), lambda: [*reads.open(Item(str(file), file)).segments]):
            try:
                use()
            except MultiemoError as error:
                refused = error
        if refused is not None:
            raise refused

    return Kind(st.sampled_from(sorted(wholes)).flatmap(one), read)


def text_kind(folder: Path) -> Kind:
    from multiemo.predict import Predictor, load
    from multiemo.rules.text import read_text

    predictor: Predictor = load(_model_folder(folder), device="cpu")

    def read(file: Path, out: Path) -> None:
        text = file.read_bytes().decode("utf-8", "surrogatepass")
        read_text(text)
        entry = predictor.predict(text=text)
        json.dumps(entry, allow_nan=False)

    texts = odd_text.map(lambda text: ("text", text.encode("utf-8", "surrogatepass")))
    return Kind(texts, read, lambda line, file: "text" in line)


def _model_folder(folder: Path) -> Path:
    """A small untrained model of words."""
    made = folder / "model"
    if not made.is_dir():
        import torch

        from multiemo.config import parse_config
        from multiemo.inputs import build_input
        from multiemo.runs import Bundle, save_bundle
        from multiemo.runs.parts import assemble, build_encoder

        values = {
            **CONFIG,
            "stages": ["text"],
            "encoders": {"text": {**CONFIG["encoders"]["text"], "dim": 16, "heads": 2}},
        }
        for key in ("per_stage", "branches", "benchmark", "fusion", "recipes"):
            del values[key]
        config = parse_config({**values, "training": {"epochs": 1}})
        torch.manual_seed(0)
        encoder = build_encoder(config, "text")
        texts = ["so happy today", "what a sad day", "how plain"]
        given = build_input("text", encoder.input_spec, texts=lambda: texts)
        save_bundle(Bundle(assemble(config, {"text": encoder}, fused=False).eval(), config, {"text": given}), made)
    return made


def model_kind(folder: Path) -> Kind:
    """One file of a model folder is damaged; its digest is made to fit, as an attacker would."""
    whole = _model_folder(folder)
    names = ["config.json", "model.safetensors", "seen.safetensors", "text/tokenizer.json"]
    contents = {name: (whole / name).read_bytes() for name in names}
    config = json.loads(contents["config.json"])

    def one(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        files = damaged(
            [contents[name]], [b"F32", b"BF16", b"[0,0]", b"__metadata__", b"{", b"}", b"data_offsets", b"1e999"]
        )
        if name.endswith(".json"):
            files = st.one_of(files, changed(json.loads(contents[name])).map(as_json), deep_json)
        return files.map(lambda data: (name.replace("/", "+"), data))

    def read(file: Path, out: Path) -> None:
        from multiemo.predict import load

        copy, name = out / "copy", file.name.replace("+", "/")
        shutil.copytree(whole, copy)
        shutil.copy(file, copy / name)
        if name != "config.json":
            digests = {
                "model.safetensors": {"weights": file_digest(file)},
                "seen.safetensors": {"seen": file_digest(file)},
            }
            changes = digests.get(name, {"assets": {**config["assets"], name: file_digest(file)}})
            (copy / "config.json").write_text(json.dumps({**config, **changes}), "utf-8")
        load(copy, device="cpu").predict(text="so happy")

    return Kind(st.sampled_from(names).flatmap(one), read, lambda line, file: "copy" in line)


def pickle_kind(folder: Path) -> Kind:
    """Pickles and archives of arrays; a call in a pickle must not happen."""
    import os

    marker = folder / "called"
    values = [PICKLED, {"a": [np.arange(3), np.float64(1.5), "x"]}, np.array([{"b": 1}], dtype=object), {1, (2, "z")}]
    wholes = [pickle.dumps(value, protocol) for value in values for protocol in (0, 2, 4, 5)]
    evil = [
        pickle.dumps([Call(os.system, f"touch {marker}"), Call(eval, f"open({str(marker)!r}, 'w')")], p) for p in (0, 4)
    ]
    archive = io.BytesIO()
    np.savez(archive, a=np.ones((2, 3)), b=np.array({"c": [1]}, dtype=object))
    tokens = [
        b"cos\nsystem\n",
        b"R",
        b"\x93",
        b"c__builtin__\neval\n",
        b"(",
        b"t",
        b".",
        b"\x94" * 50,
        b"2" * 300,
        b"\x8a\xff",
        b"b",
        b"u",
        b"s",
    ]

    def read(file: Path, out: Path) -> None:
        from multiemo.data.features.pickles import read_npz, read_pickle

        try:
            (read_npz if file.suffix == ".npz" else read_pickle)(file)
        finally:
            assert not marker.exists(), "a pickle ran code"

    pickles = st.tuples(st.just("f.pkl"), damaged([*wholes, *evil], tokens))
    return Kind(st.one_of(pickles, st.tuples(st.just("f.npz"), damaged([archive.getvalue()], tokens))), read)


def features_kind(folder: Path) -> Kind:
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.ones((4, 3), np.float32))
    np.savez_compressed(archive, c1=np.ones((4, 3), np.float32))
    units = (
        b"frame, timestamp, confidence, success, AU01_r, AU02_r\n1, 0.0, 0.9, 1, 0.5, 0.1\n2, 0.04, 0.9, 1, 0.5, 0.1\n"
    )
    wholes = {
        "f.npy": array.getvalue(),
        "f.npz": archive.getvalue(),
        "f.csv": units,
        "f.safetensors": save({"c1": np.ones((4, 3))}),
    }
    tokens = [b"'descr'", b"|O", b"<f8", b"(99999999999,)", b"nan", b"inf", b",", b"F64", b"1e999", b"__metadata__"]

    def read(file: Path, out: Path) -> None:
        from multiemo.data.features.reading import feature_columns, read_features

        feature_columns(file)
        read_features(file, start=0.0, end=1.0)

    def one(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        return damaged([wholes[name]], tokens).map(lambda data: (name, data))

    return Kind(st.sampled_from(sorted(wholes)).flatmap(one), read)
