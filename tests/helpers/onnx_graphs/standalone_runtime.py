"""The standalone runtime as a native library, called by ctypes."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock

from graphs.kernels.building.standalone import LIBRARY, build_runtime

Arrays = dict[str, np.ndarray]

# ONNX's numbers of element types, by numpy's names.
TYPES = {
    **{"float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9},
    **{"float16": 10, "float64": 11},
}
DTYPES = {number: np.dtype(name) for name, number in TYPES.items()}

POINTER, INT, TEXT, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
DIMS = ctypes.POINTER(ctypes.c_int32)
# The functions of mbert_runtime.h: what each returns, and its arguments.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "allocate": (POINTER, [SIZE]),
    "extend": (POINTER, [POINTER, SIZE]),
    "release": (None, [POINTER]),
    "memory": (SIZE, []),
    "error": (TEXT, []),
    "instruction_set": (TEXT, []),
    "load": (POINTER, [TEXT, SIZE, INT]),
    "load_owned": (POINTER, [POINTER, SIZE, INT]),
    "unload": (None, [POINTER]),
    "describe": (TEXT, [POINTER]),
    "run_new": (POINTER, [POINTER]),
    "set_input": (INT, [POINTER, TEXT, INT, INT, DIMS, POINTER]),
    "run": (INT, [POINTER]),
    "output_count": (INT, [POINTER]),
    "output_name": (TEXT, [POINTER, INT]),
    "output_type": (INT, [POINTER, INT]),
    "output_rank": (INT, [POINTER, INT]),
    "output_dims": (DIMS, [POINTER, INT]),
    "output_data": (POINTER, [POINTER, INT]),
    "run_release": (None, [POINTER]),
}


class RuntimeLibraryError(Exception):
    """The runtime refused a file, an input or a run."""


class Runtime:
    """The library."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, f"mbert_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.library = library

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def model(self, file: bytes | Path, threads: int = 1) -> RuntimeModel:
        """Loads a model. Raises RuntimeLibraryError."""
        return RuntimeModel(self, file.read_bytes() if isinstance(file, Path) else file, threads)

    def failure(self) -> RuntimeLibraryError:
        return RuntimeLibraryError(self.error().decode())


class RuntimeModel:
    """A model with one run; leaving the context releases both."""

    def __init__(self, runtime: Runtime, file: bytes, threads: int) -> None:
        self._runtime = runtime
        self._model = runtime.load(file, len(file), threads)
        if not self._model:
            raise runtime.failure()
        self._run = runtime.run_new(self._model)

    def __enter__(self) -> RuntimeModel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._runtime.run_release(self._run)
        self._runtime.unload(self._model)

    @property
    def description(self) -> Any:
        return json.loads(self._runtime.describe(self._model))

    def run(self, feed: Mapping[str, np.ndarray]) -> Arrays:
        """Returns the outputs by name. Raises RuntimeLibraryError."""
        runtime, held = self._runtime, []
        for name, given in feed.items():
            array = np.ascontiguousarray(given).reshape(given.shape)
            memory = array if array.size else np.zeros(1, array.dtype)  # numpy's pointer may be of nothing
            held.append(memory)
            sizes = (ctypes.c_int32 * max(array.ndim, 1))(*array.shape)
            kind = TYPES[array.dtype.name]
            if runtime.set_input(self._run, name.encode(), kind, array.ndim, sizes, memory.ctypes.data):
                raise runtime.failure()
        if runtime.run(self._run):
            raise runtime.failure()
        return {self._name(i): self._output(i) for i in range(runtime.output_count(self._run))}

    def _name(self, index: int) -> str:
        return str(self._runtime.output_name(self._run, index).decode())

    def _output(self, index: int) -> np.ndarray:
        runtime, rank = self._runtime, self._runtime.output_rank(self._run, index)
        shape = tuple(runtime.output_dims(self._run, index)[:rank])
        dtype = DTYPES[runtime.output_type(self._run, index)]
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(runtime.output_data(self._run, index), size), dtype).reshape(shape)


def portable_runtime(folder: Path) -> Runtime:
    """Builds the library with the portable instruction set into a folder that processes may share, once."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / LIBRARY).exists():
            build_runtime(folder, portable=True)
    return Runtime(folder / LIBRARY)


def scale_of(array: np.ndarray) -> float:
    """Largest magnitude of an array's finite numbers; 0 for integers and for an empty array."""
    finite = np.abs(array[np.isfinite(array)]) if array.dtype.kind == "f" else array[:0]
    return float(finite.max(initial=0))


def assert_same(
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    relative: float = 1e-6,
    scales: Mapping[str, float] | None = None,
) -> None:
    """Checks that outputs are the same: integers equal, real numbers within a share of a scale of their output.

    Args:
        found: Arrays by the name of their output.
        expected: The same of the other side.
        relative: The share.
        scales: The scale of each output; None for its largest magnitude.
    """
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
        if array.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], array, name)
        else:
            bound = relative * (scales[name] if scales else scale_of(array))
            np.testing.assert_allclose(found[name].astype(np.float64), array.astype(np.float64), 0, bound, err_msg=name)
