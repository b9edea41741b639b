"""Converters of an ONNX file to MNN, IREE and TVM, each in a Python environment of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.peers.onnx_shapes import fix_shapes
from perf.peers.program import PROGRAMS, python_of, run_program
from perf.sessions.types import Progress


@dataclass(frozen=True)
class OnnxConverter:
    """A converter that writes one file for each length from an `.onnx` of that shape, in float32.

    Args:
        environment: The name of its Python environment.
        tool: The converter's name in error messages.
        program: The program that converts; called with FIXED.onnx OUTPUT.
        suffix: The suffix of the files that it writes.
        packages: The packages of its environment, as pip takes them; they also run the files.
    """

    environment: str
    tool: str
    program: Path
    suffix: str
    packages: tuple[str, ...]

    def python(self, progress: Progress) -> Path:
        """Returns the Python of the environment, creating it if needed. Raises PerfError where pip fails."""
        return python_of(self.environment, self.packages, progress)

    def convert(
        self, source: Path, to: Path, *, seq_lens: Sequence[int], batch: int, progress: Progress
    ) -> dict[int, Path]:
        """Writes a model file for each length and returns its path by length.

        IREE's and TVM's formats do not store the names of inputs and outputs, so a `.json` beside each file does.

        Args:
            source: An `.onnx` with dynamic shapes.
            to: The folder to write into.
            seq_lens, batch: The shapes [batch, seq].
            progress: Called with a line when packages are installed.

        Raises PerfError where the converter fails.
        """
        python = self.python(progress)
        files = {}
        for seq_len in seq_lens:
            fixed, files[seq_len] = to / f"{seq_len}.onnx", to / f"{seq_len}{self.suffix}"
            fix_shapes(source, fixed, batch=batch, seq_len=seq_len)
            run_program(python, self.program, [fixed, files[seq_len]], f"{self.tool} fails on {source.name}")
            fixed.unlink()
        return files


ONNX_CONVERTERS: dict[str, OnnxConverter] = {
    # MNN also runs other shapes, but plans memory and folds constants for these.
    "mnn": OnnxConverter(
        environment="mnn",
        tool="MNN",
        program=PROGRAMS / "to_mnn.py",
        suffix=".mnn",
        packages=("MNN==3.6.1",),
    ),
    "iree": OnnxConverter(
        environment="iree",
        tool="IREE",
        program=PROGRAMS / "to_iree.py",
        suffix=".vmfb",
        packages=("iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2"),
    ),
    # Relax for this machine's CPU; a C++ compiler links the library. Nothing is tuned: MetaSchedule would try thousands
    # of programs for each length. Untuned loops are as the operators' definitions write them, on one thread.
    "tvm": OnnxConverter(
        environment="tvm",
        tool="TVM",
        program=PROGRAMS / "to_tvm.py",
        suffix=".so",
        packages=("apache-tvm==0.27.0.post1", "onnx==1.23.2"),
    ),
}
