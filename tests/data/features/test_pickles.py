"""Feature pickles: what NumPy writes is read in every protocol; everything else is refused and has no effect."""

from __future__ import annotations

import ast
import builtins
import io
import os
import pickle
import pickletools
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multiemo
from multiemo.data.features.pickles import read_pickle
from multiemo.errors import ManifestError
from tests.support.pickles import Call

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_numpy_writes_is_read_as_it_was(tmp_path: Path, protocol: int) -> None:
    arrays: dict[str, np.ndarray] = {
        "audio": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "turned": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        "strided": np.arange(10, dtype=np.int64)[::3],
        "big-endian": np.arange(3, dtype=">i2"),
        "half": np.ones(3, np.float16),
        "bool": np.array([True, False]),
        "text": np.array(["Well.", "你好"]),
        "bytes": np.array([b"ab", b"c"]),
        "empty": np.zeros((0, 3)),
        "scalar array": np.array(5),
    }
    others: dict[str, Any] = {
        "id": ["v$_$1", "v$_$2"], "lengths": (3, np.int64(2)), "scalar": np.float32(2.5), "set": {1, 2}, "none": None,
        "bytes": b"\x00\xff", "nothing": b"",
    }  # fmt: skip
    objects = np.array(["Well.", None, np.arange(2)], dtype=object)
    path = write(tmp_path / "a.pkl", pickle.dumps({"train": arrays, "rest": [others, objects]}, protocol))
    found = read_pickle(path)
    assert list(found["train"]) == list(arrays)
    for name, array in arrays.items():
        assert found["train"][name].dtype == array.dtype
        np.testing.assert_array_equal(found["train"][name], array)
    assert found["rest"][0] == others
    assert found["rest"][1][:2] == ["Well.", None]
    np.testing.assert_array_equal(found["rest"][1][2], np.arange(2))


def test_names_of_numpy_1(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.arange(3.0)}, 4).replace(b"numpy._core", b"numpy.core")
    frame = content.index(b"\x95") + 1
    content = content[:frame] + struct.pack("<Q", len(content) - frame - 8) + content[frame + 8 :]
    content = content.replace(b"\x8c\x16numpy.core.multiarray", b"\x8c\x15numpy.core.multiarray")
    np.testing.assert_array_equal(read_pickle(write(tmp_path / "a.pkl", content))["a"], np.arange(3.0))


def test_a_shared_container_stays_shared(tmp_path: Path) -> None:
    """Forty levels that hold one another twice are 2**40 leaves when copied out."""
    tower: list[Any] = [np.arange(2)]
    for _ in range(40):
        tower = [tower, tower]
    found = read_pickle(write(tmp_path / "a.pkl", pickle.dumps(tower)))
    assert found[0] is found[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("nest", ["bare", "dict", "list", "key", "objects"])
def test_a_call_in_a_pickle_has_no_effect(tmp_path: Path, protocol: int, nest: str) -> None:
    victim = tmp_path / "victim"
    calls = {
        "system": Call(os.system, f"touch {victim}"),
        "eval": Call(builtins.eval, f"open({str(victim)!r}, 'w')"),
        "exec": Call(builtins.exec, f"open({str(victim)!r}, 'w')"),
        "open": Call(open, str(victim), "w"),
        "getattr": Call(getattr, np.ndarray, "tofile"),
        "numpy": Call(np.savetxt, str(victim), [1]),
        "load": Call(np.load, str(victim)),
    }
    for call in calls.values():
        held: Any = {
            "bare": call,
            "dict": {"train": {"audio": np.zeros((2, 2)), "id": call}},
            "list": [[np.zeros(2), call]],
            "key": {"a": (call,)},
            "objects": np.array([call, 1], dtype=object),
        }[nest]
        try:
            content = pickle.dumps(held, protocol)
        except TypeError:  # modules cannot be pickled
            continue
        with pytest.raises(
            ManifestError, match=r"bad\.pkl: names [\w.]+, which a feature pickle has no need of"
        ) as told:
            read_pickle(write(tmp_path / "bad.pkl", content))
        assert call.call[0].__name__ in str(told.value)
    assert not victim.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"cos\nsystem\n(S'touch {}'\ntR.", id="global"),
        pytest.param(b"(S'touch {}'\nios\nsystem\n.", id="inst"),
        pytest.param(b"(cos\nsystem\nS'touch {}'\no.", id="obj"),
        pytest.param(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x08touch {}\x85R.", id="stack global"),
        pytest.param(b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93)R.", id="attribute of an admitted name"),
        pytest.param(b"\x80\x04\x8c\x05numpy\x8c\x08_globals\x93)R.", id="module of numpy"),
        pytest.param(b"\x80\x02cnumpy.core.multiarray\nfromfile\nX\x01\x00\x00\x00a\x85R.", id="other numpy function"),
        pytest.param(b"\x80\x02ccollections\nOrderedDict\n)R.", id="class outside builtins"),
    ],
)
def test_hand_written_globals(tmp_path: Path, content: bytes) -> None:
    victim = tmp_path / "v"
    content = content.replace(b"{}", str(victim).encode())
    with pytest.raises(ManifestError, match=r"bad.pkl: (names|is not a pickle)"):
        read_pickle(write(tmp_path / "bad.pkl", content))
    assert not victim.exists()


def dtype(code: bytes, state: bytes) -> bytes:
    return b"cnumpy\ndtype\nX%c\x00\x00\x00%s\x89\x88\x87R(%stb" % (len(code), code, state)


PLAIN = b"K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
START = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x01\x85"
#: A record of one object, whose flags say that it holds none: NumPy would read the bytes as a pointer and follow it.
RECORD = (
    b"K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00a\x85}X\x01\x00\x00\x00a"
    + dtype(b"O8", b"K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3f")
    + b"K\x00\x86sK\x08K\x01K\x00"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(START + dtype(b"V8", RECORD) + b"\x89C\x08AAAAAAAAtb.", "type 'V8'", id="record of pointers"),
        pytest.param(START + dtype(b"f8", RECORD) + b"\x89C\x08AAAAAAAAtb.", "with fields", id="number made a record"),
        pytest.param(
            START + dtype(b"O8", PLAIN) + b"\x89C\x08AAAAAAAAtb.", "no list of them", id="pointers for objects"
        ),
        pytest.param(START + dtype(b"f8", PLAIN) + b"\x89C\x04AAAAtb.", "do not fill its shape", id="too few bytes"),
        pytest.param(START + dtype(b"f8", PLAIN) + b"\x89]tb.", "do not fill its shape", id="a list for numbers"),
        pytest.param(
            START[:-3] + b"J\xff\xff\xff\x7f\x85" + dtype(b"f8", PLAIN) + b"\x89C\x08AAAAAAAAtb.",
            "do not fill its shape",
            id="a shape far beyond the bytes",
        ),
        pytest.param(
            START[:-3] + b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85" + dtype(b"S0", PLAIN) + b"\x89C\x00tb.",
            "type 'S0'",
            id="a shape that no bytes fill",
        ),
        pytest.param(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "'hex'", id="a codec"),
        pytest.param(b"\x80\x02c_codecs\nencode\n}X\x08\x00\x00\x00__code__K\x01sb.", "given a state", id="a state"),
        pytest.param(b"\x80\x02c_codecs\nencode\nN}X\x08\x00\x00\x00__code__K\x01s\x86b.", "a state", id="slots"),
        pytest.param(b"\x80\x02c__builtin__\nlist\nN}X\x08\x00\x00\x00__init__K\x01s\x86b.", "list", id="a built-in"),
        pytest.param(b"\x80\x02c_codecs\nencode\n.", "bare function", id="a function as value"),
        pytest.param(dtype(b"f8", PLAIN) + b".", "bare function", id="a type as value"),
        pytest.param(b"\x80\x02]q\x00h\x00a.", "contains itself", id="a list in itself"),
        pytest.param(b"\x80\x02\x82\x01.", "registry", id="an extension code"),
        pytest.param(b"\x80\x02X\x01\x00\x00\x00aQ.", "persistent", id="a persistent id"),
        pytest.param(b"\x80\x02Nr\xff\xff\xff\x7f.", "memo of 2147483647", id="a memo of 16 GB"),
        pytest.param(b"\x80\x04\x8e\x00\x00\x00\x00\x00\x00\x00\x7f", "", id="bytes beyond the file"),
        pytest.param(b"\x80\x04]", "", id="cut off"),
        pytest.param(b"id,text\n", "", id="a CSV"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_tricks_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    tracemalloc.start()
    with pytest.raises(
        ManifestError, match=r"bad\.pkl: is not a pickle of features \(.*; fetch the file again"
    ) as told:
        read_pickle(write(tmp_path / "bad.pkl", content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason in str(told.value)
    assert peak < 10_000_000


def test_tricks_are_well_formed() -> None:
    """They are refused for what they are, not for a slip in their spelling; NumPy itself would take them."""
    content = START + dtype(b"f8", PLAIN) + b"\x89C\x08" + struct.pack("<d", 1.5) + b"tb."
    assert pickle.loads(content) == np.array([1.5])
    assert pickle.loads(b"\x80\x02" + dtype(b"V8", RECORD) + b".").names == ("a",)
    for bad in (dtype(b"V8", RECORD), dtype(b"O8", PLAIN)):
        pickletools.dis(START + bad + b"\x89C\x08AAAAAAAAtb.", out=io.StringIO())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone.pkl: cannot be read: No such file"):
        read_pickle(tmp_path / "gone.pkl")


def test_nothing_else_unpickles() -> None:
    """No other module imports an unpickler or asks a reader for one."""
    unpicklers = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    root = Path(multiemo.__file__).parent
    for path in root.rglob("*.py"):
        if path == root / "data" / "features" / "pickles.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not unpicklers.intersection(name.split(".")[0] for name in names), path
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                assert (node.arg, node.value.value) not in (("allow_pickle", True), ("weights_only", False)), path
