"""The kernels under clang's sanitizers: addresses and leaks, undefined behaviour, threads.

The sanitizers need clang and its runtime, for example Debian's packages clang-19 and libclang-rt-19-dev.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kernel_driver import HERE

from graphs import kernels
from graphs.kernels import build

CLANG = next(filter(None, map(shutil.which, ("clang++-19", "clang++-20", "clang++-21", "clang++"))), None)

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CLANG is None, reason="clang 19 or newer is not installed"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction sets of x86-64 are built"),
]

SANITIZERS = {"address": "address,undefined", "thread": "thread"}


@pytest.fixture(scope="module", params=SANITIZERS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitizers")
    sanitize = [
        f"-fsanitize={SANITIZERS[request.param]}",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
        "-g1",
    ]
    # The sanitizers have their own memcpy.
    sources = build.sources_of("x86_64", [name for name in build.COMMON if name != "ort/libc"])
    flags = [flag for flag in build.FLAGS if flag not in ("-fno-sanitize=all", "-g0", "-O3", "-Werror")]
    objects = {name: folder / f"{name.replace('/', '_')}.o" for name in sources}
    # Each weight gets a chunk of its own, so that an overrun is detected.
    flags += ["-O1", "-DMBERT_PAGE=64"]
    commands: list[list[object]] = [
        [*flags, *own, *sanitize, "-c", build.HERE / f"{name}.cc", "-o", objects[name]] for name, own in sources.items()
    ]
    with ThreadPoolExecutor() as pool:
        for compiled in pool.map(run_clang, commands):
            if "unsupported" in compiled.stderr or "libclang_rt" in compiled.stderr:
                pytest.skip("clang has no sanitizers here")
            assert compiled.returncode == 0, compiled.stderr
    options = ["-std=c++17", "-O1", f"-I{build.HERE}", *sanitize]
    stress = HERE / "kernel_stress.cc"
    linked = run_clang([*options, stress, *objects.values(), "-o", folder / "stress", "-lpthread"])
    assert linked.returncode == 0, linked.stderr
    return folder / "stress"


def run_clang(arguments: Sequence[object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in (CLANG, *arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("isa", [name for name, here in kernels.instruction_sets().items() if here])
def test_the_sanitizers_find_nothing(isa: str, program: Path) -> None:
    environment = {**os.environ, kernels.VARIABLE: isa}
    done = subprocess.run([program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-6000:]
    assert done.stdout == "160 blocks, 1000 malformed nodes, 3000 texts\n"
