"""Read feature pickles without executing code from them.

A pickle is a program: unpickling imports and calls whatever it names
(https://docs.python.org/3/library/pickle.html). This is the only module of multiemo that unpickles anything, and it
only reads the features that corpora are published with. ``_ADMITTED`` lists the globals that such a file may name:
those that NumPy writes for arrays in protocols 0 to 5, and the built-in containers. None of them resolves to NumPy.
Each resolves to a stand-in that validates its arguments and views the bytes as plain numbers or strings, so that no
state of an array or a dtype is trusted. All other globals are refused.
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
from multiemo.media.limits import too_much

#: Contents of an ``.npz``: {name: array, or the objects of an object array}.
NamedArrays: TypeAlias = dict[str, Any]

#: NumPy's names of number and fixed-size string types; ``O`` is an array of objects, which becomes a list.
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d*|O\d*")
_NDARRAY = "numpy.ndarray"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class _Unreadable(ValueError):
    """The pickle does not contain features: it holds something that NumPy does not write."""


def read_pickle(path: Path) -> Any:
    """Read a pickle of dicts, lists, tuples, sets, strings, numbers and arrays of numbers or strings.

    The opcodes are checked before any object is created, so that memory use stays near the size of the file. Arrays are
    views of the bytes read; arrays of objects become lists, and scalars become Python numbers.

    Args:
        path: the pickle, of any protocol.

    Raises:
        ManifestError: the file cannot be read, is not a pickle of such objects, or names any other global. The message
            names the file and that global. Nothing is imported or called.
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
    """Read the arrays of an ``.npz`` as {name: array}. Arrays of objects are read as by :func:`read_pickle`.

    Args:
        path: the file. A zero-dimensional array of objects, as NumPy stores a dict, is read as its object.

    Raises:
        ManifestError: the file cannot be read, is not an ``.npz``, or an array of objects is refused.
    """
    found: NamedArrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if reason := too_much(sum(member.file_size for member in archive.infolist()), "its arrays"):
                raise ManifestError(f"{path}: {reason}")
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
    """Read a file that consists of one pickle."""
    _check_opcodes(file)
    file.seek(0)
    return _plain(_Unpickler(file, path).load(), {})


class _Unpickler(pickle.Unpickler):
    """An unpickler that resolves only the globals of ``_ADMITTED``."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the stand-in of a global.

        Raises:
            ManifestError: the global is not admitted.
        """
        if (module, name) not in _ADMITTED:
            raise ManifestError(
                f"{self._path}: names {module}.{name}, which a feature pickle does not need; unpickling it could run "
                "code, so the file was not read. Fetch the features from their authors, or save them as .npz"
            )
        return _ADMITTED[module, name]


class _StandIn:
    """A callable that a pickle may name. The pickle cannot set its state or attributes."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: object) -> None:
        raise _Unreadable("it sets the state of a function")


class _Dtype:
    """Stand-in for ``numpy.dtype``: its name, and the byte order given by its state."""

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
        """Return the dtype, or ``None`` for objects."""
        return None if self._name[0] == "O" else np.dtype(self._name).newbyteorder(self._order)  # type: ignore[arg-type]


class _Array:
    """Stand-in for an array; ``value`` is the array, or a list for an array of objects."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, fortran, data = state[-4:]
        self.value = _view(data, dtype, shape, "F" if fortran else "C")


def _view(data: Any, dtype: Any, shape: Any, order: str) -> Any:
    """View the bytes ``data`` as an array, without a copy; for an array of objects, return the list ``data``."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise _Unreadable("an array without type or shape")
    plain = dtype.plain()
    if plain is None:
        if not isinstance(data, list) or len(shape) > 1 or len(data) != math.prod(shape):
            raise _Unreadable("an array of objects that is not a list")
        return data if shape else data[0]
    if not isinstance(data, bytes | bytearray) or math.prod(shape) * plain.itemsize != len(data):
        raise _Unreadable(f"an array whose bytes do not fill its shape {shape}")
    if not len(data):
        return np.zeros(shape, plain)
    return np.frombuffer(data, plain).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    if kind != _NDARRAY:
        raise _Unreadable("an array of a custom class")
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    """Array of protocol 5; ``axes`` is the permutation of an array that is neither in C nor in Fortran order."""
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


def _empty_bytes() -> bytes:
    """``bytes`` as protocols 0 to 2 use it for empty bytes."""
    return b""


#: All globals that a feature pickle may name. NumPy 2 renamed ``numpy.core`` to ``numpy._core``; protocols below 3
#: use the Python 2 name of ``builtins``.
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StandIn(_Dtype),
    ("_codecs", "encode"): _StandIn(_encode),
    ("builtins", "bytes"): _StandIn(_empty_bytes),
    ("__builtin__", "bytes"): _StandIn(_empty_bytes),
    **{
        (f"numpy.{core}.{module}", name): _StandIn(make)
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


def _check_opcodes(file: IO[bytes]) -> None:
    """Check the opcodes of a pickle without executing them.

    Raises:
        ValueError: the file is truncated or not a pickle, or requests a memo larger than its contents.
    """
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > number:
            raise _Unreadable(f"a memo of {argument} entries")
        if opcode.name in ("EXT1", "EXT2", "EXT4"):  # these can bypass ``find_class``
            raise _Unreadable("a global given by its number in the extension registry")


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Replace every stand-in in ``value`` by its array.

    Args:
        value: an unpickled object.
        done: {object id: replacement}, so that shared objects are converted once; ``None`` marks one in progress.

    Raises:
        ValueError: a container contains itself, or a stand-in is used as a value.
    """
    if isinstance(value, _Array):
        return _plain(value.value, done)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        if isinstance(value, _StandIn | _Dtype):
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
