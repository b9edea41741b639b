"""Writes a bundle, or a precision of one, so that a kill at any moment leaves a complete bundle, the old or the new."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import psutil

from mbert_onnx.bundles.atomic import check_new_folder, swap_folders, write_errors
from mbert_onnx.bundles.records import CONFIG, METADATA, MODEL_FILES, SHARED, TEXT_VARIANTS, VARIANTS, Records
from mbert_onnx.errors import BundleError
from mbert_onnx.text.name_lists import name_list

ADVICE = "choose another --output"

# The most file names of each kind in an error.
FEW = 2


class Change(Enum):
    """Effect of writing a bundle on its folder."""

    NEW = "the folder is new, or was empty"
    ADD = "a precision is added to those of the same checkpoint"
    REPLACE_MODEL = "the model file of a precision is replaced, and all other files stay"
    REPLACE_BUNDLE = "the files of a bundle of another checkpoint are replaced"


def check_destination(
    output: Path,
    overwrite: bool,
    precision: str = "fp32",
    checkpoint: dict[str, str] | None = None,
    *,
    text: bool = False,
) -> Change:
    """Raises BundleError if a bundle may not be written to `output`; called before the work, so that none is lost.

    Another precision of the same checkpoint is added. What is there, a precision or a bundle of another checkpoint, is
    replaced only with `overwrite`; any other folder that is not empty is never replaced.

    Args:
        output: The bundle.
        overwrite: Whether to replace.
        precision: The precision that is written.
        checkpoint: SHA-256 of the parts of its checkpoint; None if it is not read yet: then the bundle that is there
            may be of the same one or of another, and nothing of it is refused that depends on that.
        text: Whether a text file is written, too.
    """
    with _output_errors(output):
        _check_place(output)
        if not output.is_dir() or not any(output.iterdir()):
            return Change.NEW
        return _change(output, overwrite, _names(precision, text), checkpoint)


@dataclass
class StagedBundle:
    """A bundle that is being written.

    Args:
        folder: The folder to fill, beside the destination: a whole bundle of one precision.
        change: What was done to the destination; set at the end, as the others.
        beside: The model files of other precisions in the bundle, relative to it.
        removed: The model files of another checkpoint's bundle that are gone.
        outdated: The text file of a model file that was replaced, where no other one was written; it is gone.
        left_alone: The files that export did not write, and that are still there: all of another checkpoint's bundle,
            else those in whose place it would have written one.
    """

    folder: Path
    change: Change = Change.NEW
    beside: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)


@contextlib.contextmanager
def writing(output: Path, overwrite: bool, precision: str = "fp32", *, text: bool = False) -> Iterator[StagedBundle]:
    """Yields a folder to fill, which becomes `output`, or a part of it, when the block ends; deletes it on failure.

    With `text` it gets a text file, too.

    Raises BundleError as `check_destination`, and where the disk does not take it.
    """
    check_destination(output, overwrite, precision, text=text)
    staged = StagedBundle(output.with_name(f".{output.name}.partial-{os.getpid()}"))
    with _output_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _recover(output)
        try:
            shutil.rmtree(staged.folder, ignore_errors=True)
            staged.folder.mkdir()
            yield staged
            with _locked(output.parent):
                _install(staged, output, overwrite, precision, text)
                staged.beside = [VARIANTS[other] for other in Records.read(output).precisions if other != precision]
        finally:
            shutil.rmtree(staged.folder, ignore_errors=True)


def _install(staged: StagedBundle, output: Path, overwrite: bool, precision: str, text: bool) -> None:
    new, names = Records.read(staged.folder), _names(precision, text)
    # Checked again, because another program had time to put something there, such as another precision.
    staged.change = check_destination(output, overwrite, precision, new.checkpoint or {}, text=text)
    if staged.change is Change.NEW:
        _replace(staged, output, set(), keep_old=False)
    elif staged.change is Change.ADD:
        old = Records.read(output)
        users = _users_files(staged.folder, output, old, names)
        _add(staged.folder, output, old.merged(new.without(users)))
        staged.left_alone = sorted(users)
    elif staged.change is Change.REPLACE_MODEL:
        old = Records.read(output)
        # A text file is of the model file beside it, so it goes with that, if export wrote it.
        staged.outdated = sorted({TEXT_VARIANTS[precision]} & old.own_files() - {*names})
        users = _users_files(staged.folder, output, old, names)
        old.without(staged.outdated).merged(new.without(users)).write(staged.folder)
        _replace(staged, output, {METADATA, *names, *staged.outdated}, keep_old=True)
        staged.left_alone = sorted(users)  # all others stay in any case, and are not listed
    else:
        own = Records.read(output).own_files()
        _replace(staged, output, own, keep_old=False)
        staged.removed = sorted(name for name in own if name in MODEL_FILES and not (output / name).exists())


def _users_files(folder: Path, output: Path, old: Records, names: Sequence[str]) -> set[str]:
    """Returns the staged files in whose place the bundle has a file of its user, such as `labels.txt`, which stays."""
    own = {*old.own_files(), *names}
    return {
        name for path in _entries(folder) if (name := _relative(path, folder)) not in own and (output / name).exists()
    }


def _add(folder: Path, output: Path, records: Records) -> None:
    """Moves the files that are not there yet into the bundle; the records come last, so none is without its file."""
    names = [_relative(path, folder) for path in _entries(folder)]
    for name in sorted(names, key=lambda name: (name in MODEL_FILES, name)):
        if name != METADATA and not os.path.lexists(output / name):
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).rename(output / name)
    records.write(folder)
    (folder / METADATA).replace(output / METADATA)


def _replace(staged: StagedBundle, output: Path, own: set[str], *, keep_old: bool) -> None:
    """Puts the staged bundle in the place of the old one, with those of the old one's files that are not its own.

    They become files of both folders, as links if the disk has them, before the folders are swapped: so they are in
    whichever folder is there.

    Args:
        staged: The bundle; gets the list of the files that were left alone.
        output: The old bundle.
        own: Its own files, which are replaced or removed.
        keep_old: Whether the old one's other files also replace staged files of the same name.
    """
    for path in _entries(output) if output.is_dir() else ():
        name = _relative(path, output)
        target = staged.folder / name
        if path.is_dir() and not path.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
        elif name not in own and (keep_old or not os.path.lexists(target)):
            target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(path, target)
            staged.left_alone.append(name)
    if output.is_dir():
        shutil.copymode(output, staged.folder)
    replaced = swap_folders(staged.folder, output)
    if replaced is not None:
        _discard(replaced, output)


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:  # this disk has no links
        shutil.copy2(path, target, follow_symlinks=False)


def _discard(replaced: Path, output: Path) -> None:
    """Deletes a bundle that was replaced; first moves what was saved in it after its files were linked."""
    own = Records.read(replaced).own_files()
    for path in _entries(replaced):
        name = _relative(path, replaced)
        target = output / name
        if name in own or path.is_dir():
            continue
        if not os.path.lexists(target) or path.lstat().st_mtime_ns > target.lstat().st_mtime_ns:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    shutil.rmtree(replaced, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    """Returns the files, links and empty folders below a folder, in order."""
    found = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        found += [Path(parent, name) for name in (*files, *links)]
        if not folders and not files and Path(parent) != folder:
            found.append(Path(parent))
    return sorted(found)


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a lock, so that exports of two precisions that end at the same moment do not lose a record."""
    try:
        import fcntl
    except ImportError:  # Windows, where renaming open files fails anyway
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network disks have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _recover(output: Path) -> None:
    """Cleans up after a killed process: deletes its unfinished folder, restores the bundle that it moved aside."""
    for state in ("partial", "replaced"):
        for left in output.parent.glob(f".{glob.escape(output.name)}.{state}-*"):
            pid = left.name.rpartition("-")[2]
            # Our own process id may be a dead process's, too: in containers the first process always has the same id.
            if not pid.isdigit() or (int(pid) != os.getpid() and psutil.pid_exists(int(pid))):
                continue
            if state == "partial":
                shutil.rmtree(left, ignore_errors=True)
            elif not output.exists():
                left.rename(output)
            else:
                _discard(left, output)


def _output_errors(output: Path) -> contextlib.AbstractContextManager[None]:
    """Turns errors of writing the bundle into BundleError."""
    return write_errors(output, BundleError, advice=ADVICE)


def _check_place(output: Path) -> None:
    check_new_folder(output, ADVICE)
    if output.is_dir() and any(output.iterdir()) and not (output / METADATA).is_file():
        raise BundleError(f"{output} exists and is not a bundle that export wrote; {ADVICE}")


def _names(precision: str, text: bool) -> tuple[str, ...]:
    """Returns the names of the files of a precision: the model file, and the text file if it has one."""
    return (VARIANTS[precision], TEXT_VARIANTS[precision]) if text else (VARIANTS[precision],)


def _change(output: Path, overwrite: bool, names: Sequence[str], checkpoint: dict[str, str] | None) -> Change:
    """Returns what writing files of these names changes of the bundle that is there; the first is the model file."""
    records = Records.read(output)
    file = output / next((name for name in names if os.path.lexists(output / name)), names[0])
    for name in (CONFIG, *names):
        if (output / name).is_dir():
            raise BundleError(f"{output / name} is a folder, expected a file; move it away, or {ADVICE}")
    if file.parent.is_symlink():
        # Files of the bundle would be outside of it, and could not be replaced together with the others.
        raise BundleError(
            f"{file.parent} is a link; expected a folder: put the folder that it leads to in its place, or {ADVICE}"
        )
    if file.parent.exists() and not file.parent.is_dir():
        raise BundleError(f"{file.parent} is a file, expected a folder; move it away, or {ADVICE}")
    is_there = os.path.lexists(file)
    if records.checkpoint is None and not overwrite:
        raise BundleError(
            f"{output} exists, and does not say of which checkpoint it is ({METADATA} is damaged, or an older version "
            f"wrote it); {_consequences(output, records, names)}"
        )
    if checkpoint is None:
        return Change.REPLACE_MODEL if is_there else Change.ADD
    differences = records.differences(checkpoint)
    if differences and not overwrite:
        raise BundleError(
            f"{output} exists, a bundle of another checkpoint (different: {', '.join(differences)}); "
            f"{_consequences(output, records, names)}"
        )
    if differences:
        return Change.REPLACE_BUNDLE
    if is_there and not overwrite:
        known = {VARIANTS[precision] for precision in records.precisions}
        known |= records.own_files() & {*TEXT_VARIANTS.values()}
        unknown = "" if _relative(file, output) in known else f", and {METADATA} has no record of it"
        raise BundleError(f"{file} exists{unknown}; pass --overwrite to replace it, or {ADVICE}")
    return Change.REPLACE_MODEL if is_there else Change.ADD


def _consequences(output: Path, records: Records, names: Sequence[str]) -> str:
    """Returns the advice for a bundle of another checkpoint: which files --overwrite replaces, and which it leaves."""
    # A user's file with the name of a shared one is replaced if the new checkpoint has such a file, too.
    own = {*records.own_files(), *SHARED, *names}
    found = [_relative(path, output) for path in _entries(output) if path.is_symlink() or not path.is_dir()]
    replaced = sorted((name for name in found if name in own), key=lambda name: (name not in MODEL_FILES, name))
    left_alone = [name for name in found if name not in own]
    leave = f", and leave {name_list(left_alone, FEW)} alone" if left_alone else ""
    return f"pass --overwrite to replace or remove {name_list(replaced, FEW)}{leave}, or {ADVICE}"
