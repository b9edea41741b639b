"""The emulated processors: one for each instruction set of the int8 kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Processor:
    """A processor with an instruction set, and without a better one.

    Args:
        instruction_set: Its name in `mbert-onnx kernels`.
        models: Values of qemu's `-cpu` to try, the preferred one first; older versions of qemu lack some.
        part: Arm's part number, as in /proc/cpuinfo.
    """

    instruction_set: str
    models: tuple[str, ...]
    part: str


PROCESSORS = (
    Processor("neon", ("cortex-a72",), "0xd08"),
    Processor("neon-dotprod", ("neoverse-n1",), "0xd0c"),
    # `max` is for qemu before 8.1. It has every feature; SVE and SME are turned off, because qemu emulates them far too
    # slowly.
    Processor("neon-i8mm", ("neoverse-v1", "max,sve=off,sme=off", "max,sve=off"), "0xd40"),
)

ARM = "0x41"
"""Arm's implementer code in /proc/cpuinfo."""

# The folders of a root that belong to the operating system's kernel.
KERNEL_FOLDERS = ("dev", "proc", "sys", "tmp")


def create_root(folder: Path, sysroot: Path, processor: Processor) -> Path:
    """Creates a root folder for programs on this processor: the sysroot's libraries, and Linux's processor files.

    qemu shows the host's files where its root lacks them, and before 8.1 also the host's /proc/cpuinfo. onnxruntime
    ends with a segmentation fault if that is of another architecture.
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
