"""The program of the campaign: the standalone runtime with sanitizers and libFuzzer, and the target that calls it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from graphs.kernels.building.compiler import FLAGS as KERNEL_FLAGS
from graphs.kernels.building.compiler import HERE, BuildError
from graphs.kernels.building.sources import KERNELS
from graphs.kernels.building.standalone import FLAGS as RUNTIME_FLAGS
from graphs.kernels.building.standalone import NATIVE, OWN

TARGET = Path(__file__).parent / "target"
CLANGS = ("clang++-19", "clang++-20", "clang++-21", "clang++-22", "clang++")

SANITIZE = ("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
OPTIMIZE = ("-O1", "-g1")
# The runtime's sources are also instrumented for coverage: of edges alone, since the mutator makes the names that
# comparisons ask for. Each of their arrays is memory of its own.
RUNTIME = (
    "-fsanitize-coverage=inline-8bit-counters,pc-table",
    "-DMBERT_PORTABLE_ONLY",
    "-DMBERT_CHUNK=0",
    *RUNTIME_FLAGS,
)
SOURCES = (*OWN, *KERNELS, *(name for name in NATIVE if name != "standalone/system/native_memory"), "isa/portable")
SOURCES += ("isa/processor",)
# Sources of the target that do not call the runtime; without sanitizers, they take less time.
MUTATIONS = ("messages.cc", "mutator.cc")
# Clang does not find Linux' headers for 32 bits, which are those for 64.
BITS = {64: (), 32: ("-m32", "-idirafter", "/usr/include/x86_64-linux-gnu")}

# Rows of the table of operators, and names of attributes, in the runtime's sources.
OPERATOR = re.compile(r"(?:plain|with)\((?:\w+, )?(\"\w+\")")
ATTRIBUTE = re.compile(r"Rule::\w+, \w+, (\"\w+\")|\.read\((\"\w+\")|attribute\w*\(info, (\"\w+\")")
OTHERS = ('"Constant"', '"If"', '"OptionalHasElement"')


class NoFuzzerError(Exception):
    """There is no clang with libFuzzer."""


def build_target(folder: Path, *, bits: int = 64) -> Path:
    """Builds the program and its dictionary, `words.dict`, and returns its path.

    Args:
        folder: Output folder. Object files that are there already, newer than all sources, are used again.
        bits: Of a pointer: 64, or 32 as in WebAssembly.

    Raises NoFuzzerError, BuildError.
    """
    clang = find_clang()
    folder.mkdir(parents=True, exist_ok=True)
    write_words(folder)
    kernel = [flag for flag in KERNEL_FLAGS if flag not in ("-fno-sanitize=all", "-g0", "-O3", "-Werror")]
    checked = [*OPTIMIZE, *SANITIZE, *BITS[bits]]
    files = {HERE / f"{name}.cc": [*kernel, *RUNTIME, *checked] for name in SOURCES}
    target = ["-std=c++17", "-Wall", "-Wextra", *RUNTIME_FLAGS, "-I", str(HERE), "-I", str(TARGET), "-I", str(folder)]
    for file in sorted(TARGET.glob("*.cc")):
        files[file] = [*target, *(["-O2", *BITS[bits]] if file.name in MUTATIONS else checked)]
    headers = [*HERE.rglob("*.h"), *TARGET.glob("*.h"), *folder.glob("*.inc")]
    newest = max(file.stat().st_mtime for file in headers)

    def compiled(file: Path) -> str:
        made = folder / f"{file.stem}-{file.parent.name}.o"
        if not made.exists() or made.stat().st_mtime < max(newest, file.stat().st_mtime):
            run(clang, [*files[file], "-c", str(file), "-o", str(made)])
        return str(made)

    with ThreadPoolExecutor() as pool:
        objects = list(pool.map(compiled, files))
    program = folder / "fuzz"
    libraries = ["-latomic"] if bits == 32 else []  # for 64 bits at once
    run(clang, [*checked, "-fsanitize=fuzzer", *objects, *libraries, "-o", str(program)])
    return program


def find_clang() -> str:
    """Returns a clang that links libFuzzer. Raises NoFuzzerError with what to install."""
    found = next(filter(None, map(shutil.which, CLANGS)), None)
    if found is None:
        raise NoFuzzerError(f"clang was not found; expected one of {', '.join(CLANGS)}: install Debian's clang-19")
    asked = subprocess.run([found, "--print-resource-dir"], capture_output=True, text=True)
    libraries = Path(asked.stdout.strip()) / "lib"
    if not list(libraries.rglob("*clang_rt.fuzzer*")):
        raise NoFuzzerError(
            f"{found} has no libFuzzer; expected it in {libraries}: install Debian's libclang-rt-19-dev"
        )
    return found


def write_words(folder: Path) -> None:
    """Writes the names of operators and attributes: for the mutator, and as libFuzzer's dictionary."""
    table = (HERE / "standalone/operators/table.cc").read_text()
    readers = [
        table,
        *((HERE / "operators" / name).read_text() for name in ("tokenizer_reader.cc", "nodes/encoder.cc")),
    ]
    operators = [*dict.fromkeys([*OPERATOR.findall(table), *OTHERS])]
    attributes = [
        *dict.fromkeys(part for text in readers for found in ATTRIBUTE.findall(text) for part in found if part)
    ]
    words = {"operators.inc": ",\n".join(operators), "attributes.inc": ",\n".join(attributes)}
    words["words.dict"] = "\n".join([*operators, *attributes])
    for name, text in words.items():
        file = folder / name
        if not file.exists() or file.read_text() != f"{text}\n":
            file.write_text(f"{text}\n")


def run(clang: str, arguments: Sequence[str]) -> None:
    """Runs clang. Raises BuildError with its output where it fails."""
    done = subprocess.run([clang, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{clang} failed: {' '.join(arguments)}\n{done.stderr}")
