"""A bundle is complete or absent, whatever happens on the way, and nothing else is touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_checkpoints import names_in

from mbert_onnx.bundles import atomic
from mbert_onnx.bundles.records import METADATA
from mbert_onnx.bundles.writer import check_destination, writing
from mbert_onnx.errors import BundleError

NO_PID = 2**22 + 1  # beyond Linux' largest


def fill(folder: Path, text: str = "new") -> None:
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_text(text)
    (folder / METADATA).write_text("{}")


def content(folder: Path) -> str:
    return (folder / "onnx" / "model.onnx").read_text()


def write(output: Path, *, overwrite: bool = False) -> None:
    with writing(output, overwrite) as staged:
        fill(staged.folder)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A bundle that is there already."""
    fill(tmp_path / "bundle", "old")
    return tmp_path / "bundle"


# Complete


def test_a_bundle_appears_whole(tmp_path: Path) -> None:
    output = tmp_path / "some" / "where" / "bundle"
    with writing(output, overwrite=False) as staged:
        fill(staged.folder)
        assert not output.exists()
    assert content(output) == "new"
    assert names_in(output.parent) == ["bundle"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write(tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "new"
    assert names_in(tmp_path) == ["bundle"]


def test_overwrite_replaces_the_bundle(old: Path) -> None:
    write(old, overwrite=True)
    assert content(old) == "new"
    assert names_in(old.parent) == ["bundle"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("bundle"))
    write(Path("bundle"), overwrite=True)
    assert names_in(Path()) == ["bundle"]


# Absent


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit, OSError, BundleError])
def test_nothing_is_left_of_what_was_stopped(stop: type[BaseException], tmp_path: Path) -> None:
    def interrupted() -> None:
        with writing(tmp_path / "bundle", overwrite=False) as staged:
            fill(staged.folder)
            raise stop("in the middle")

    with pytest.raises(BundleError if stop is OSError else stop, match="in the middle"):
        interrupted()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_old_bundle_stays_where_the_new_one_fails(stop: type[BaseException], old: Path) -> None:
    def interrupted() -> None:
        with writing(old, overwrite=True) as staged:
            fill(staged.folder)
            raise stop

    with pytest.raises(stop):
        interrupted()
    assert content(old) == "old"
    assert names_in(old.parent) == ["bundle"]


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt])
def test_the_old_bundle_comes_back_where_moving_the_new_one_fails(
    stop: type[BaseException], old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise stop("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)  # as on a system that cannot exchange two names
    with pytest.raises(BundleError if stop is OSError else stop, match="no"):
        write(old, overwrite=True)
    assert content(old) == "old"
    assert names_in(old.parent) == ["bundle"]


# What is in the way


def test_a_bundle_is_not_replaced_unasked(old: Path) -> None:
    line = r"does not say of which .*; pass --overwrite to replace or remove onnx/model\.onnx, mbert_onnx\.json, or"
    with pytest.raises(BundleError, match=line):
        write(old)
    assert content(old) == "old"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_anything_else_is_never_replaced(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(BundleError, match="exists and is not a bundle that export wrote; choose another --output"):
        write(tmp_path / "thesis", overwrite=overwrite)
    assert names_in(tmp_path / "thesis") == ["chapter.tex"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_or_link_is_never_replaced(overwrite: bool, old: Path) -> None:
    (old.parent / "file").write_text("x")
    (old.parent / "link").symlink_to(old)
    (old.parent / "dangling").symlink_to(old.parent / "nowhere")
    errors = {
        "file": "file exists and is not a folder",
        "link": f"link is a link; expected a folder: give the folder that it leads to, {old}, or choose another",
        "dangling": "dangling is a link; expected a folder: give a folder, or choose another",
    }
    for name, error in errors.items():
        with pytest.raises(BundleError, match=re.escape(error)):
            write(old.parent / name, overwrite=overwrite)
    assert content(old) == "old"


def test_a_file_in_the_way_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match=r"file is not a folder; choose another --output"):
        check_destination(tmp_path / "file" / "bundle", overwrite=False)


@pytest.mark.parametrize("name", [".", "..", "../..", "../{here}"])
def test_the_working_directory_is_not_replaced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="is the current folder, or around it; choose another --output"):
        check_destination(Path(name.format(here=tmp_path.name)), overwrite=True)


def test_what_appears_during_the_work_is_not_replaced_unasked(tmp_path: Path) -> None:
    output = tmp_path / "bundle"

    def overtaken() -> None:
        with writing(output, overwrite=False) as staged:
            fill(staged.folder)
            fill(output, "of another process")

    with pytest.raises(BundleError, match="pass --overwrite"):
        overtaken()
    assert content(output) == "of another process"
    assert names_in(tmp_path) == ["bundle"]


# Disks


def test_what_the_disk_does_not_take(tmp_path: Path) -> None:
    """Sets a limit on the size of files, which Linux reports in the same way as a full disk."""
    code = (
        "import resource, sys; from pathlib import Path; from mbert_onnx.bundles.writer import writing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with writing(Path(sys.argv[1]), False) as staged:\n"
        "    (staged.folder / 'model.onnx').write_bytes(bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "bundle"], capture_output=True, text=True)
    assert "BundleError" in done.stderr
    assert "bundle cannot be written (File too large); choose another --output" in done.stderr
    assert names_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a read-only place")
@pytest.mark.parametrize("place", ["/proc/bundle", "/proc/some/bundle"])
def test_a_read_only_place(place: str) -> None:
    with pytest.raises(BundleError, match=r"cannot be written \(|is not writable"):
        write(Path(place))


def test_a_folder_without_permission_is_reported_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    for name in ("bundle", "some/bundle"):
        with pytest.raises(BundleError, match=f"{tmp_path} is not writable; choose another --output"):
            check_destination(tmp_path / name, overwrite=False)


def test_a_name_that_no_file_system_takes(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot be written \(File name too long\)"):
        check_destination(tmp_path / ("a" * 300), overwrite=False)


# Left behind by those that were killed


def left(output: Path, state: str, pid: int | str) -> Path:
    folder = output.parent / f".{output.name}.{state}-{pid}"
    fill(folder, state)
    return folder


@pytest.mark.parametrize("name", ["bundle", "model[1]", "*"])
def test_the_unfinished_bundle_of_a_dead_process_is_cleared(name: str, tmp_path: Path) -> None:
    left(tmp_path / name, "partial", NO_PID)
    write(tmp_path / name)
    assert names_in(tmp_path) == [name]


def test_the_unfinished_bundle_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    other = left(tmp_path / "bundle", "partial", os.getppid())
    write(tmp_path / "bundle")
    assert content(other) == "partial"


def test_a_container_gives_the_same_pid_again(tmp_path: Path) -> None:
    left(tmp_path / "bundle", "partial", os.getpid())
    write(tmp_path / "bundle")
    assert content(tmp_path / "bundle") == "new"
    assert names_in(tmp_path) == ["bundle"]


def test_another_bundle_s_leftovers_are_not_touched(tmp_path: Path) -> None:
    others = [left(tmp_path / name, "partial", NO_PID) for name in ("other", "bundle2", "abundle")]
    write(tmp_path / "*")
    write(tmp_path / "bundle")
    assert all(folder.is_dir() for folder in others)


def test_a_folder_that_only_looks_like_a_leftover_is_not_touched(tmp_path: Path) -> None:
    mine = left(tmp_path / "bundle", "partial", "backup")
    write(tmp_path / "bundle")
    assert content(mine) == "partial"


@pytest.mark.parametrize("pid", [NO_PID, "own"])
def test_a_bundle_that_a_dead_process_had_moved_away_comes_back(pid: int | str, old: Path) -> None:
    shutil.rmtree(old)
    left(old, "replaced", os.getpid() if pid == "own" else pid)

    def failing() -> None:
        with writing(old, overwrite=True):
            assert content(old) == "replaced"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert content(old) == "replaced"
    assert names_in(old.parent) == ["bundle"]


def test_a_bundle_that_came_back_is_not_overwritten_unasked(old: Path) -> None:
    shutil.rmtree(old)
    left(old, "replaced", NO_PID)
    with pytest.raises(BundleError, match="pass --overwrite"):
        write(old)
    assert content(old) == "replaced"


def test_a_bundle_that_a_living_process_has_moved_away_is_left_alone(tmp_path: Path) -> None:
    other = left(tmp_path / "bundle", "replaced", os.getppid())
    write(tmp_path / "bundle")
    assert content(other) == "replaced"


def test_what_was_replaced_is_cleared_where_its_successor_is_there(old: Path) -> None:
    left(old, "replaced", NO_PID)
    write(old, overwrite=True)
    assert content(old) == "new"
    assert names_in(old.parent) == ["bundle"]
