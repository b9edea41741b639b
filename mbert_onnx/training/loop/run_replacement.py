"""Replacement of a run: the old run is moved aside, then removed when the new one trains, or restored if it fails."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

# Sub-folders of the run folder, so that moving is renaming: moved aside completely; being moved there or back; to be
# removed. After a kill, their names show the step that has to be finished.
ASIDE, MOVING, FORGOTTEN = ".replaced", ".replaced-moving", ".replaced-forgotten"


class Replacement:
    """Moves the files of the replaced run aside and back.

    Args:
        folder: Run folder.
        names: Names of a run's files and folders. Nothing else in the folder is touched.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names
        self._aside = folder / ASIDE
        self._moving = folder / MOVING
        self._forgotten = folder / FORGOTTEN

    def put_aside(self) -> None:
        """Moves the run aside."""
        self._moving.mkdir()
        self._move(self._folder, self._moving)
        self._moving.rename(self._aside)

    def put_back(self) -> None:
        """Undoes a complete or interrupted `put_aside` and removes newer files; a no-op if nothing is aside."""
        if self._aside.is_dir():
            for name in self._names:
                remove(self._folder / name)
            self._aside.rename(self._moving)
        if self._moving.is_dir():
            self._move(self._moving, self._folder)
            self._moving.rmdir()
        remove(self._forgotten)

    def forget(self) -> None:
        """Removes the run that was moved aside."""
        if self._aside.is_dir():
            self._aside.rename(self._forgotten)
        remove(self._forgotten)

    def _move(self, source: Path, destination: Path) -> None:
        for name in self._names:
            if (source / name).exists():
                (source / name).rename(destination / name)


def remove(path: Path) -> None:
    """Removes a file, or a folder with its content; a no-op if it does not exist."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
