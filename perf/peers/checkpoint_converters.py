"""Converters of a PyTorch checkpoint to ExecuTorch, LiteRT and ncnn, each in a Python environment of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.peers.program import PROGRAMS, python_of, run_program
from perf.sessions.types import Progress


@dataclass(frozen=True)
class CheckpointConverter:
    """A converter that loads transformers' module of a checkpoint and writes one file for each length.

    Args:
        environment: The name of its Python environment.
        tool: The converter's name in error messages.
        program: The program that converts; called with FOLDER ARCHITECTURE OUTPUTS LENGTHS BATCH [OPTIONS] TO.
        suffix: The suffix of the files that it writes.
        packages: The packages of its environment, as pip takes them; they also run the files.
        options: Further arguments of the program.
        quantization: How the program quantizes, as a note for a report; empty where it does not.
    """

    environment: str
    tool: str
    program: Path
    suffix: str
    packages: tuple[str, ...]
    options: tuple[str, ...] = ()
    quantization: str = ""

    def python(self, progress: Progress) -> Path:
        """Returns the Python of the environment, creating it if needed. Raises PerfError where pip fails."""
        return python_of(self.environment, self.packages, progress)

    def convert(
        self,
        folder: Path,
        architecture: str,
        outputs: Sequence[str],
        to: Path,
        *,
        seq_lens: Sequence[int],
        batch: int,
        progress: Progress,
    ) -> dict[int, Path]:
        """Writes a model file for each length and returns its path by length.

        ExecuTorch's and ncnn's formats do not store all names, so a `.json` beside each of their files does.

        Args:
            folder: A checkpoint in transformers' format.
            architecture: The name of transformers' class.
            outputs: The names of its outputs, in order.
            to: The folder to write into.
            seq_lens, batch: The shapes [batch, seq], which are fixed.
            progress: Called with a line when packages are installed.

        Raises PerfError where the converter fails.
        """
        lengths = ",".join(map(str, seq_lens))
        run_program(
            self.python(progress),
            self.program,
            [folder, architecture, ",".join(outputs), lengths, str(batch), *self.options, to],
            f"{self.tool} fails on {folder.name}",
        )
        return {seq_len: to / f"{seq_len}{self.suffix}" for seq_len in seq_lens}


_LITERT_PACKAGES = (
    "torch==2.13.0",
    "transformers==4.57.6",
    "litert-torch==0.10.0",
    "ai-edge-litert==2.3.0",
    "ai-edge-quantizer==0.10.0",
)

# A function of `ai_edge_quantizer.recipe`: int8 weights with a scale for each output channel, activations quantized at
# run time, per row.
_LITERT_RECIPE = "dynamic_wi8_afp32"

CHECKPOINT_CONVERTERS: dict[str, CheckpointConverter] = {
    # torch.export and XNNPACK, float32.
    "executorch": CheckpointConverter(
        environment="executorch",
        tool="ExecuTorch",
        program=PROGRAMS / "to_executorch.py",
        suffix=".pte",
        packages=("torch==2.13.0", "transformers==4.57.6", "executorch==1.5.1"),
    ),
    # litert-torch, float32; XNNPACK runs it.
    "litert": CheckpointConverter(
        environment="litert",
        tool="litert-torch",
        program=PROGRAMS / "to_litert.py",
        suffix=".tflite",
        packages=_LITERT_PACKAGES,
        options=("FLOAT",),
    ),
    # The same, quantized by ai-edge-quantizer.
    "litert-int8": CheckpointConverter(
        environment="litert",
        tool="litert-torch",
        program=PROGRAMS / "to_litert.py",
        suffix=".tflite",
        packages=_LITERT_PACKAGES,
        options=(_LITERT_RECIPE,),
        quantization=f"ai-edge-quantizer: {_LITERT_RECIPE}",
    ),
    # torch's tracer and pnnx, float32; the weights are in a `.bin` beside the `.param`.
    "ncnn": CheckpointConverter(
        environment="ncnn",
        tool="pnnx",
        program=PROGRAMS / "to_ncnn.py",
        suffix=".param",
        packages=("torch==2.13.0", "transformers==4.57.6", "ncnn==1.0.20261020", "pnnx==20261020"),
    ),
}
