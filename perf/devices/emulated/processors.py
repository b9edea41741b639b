"""The processors that are emulated: one for each step that matters to products of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Processor:
    """A processor that has an instruction set, and nothing better for products.

    Args:
        instruction_set: As `mbert-onnx kernels` calls it.
        models: What qemu's `-cpu` takes for it, the best first; older ones do not know all.
        part: Arm's number of it, as /proc/cpuinfo tells it.
    """

    instruction_set: str
    models: tuple[str, ...]
    part: str


PROCESSORS = (
    Processor("neon", ("cortex-a72",), "0xd08"),
    Processor("neon-dotprod", ("neoverse-n1",), "0xd0c"),
    # The second, for qemu before 8.1, has all that qemu knows; it emulates vectors of SVE and SME far too slowly.
    Processor("neon-i8mm", ("neoverse-v1", "max,sve=off,sme=off", "max,sve=off"), "0xd40"),
)

ARM = "0x41"
"""Arm's number as a maker of processors."""

# What of a sysroot is the kernel's own.
KERNEL_FOLDERS = ("dev", "proc", "sys", "tmp")


def make_root(folder: Path, sysroot: Path, processor: Processor) -> Path:
    """A root folder for a program on this processor: a sysroot's libraries, and what Linux tells of processors.

    Of files that are not in its root, qemu shows the host's, and before 8.1 also the host's /proc/cpuinfo;
    onnxruntime ends with a segmentation fault on one of another architecture.
    """
    root = folder / processor.instruction_set
    (root / "proc").mkdir(parents=True)
    for entry in sysroot.iterdir():
        if entry.name not in KERNEL_FOLDERS:
            (root / entry.name).symlink_to(entry.resolve())
    (root / "proc" / "cpuinfo").write_text(
        f"processor\t: 0\nCPU implementer\t: {ARM}\nCPU architecture: 8\nCPU variant\t: 0x1\n"
        f"CPU part\t: {processor.part}\nCPU revision\t: 0\n\n"
    )
    cpus = root / "sys" / "devices" / "system" / "cpu"
    cpus.mkdir(parents=True)
    for name in ("possible", "present"):
        (cpus / name).write_text("0\n")
    return root
