"""Somebody else's `graphs` or `perf` must not be taken for ours, nor a missing torch for a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from exported_checkpoints import Exports

import graphs
import mbert_onnx
from mbert_onnx.errors import MbertError, MissingExtraError
from mbert_onnx.errors.requirements import require_beside, require_extra

HOME = Path(mbert_onnx.__file__).parent.parent


def python(*arguments: str | Path, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a Python of its own in a folder; `path` goes first into PYTHONPATH. Ours is found as when installed."""
    places = [str(place) for place in (path, HOME) if place is not None]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def decoy(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise RuntimeError('the decoy was imported')")


# Beside


@pytest.mark.parametrize("name", [pytest.param("graphs", marks=pytest.mark.full), "perf"])
def test_a_package_of_that_name_is_told_in_one_line(name: str, exported: Exports, tmp_path: Path) -> None:
    decoy(tmp_path, name)
    done = python("-m", "mbert_onnx", "bench", exported().bundle, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"mbert-onnx: another module called {name!r} is in the way: found {tmp_path / name}, expected {HOME / name}; "
        "run from another folder, or take it off PYTHONPATH\n"
    )


def test_a_file_of_that_name_is_told_by_its_own_name(exported: Exports, tmp_path: Path) -> None:
    (tmp_path / "perf.py").write_text("raise RuntimeError")
    done = python("-m", "mbert_onnx", "bench", exported().bundle, cwd=tmp_path)
    assert f"found {tmp_path / 'perf.py'}, expected" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_decoy_on_the_python_path_is_told(exported: Exports, tmp_path: Path) -> None:
    decoy(tmp_path, "graphs")
    done = python("-m", "mbert_onnx", "inspect", exported().bundle, cwd=Path("/"), path=tmp_path)
    assert f"mbert-onnx: another module called 'graphs' is in the way: found {tmp_path / 'graphs'}" in done.stderr


def test_a_folder_that_is_no_package_is_in_nobody_s_way(exported: Exports, tmp_path: Path) -> None:
    (tmp_path / "perf").mkdir()
    (tmp_path / "graphs").mkdir()
    done = python("-m", "mbert_onnx", "inspect", exported().bundle, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installed_command_does_not_look_where_it_stands(exported: Exports, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("mbert-onnx")
    if not command.exists():
        pytest.skip("mbert-onnx is not installed beside this Python")
    decoy(tmp_path, "perf")
    decoy(tmp_path, "graphs")
    done = subprocess.run([command, "inspect", exported().bundle], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_needs_neither_runs_beside_decoys(exported: Exports, tmp_path: Path) -> None:
    for name in ("perf", "graphs", "tests"):
        decoy(tmp_path, name)
    done = python("-m", "mbert_onnx", "run", exported("text-classification").bundle, "Ada wrote it.", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_our_own_are_found() -> None:
    require_beside("graphs")
    require_beside("perf")


@pytest.mark.parametrize("file", ["/somewhere/graphs/__init__.py", None])
def test_a_decoy_that_is_loaded_already(file: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    impostor = types.ModuleType("graphs")
    impostor.__file__ = file
    monkeypatch.setitem(sys.modules, "graphs", impostor)
    with pytest.raises(MbertError, match=r"another module called 'graphs' is in the way: found .*expected"):
        require_beside("graphs")


def test_a_loaded_module_with_a_spec_is_told_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphs", json)
    with pytest.raises(MbertError, match=f"found {Path(json.__file__).parent}, expected {HOME / 'graphs'};"):
        require_beside("graphs")


def test_one_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MbertError, match=rf"'no_such' is missing; it belongs at {HOME}/no_such: install mbert-onnx"):
        require_beside("no_such")
    assert graphs.__file__ == str(HOME / "graphs" / "__init__.py")


# Extras

HIDE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {hidden} else find_spec(name, package)
sys.meta_path.insert(0, Hide())
"""


def without(tmp_path: Path, *hidden: str) -> Path:
    """A folder that, first in PYTHONPATH, makes packages look as if they were not installed."""
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "sitecustomize.py").write_text(HIDE.format(hidden=hidden))
    return tmp_path / "hiding"


@pytest.mark.parametrize("command", ["export", "verify", "bench"])
def test_what_needs_torch_says_how_to_get_it(command: str, exported: Exports, tmp_path: Path) -> None:
    found = exported()
    arguments = {
        "export": (found.checkpoint, "--output", tmp_path / "bundle"),
        "verify": (found.bundle, "--against", found.checkpoint),
        "bench": (found.checkpoint,),
    }[command]
    hidden = without(tmp_path, "torch", "safetensors")
    done = python("-m", "mbert_onnx", command, *arguments, cwd=tmp_path, path=hidden)
    assert done.returncode == 1
    told = "export" if command == "bench" else command
    expected = f"{told} needs torch and safetensors, not installed here: pip install 'mbert-onnx[export]'"
    assert done.stderr.splitlines()[-1] == f"mbert-onnx: {expected}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["pretrain"], ["distill"], ["distill", "--dry-run"], ["finetune"]], ids=lambda words: " ".join(words)
)
def test_trainings_say_how_to_get_their_packages(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").touch()
    hidden = without(tmp_path, "accelerate", "datasets")
    done = python("-m", "mbert_onnx", *arguments, "recipe.toml", cwd=tmp_path, path=hidden)
    assert done.returncode == 1
    assert done.stderr == (
        "mbert-onnx: training needs accelerate and datasets, not installed here: pip install 'mbert-onnx[train]'\n"
    )


def test_the_peer_of_bench_says_how_to_get_torch(exported: Exports, tmp_path: Path) -> None:
    model = f"transformers:{exported().checkpoint}"
    done = python("-m", "mbert_onnx", "bench", model, cwd=tmp_path, path=without(tmp_path, "transformers"))
    assert done.returncode == 1
    assert "transformers' own export needs transformers, not installed here" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "inspect", "bench", "optimize", "doctor", "passes"])
def test_what_needs_no_torch_runs_without(command: str, exported: Exports, tmp_path: Path) -> None:
    arguments = {
        "run": ("Who wrote it?", "--context", "Ada wrote the first program."),
        "inspect": ("--json",),
        "bench": ("--budget", "0.05", "--seq-len", "4", "--threads", "1"),
        "optimize": ("--output", tmp_path / "fast.onnx"),
        "doctor": ("--provider", "cpu"),
        "passes": (),
    }[command]
    model = () if command == "passes" else (exported().bundle,)
    hidden = without(tmp_path, "torch", "transformers", "safetensors", "huggingface_hub")
    done = python("-m", "mbert_onnx", command, *model, *arguments, cwd=tmp_path, path=hidden)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    assert done.stdout


def test_the_built_in_model_answers_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time, too, when its graph is optimized into the cache."""
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path / "cache"))
    hidden = without(tmp_path, "torch", "transformers", "safetensors", "huggingface_hub")
    done = python("-m", "mbert_onnx", "run", "reference", "A warm and funny film.", cwd=tmp_path, path=hidden)
    assert done.stderr == f"reference: optimizing its graph once, into {tmp_path / 'cache' / 'reference'}\n"
    assert done.stdout.split()[1] == "positive"


def test_an_extra_that_is_there() -> None:
    require_extra("export", "a test")


def test_what_is_missing_of_an_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "transformers" else object())
    with pytest.raises(MissingExtraError, match=r"^a test needs transformers, not installed here: pip install 'mbert-"):
        require_extra("export", "a test")
