"""Atomic writes: complete or absent, our own error with the reason and the advice, and nothing left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mbert_onnx.bundles.atomic import atomic_file, atomic_folder, write_errors
from mbert_onnx.errors import BundleError, TrainingError, UsageError

FULL = OSError(errno.ENOSPC, "No space left on device")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def half_written(path: Path, error: BaseException) -> None:
    path.write_text("half")
    raise error


def test_a_file_appears_when_it_is_complete_under_a_name_with_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "logits.npy"
    path.write_text("old")
    with atomic_file(path, TrainingError) as partial:
        assert (partial.parent, partial.suffix) == (tmp_path, ".npy")
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["logits.npy"]


@pytest.mark.parametrize("error", [BundleError, TrainingError])
def test_a_full_disk_is_the_callers_error_in_one_line(error: type[BundleError], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error) as caught, atomic_file(path, error, advice="choose another folder") as partial:
        half_written(partial, FULL)
    assert str(caught.value) == f"{path} cannot be written (No space left on device); choose another folder"
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_a_folder_that_does_not_exist_is_the_callers_error(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=r"file cannot be written \(No such file or directory\); choose another"),
        atomic_file(tmp_path / "none" / "file", TrainingError) as partial,
    ):
        partial.write_text("all")


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(BundleError, match="it is a pipe or device"),
        atomic_file(tmp_path / "pipe", BundleError) as beside,
    ):
        beside.write_text("all")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, UsageError])
def test_other_errors_pass_through_and_leave_nothing(stop: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(stop), atomic_file(tmp_path / "file", BundleError) as partial:
        half_written(partial, stop("stop"))
    with pytest.raises(stop), atomic_folder(tmp_path / "folder", tmp_path / "partial") as folder:
        half_written(folder / "file", stop("stop"))
    assert names_in(tmp_path) == []


def test_a_check_refuses_a_complete_file_or_folder(tmp_path: Path) -> None:
    def refuse() -> None:
        raise BundleError("another process was faster")

    with pytest.raises(BundleError, match="faster"), atomic_file(tmp_path / "f", BundleError, check=refuse) as partial:
        partial.write_text("all")
    with pytest.raises(BundleError, match="faster"), atomic_folder(tmp_path / "d", tmp_path / "p", check=refuse):
        pass
    assert names_in(tmp_path) == []


def test_a_folder_replaces_the_one_that_is_there_and_what_was_left_beside_it(tmp_path: Path) -> None:
    for name in ("folder", "partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").touch()
    with atomic_folder(tmp_path / "folder", tmp_path / "partial") as folder:
        assert names_in(folder) == []
        (folder / "new").touch()
    assert names_in(tmp_path) == ["folder"]
    assert names_in(tmp_path / "folder") == ["new"]


def test_errors_of_libraries_that_report_a_full_disk_in_their_own_class(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=r"cannot be written \(unexpected pos 3: the disk may be full\); free space"),
        write_errors(tmp_path, TrainingError, advice="free space", kinds=(OSError, RuntimeError)),
    ):
        raise RuntimeError("unexpected\npos 3")
    with pytest.raises(RuntimeError), write_errors(tmp_path, TrainingError, advice="free space"):
        raise RuntimeError
