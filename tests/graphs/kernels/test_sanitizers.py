"""The kernels under sanitizers: of addresses (and leaks), of undefined behaviour, and of threads.

They need clang with its runtime, as Debian's packages clang-19 and libclang-rt-19-dev bring them.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
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
    # The sanitizers have their own memcpy. Weights get a place each, so that its end is seen.
    sources = dict.fromkeys(set(build.COMMON) - {"ort/libc"}, "") | build.INSTRUCTION_SETS["x86_64"]
    flags = [flag for flag in build.FLAGS if flag not in ("-fno-sanitize=all", "-g0", "-O3", "-Werror")]
    objects = []
    for name, own in sources.items():
        objects.append(folder / f"{Path(name).name}.o")
        source = build.HERE / f"{name}.cc"
        command = [CLANG, *flags, "-O1", "-DMBERT_PAGE=64", *own.split(), *sanitize, "-c", source, "-o", objects[-1]]
        built = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if "unsupported" in built.stderr or "libclang_rt" in built.stderr:
            pytest.skip("clang has no sanitizers here")
        assert built.returncode == 0, built.stderr
    stress = HERE / "kernel_stress.cc"
    options = ["-std=c++17", "-O1", f"-I{build.HERE}", *sanitize]
    command = [CLANG, *options, stress, *objects, "-o", folder / "stress", "-lpthread"]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "stress"


@pytest.mark.parametrize("isa", [name for name, here in kernels.instruction_sets().items() if here])
def test_nothing_is_found(isa: str, program: Path) -> None:
    environment = {**os.environ, kernels.VARIABLE: isa}
    done = subprocess.run([program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-6000:]
    assert done.stdout == "48 blocks, 400 malformed nodes\n"
