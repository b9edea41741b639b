"""Makes a root of Debian for aarch64 that runs on this machine, as the test of `bench --device ssh://` wants it.

python tests/helpers/measurements/arm64_root.py ROOT, as root on Debian, with debootstrap installed. The variable
MBERT_ONNX_ARM64_ROOT=ROOT names it to the test. Of the machine only the kernel's list of emulators is
changed, and /proc mounted in the root, until it restarts; run it again then.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Python, what its wheels of onnxruntime link against, and what `venv` needs.
PACKAGES = "python3,python3-venv,libstdc++6,libgomp1,ca-certificates"

# Debian 12's own qemu 7.2 crashes on onnxruntime.
EMULATOR_PACKAGE = "qemu-user"

# What binfmt_misc is to know an executable of aarch64 by: ELF, 64 bits, little-endian, a program, the processor.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
ENTRY = "mbert-onnx-aarch64"


def run(*command: str | Path, folder: Path | None = None) -> str:
    """What a command prints; what it says of an error is shown as it is. Ends the program where it fails."""
    done = subprocess.run([*map(str, command)], cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"arm64_root.py: {' '.join(map(str, command))} failed with exit {done.returncode}")
    return done.stdout


def emulator(folder: Path) -> Path:
    """qemu from this Debian's backports, unpacked into a folder and not installed."""
    program = folder / "usr" / "bin" / "qemu-aarch64"
    if program.is_file():
        return program
    places = [
        line.split() for line in run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)").splitlines()
    ]
    name = platform.freedesktop_os_release()["VERSION_CODENAME"]
    mirror = next((place for place, codename in places if codename == name), None)
    if mirror is None:
        sys.exit(f"arm64_root.py: apt has no source for {name}; expected Debian's own: add it, or pass --qemu")
    with tempfile.TemporaryDirectory() as made:
        lists = Path(made) / "lists"
        lists.mkdir()
        sources = Path(made) / "sources.list"
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        sources.write_text(f"deb [signed-by={keys}] {mirror} {name}-backports main\n")
        own = [f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null", f"Dir::State::Lists={lists}"]
        options = [word for setting in own for word in ("-o", setting)]
        run("apt-get", *options, "-qq", "update")
        run("apt-get", *options, "-qq", "download", EMULATOR_PACKAGE, folder=Path(made))
        folder.mkdir(parents=True, exist_ok=True)
        run("dpkg", "-x", next(Path(made).glob("*.deb")), folder)
    return program


def register(program: Path) -> None:
    """Makes the kernel start programs of aarch64 in qemu, in a root that does not hold it, too: that is flag F."""
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
    if (BINFMT / ENTRY).exists():
        (BINFMT / ENTRY).write_text("-1")  # the place of qemu may be another one now
    (BINFMT / "register").write_text(f":{ENTRY}:M::{MAGIC}:{MASK}:{program}:F")


def make(root: Path) -> None:
    """Debian in a folder, and this machine's way to package indexes."""
    made = root / "usr" / "bin" / "python3"
    if not made.exists():
        name = platform.freedesktop_os_release()["VERSION_CODENAME"]
        run("debootstrap", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}", name, root)
    for file in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"):
        if Path("/", file).is_file():
            shutil.copy(Path("/", file), root / file)
    if not (root / "proc" / "self").exists():
        run("mount", "-t", "proc", "proc", root / "proc")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make a root of Debian for aarch64 that runs under emulation.")
    parser.add_argument("root", type=Path, help="the folder; what is there already is kept")
    parser.add_argument("--qemu", type=Path, help="a static qemu-aarch64, 8 or newer; default: Debian's backports'")
    options = parser.parse_args()
    missing = [name for name in ("apt-get", "dpkg", "debootstrap") if shutil.which(name) is None]
    if os.geteuid() or missing:
        sys.exit(f"arm64_root.py: it needs root on Debian with {' and '.join(missing or ['all rights'])}")
    root = options.root.resolve()
    register(options.qemu.resolve() if options.qemu else emulator(root.with_name(f"{root.name}-qemu")))
    make(root)
    found = run("chroot", root, "uname", "-m").strip()
    if found != "aarch64":
        sys.exit(f"arm64_root.py: {root} runs as {found}; expected aarch64")
    print(f"export MBERT_ONNX_ARM64_ROOT={root}")


if __name__ == "__main__":
    main()
