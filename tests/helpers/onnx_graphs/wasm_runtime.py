"""The standalone runtime as WebAssembly, in wasmtime, in node, and as the bytes of a module."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import wasmtime
from filelock import FileLock
from standalone_runtime import DTYPES, TYPES, Arrays

from graphs.kernels.building.wasm import build_wasm

RUN_MODEL = Path(__file__).parents[1] / "wasm" / "run_model.mjs"

# Numbers of sections in a module.
IMPORTS, EXPORTS, START, CODE = 2, 7, 8, 10
# The kinds of imports and exports.
KINDS = {0: "function", 2: "memory"}


def built(folder: Path, name: str) -> Path:
    """Returns a .wasm file in a folder that processes may share, and builds it if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / name).exists():
            build_wasm(folder, [name])
    return folder / name


class WasmRuntime:
    """A .wasm file without a shared memory in wasmtime.

    `deterministic`: whether relaxed instructions do what WebAssembly's deterministic profile says, by which the dot
    product of bytes has signed factors; otherwise they do what is fastest here.
    """

    def __init__(self, file: Path, deterministic: bool = False) -> None:
        config = wasmtime.Config()
        config.wasm_relaxed_simd = True
        config.wasm_relaxed_simd_deterministic = deterministic
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        instance = wasmtime.Instance(self._store, wasmtime.Module.from_file(engine, str(file)), [])
        self._exports = instance.exports(self._store)

    def call(self, name: str, *arguments: int) -> int:
        """Calls a function of mbert_runtime.h, without its prefix."""
        result = self._exports[f"mbert_{name}"](self._store, *arguments)  # type: ignore[operator]
        return int(result or 0)

    @property
    def memory_bytes(self) -> int:
        """The size of the module's memory, which only grows."""
        return int(self._memory.data_len(self._store))

    @property
    def instruction_set(self) -> str:
        return self._text(self.call("instruction_set"))

    def run(self, model: bytes, feed: Mapping[str, np.ndarray]) -> Arrays:
        """Loads a model, runs it once, and returns the outputs by name; afterwards no memory is left allocated.

        The runtime takes the memory of the file, as in mbert-onnx-web.
        """
        before = self.call("memory")
        file = self._copied(model)
        loaded = self.call("load_owned", file, len(model), 1)
        assert loaded, self._text(self.call("error"))
        pieces: list[int] = []
        run = self.call("run_new", loaded)
        for name, array in feed.items():
            dims = np.array(array.shape, np.int32).tobytes()
            parts = [self._copied(part) for part in (name.encode() + b"\0", dims + b"\0", array.tobytes() + b"\0")]
            kind = TYPES[array.dtype.name]
            assert not self.call("set_input", run, parts[0], kind, array.ndim, *parts[1:]), self._error()
            pieces += parts
        assert not self.call("run", run), self._error()
        found = dict(self._output(run, i) for i in range(self.call("output_count", run)))
        self.call("run_release", run)
        self.call("unload", loaded)
        for piece in pieces:
            self.call("release", piece)
        assert self.call("memory") == before
        return found

    def _output(self, run: int, index: int) -> tuple[str, np.ndarray]:
        rank, dtype = self.call("output_rank", run, index), DTYPES[self.call("output_type", run, index)]
        shape = np.frombuffer(self._read(self.call("output_dims", run, index), 4 * rank), np.int32)
        data = self._read(self.call("output_data", run, index), int(np.prod(shape)) * dtype.itemsize)
        return self._text(self.call("output_name", run, index)), np.frombuffer(data, dtype).reshape(shape)

    @property
    def _memory(self) -> Any:
        return self._exports["memory"]

    def _read(self, start: int, count: int) -> bytes:
        return bytes(self._memory.read(self._store, start, start + count))

    def _text(self, start: int) -> str:
        return self._read(start, 4096).partition(b"\0")[0].decode()

    def _error(self) -> str:
        return self._text(self.call("error"))

    def _copied(self, data: bytes) -> int:
        at = self.call("allocate", len(data))
        self._memory.write(self._store, data, at)
        return at


def run_in_node(
    node: str, wasm: Path, model: Path, feed: Mapping[str, np.ndarray], folder: Path, threads: int = 1, times: int = 1
) -> tuple[Arrays, Any]:
    """Runs a model file in node, and returns the outputs by name, and what `run_model.mjs` prints."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {}
    for name, array in feed.items():
        (folder / f"input-{name}").write_bytes(array.tobytes())
        inputs[name] = {"type": TYPES[array.dtype.name], "dims": array.shape, "file": str(folder / f"input-{name}")}
    (folder / "inputs.json").write_text(json.dumps(inputs))
    arguments = [wasm, model, folder / "inputs.json", folder, threads, times]
    command = [node, RUN_MODEL, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    return {
        one["name"]: np.frombuffer((folder / one["name"]).read_bytes(), DTYPES[one["type"]]).reshape(one["dims"])
        for one in printed["outputs"]
    }, printed


@dataclass
class Contents:
    """What a module imports and exports, as kinds and names, and the numbers of its sections."""

    imports: list[tuple[str, str]] = field(default_factory=list)
    exports: list[tuple[str, str]] = field(default_factory=list)
    sections: list[int] = field(default_factory=list)


def contents(module: bytes) -> Contents:
    """Reads a module, or an object file of one."""
    found, at = Contents(), 8
    while at < len(module):
        number = module[at]
        size, at = number_at(module, at + 1)
        found.sections.append(number)
        if number == IMPORTS:
            found.imports = list(_imports(module, at))
        if number == EXPORTS:
            found.exports = list(_exports(module, at))
        at += size
    return found


def number_at(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number in LEB128 at an offset, and the offset after it."""
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return result, at


def _name(data: bytes, at: int) -> tuple[str, int]:
    size, at = number_at(data, at)
    return data[at : at + size].decode(), at + size


def _imports(data: bytes, at: int) -> Iterator[tuple[str, str]]:
    count, at = number_at(data, at)
    for _ in range(count):
        module, at = _name(data, at)
        name, at = _name(data, at)
        kind, flags = data[at], data[at + 1]
        assert KINDS[kind] == "memory", (module, name)  # no module here imports anything else
        yield KINDS[kind], f"{module}.{name}"
        _, at = number_at(data, at + 2)
        if flags & 1:
            _, at = number_at(data, at)


def _exports(data: bytes, at: int) -> Iterator[tuple[str, str]]:
    count, at = number_at(data, at)
    for _ in range(count):
        name, at = _name(data, at)
        kind = data[at]
        _, at = number_at(data, at + 1)
        yield KINDS[kind], name
