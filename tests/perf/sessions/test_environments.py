"""Environments that are made once, for tools whose packages do not get along with others."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perf.errors import PerfError
from perf.sessions.environments import VARIABLE, environment, pip_advice


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that pip installs without an index; environments go beside it."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    # Building a package would fetch what builds it, so a wheel is written by hand.
    import zipfile

    wheel = tmp_path / "lonely-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("lonely.py", "ANSWER = 42\n")
        archive.writestr("lonely-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lonely\nVersion: 1.0\n")
        archive.writestr("lonely-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("lonely-1.0.dist-info/RECORD", "")
    return wheel


def test_it_is_made_once_and_has_the_package(package: Path) -> None:
    told: list[str] = []
    with ThreadPoolExecutor() as pool:  # two that ask at the same time
        python, other = pool.map(lambda _: environment("tool", [str(package)], told.append), range(2))
    assert python == other
    found = subprocess.run([python, "-c", "import lonely; print(lonely.ANSWER)"], capture_output=True, text=True)
    assert found.stdout == "42\n"
    assert len(told) == 1
    assert "installing tool into an environment of its own" in told[0]
    assert environment("tool", [str(package)], told.append) == python
    assert len(told) == 1


def test_what_was_interrupted_is_made_anew(package: Path) -> None:
    python = environment("tool", [str(package)], lambda _: None)
    folder = python.parent.parent
    (folder / "complete").unlink()
    (folder / "left").touch()
    told: list[str] = []
    assert environment("tool", [str(package)], told.append) == python
    assert told
    assert not (folder / "left").exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    found = (
        rf"^{tmp_path}/file/.* cannot be written \(Not a directory\); set {VARIABLE} to a folder that can be written$"
    )
    with pytest.raises(PerfError, match=found):
        environment("tool", ["a-package"], lambda _: None)


def test_a_user_without_a_home_is_told_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME is not set, and the user has no entry in the list of users."""

    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(PerfError, match=f"^this user has no home folder for a cache; set {VARIABLE} to a folder"):
        environment("tool", ["a-package"], lambda _: None)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Could not find a version that satisfies", "expected pip to reach a package index"),
        ("Could not install packages due to an OSError: [Errno 28] No space left on device", "free some space"),
        ("[Errno 13] Permission denied: '/x'", f"set {VARIABLE} to a folder that can be written"),
    ],
)
def test_the_advice_fits_the_reason(reason: str, advice: str) -> None:
    assert pip_advice(reason) == advice


def test_what_pip_cannot_install_is_one_line(package: Path) -> None:
    with pytest.raises(
        PerfError, match=r"cannot create the environment for tool \(.*none\.whl.*\); expected pip"
    ) as caught:
        environment("tool", [str(package.with_name("none.whl"))], lambda _: None)
    assert "\n" not in str(caught.value)
