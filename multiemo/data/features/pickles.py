"""Feature pickles, read without running them.

A pickle is a program: whatever it names is imported and called (https://docs.python.org/3/library/pickle.html). This
module is the only one of multiemo that unpickles anything, and it only reads the features that corpora are published
with. What such a file may name is listed in ``_ADMITTED``: what NumPy writes for an array in protocols 0 to 5, and the
built-in containers. None of these names leads to NumPy: each is a stand-in that checks its arguments and views the
bytes as plain numbers or strings, so that no state of an array or a dtype is taken on trust. Everything else is refused
by name.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from multiemo.errors import ManifestError, first_line

#: {name: array, or what an array of objects holds} of an ``.npz``.
NamedArrays: TypeAlias = dict[str, Any]

#: Numbers and strings of a fixed size, as NumPy names them; ``O`` is an array of objects, kept as a list.
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d*|O\d*")
_NDARRAY = "numpy.ndarray"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class _Unreadable(ValueError):
    """The pickle is not of features: a stand-in was given something that NumPy does not write."""


def read_pickle(path: Path) -> Any:
    """What a feature pickle holds: dicts, lists, tuples, sets, strings, numbers and arrays of numbers or strings.

    The file is looked through before anything is made of it, so that memory stays near the file's size. Arrays are
    views of the bytes read; arrays of objects become lists, scalars become Python numbers.

    Args:
        path: the pickle, of any protocol.

    Raises:
        ManifestError: the file cannot be read, is not a pickle of such things, or names anything else; the message
            names the file and the forbidden global. Nothing of it was imported or called.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except ManifestError:
        raise
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = first_line(error)
        raise ManifestError(f"{path}: is not a pickle of features ({reason}); fetch the file again") from None


def read_npz(path: Path) -> NamedArrays:
    """{name: array} of an ``.npz``; what an array of objects holds is read as by :func:`read_pickle`.

    Args:
        path: the file. An array of objects without dimensions, as NumPy stores a dict, gives that object.

    Raises:
        ManifestError: the file cannot be read, is not an ``.npz``, or an array of objects is refused.
    """
    found: NamedArrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                file = io.BytesIO(archive.read(name))
                read_header = _HEADERS[np.lib.format.read_magic(file)]
                if read_header(file)[2].hasobject:
                    found[name.removesuffix(".npy")] = _read(io.BytesIO(file.read()), path)
                else:
                    file.seek(0)
                    found[name.removesuffix(".npy")] = np.load(file, allow_pickle=False)
    except ManifestError:
        raise
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged archive can raise nearly anything
        reason = first_line(error)
        raise ManifestError(f"{path}: is not an .npz of arrays ({reason}); fetch the file again") from None
    return found


def _read(file: IO[bytes], path: Path) -> Any:
    """A whole file that is one pickle."""
    _look_through(file)
    file.seek(0)
    return _plain(_Unpickler(file, path).load(), {})


class _Unpickler(pickle.Unpickler):
    """An unpickler whose globals are those of ``_ADMITTED`` and no others."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str, /) -> Any:
        """The stand-in of a global.

        Raises:
            ManifestError: the global is not admitted.
        """
        if (module, name) not in _ADMITTED:
            raise ManifestError(
                f"{self._path}: names {module}.{name}, which a feature pickle has no need of; it may run code when "
                "unpickled, so nothing of it was read. Fetch the features from their authors, or save them as .npz"
            )
        return _ADMITTED[module, name]


class _Stand:
    """A callable that a pickle may name. It cannot be given a state or attributes by the pickle."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: object) -> None:
        raise _Unreadable("a function is given a state")


class _Dtype:
    """Stand-in of ``numpy.dtype``: its name, and the byte order that its state tells."""

    __slots__ = ("_name", "_order")

    def __init__(self, name: object, align: object = False, copy: object = True) -> None:
        if not isinstance(name, str) or not _DTYPE.fullmatch(name):
            raise _Unreadable(f"an array of type {name!r}")
        self._name, self._order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, subarray, names, fields = state[1:5]
        if order not in ("<", ">", "=", "|") or not (subarray is names is fields is None):
            raise _Unreadable(f"an array of type {self._name!r} with fields")
        self._order = order

    def plain(self) -> np.dtype[Any] | None:
        """The dtype, or ``None`` for objects."""
        return None if self._name[0] == "O" else np.dtype(self._name).newbyteorder(self._order)  # type: ignore[arg-type]


class _Array:
    """Stand-in of an array; ``value`` is the array, or a list where it held objects."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, fortran, data = state[-4:]
        self.value = _view(data, dtype, shape, "F" if fortran else "C")


def _view(data: Any, dtype: Any, shape: Any, order: str) -> Any:
    """The bytes ``data`` as an array, or the list ``data`` as it stands; no more memory than they take is used."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise _Unreadable("an array without type or shape")
    plain = dtype.plain()
    if plain is None:
        if not isinstance(data, list) or len(shape) > 1 or len(data) != math.prod(shape):
            raise _Unreadable("an array of objects that is no list of them")
        return data if shape else data[0]
    if not isinstance(data, bytes | bytearray) or math.prod(shape) * plain.itemsize != len(data):
        raise _Unreadable(f"an array whose bytes do not fill its shape {shape}")
    if not len(data):
        return np.zeros(shape, plain)
    return np.frombuffer(data, plain).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    if kind != _NDARRAY:
        raise _Unreadable("an array of a class of its own")
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    """What protocol 5 writes; ``axes`` is how an array that is neither in C nor in Fortran order was turned."""
    value = _view(data, dtype, shape, order)
    return _Array(value if axes is None else value.transpose(axes))


def _scalar(dtype: Any, data: Any = b"") -> Any:
    value = _view(data, dtype, (1,), "C")
    return value[0].item() if isinstance(value, np.ndarray) else value[0]


def _encode(text: Any, encoding: object) -> bytes:
    """``_codecs.encode`` as protocols 0 to 2 use it for bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Unreadable(f"a call of _codecs.encode with {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """``bytes`` as protocols 0 to 2 use it for empty bytes."""
    return b""


#: Every global that a feature pickle may name. NumPy 2 renamed ``numpy.core`` to ``numpy._core``; protocols below 3
#: call ``builtins`` by its old name.
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Stand(_Dtype),
    ("_codecs", "encode"): _Stand(_encode),
    ("builtins", "bytes"): _Stand(_no_bytes),
    ("__builtin__", "bytes"): _Stand(_no_bytes),
    **{
        (f"numpy.{core}.{module}", name): _Stand(make)
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (dict, list, tuple, set, frozenset)
    },
}


def _look_through(file: IO[bytes]) -> None:
    """Read the opcodes without obeying them.

    Raises:
        ValueError: the file ends early, holds something else, or wants a memo larger than what it holds.
    """
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > number:
            raise _Unreadable(f"a memo of {argument} entries")
        if opcode.name in ("EXT1", "EXT2", "EXT4"):  # these may skip ``find_class``
            raise _Unreadable("a global by its number in a registry of the process")


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """``value`` with every stand-in replaced by its array.

    Args:
        done: {id: what it became}, so that what is met twice is made once; ``None`` marks what is being made.

    Raises:
        ValueError: something contains itself, or a stand-in is all that is left of it.
    """
    if isinstance(value, _Array):
        return _plain(value.value, done)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        if isinstance(value, _Stand | _Dtype):
            raise _Unreadable("a bare function or type")
        return value
    if id(value) in done:
        if done[id(value)] is None:
            raise _Unreadable("a container that contains itself")
        return done[id(value)]
    done[id(value)] = None
    made: Any
    if isinstance(value, dict):
        made = {key: _plain(item, done) for key, item in value.items()}
    else:
        made = type(value)(_plain(item, done) for item in value)
    done[id(value)] = made
    return made
