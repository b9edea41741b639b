"""What a run replaces is put aside until the new one has all that it needs, and put back if it does not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

# Folders in the run's own, so that moving is renaming: what is wholly aside; what is on its way there or back; what is
# to be removed. Whenever the process is killed, their names tell what is left to do.
ASIDE, MOVING, FORGOTTEN = ".replaced", ".replaced-moving", ".replaced-forgotten"


class Replacing:
    """Puts aside what belongs to the run that was there before.

    Args:
        folder: The run's.
        names: What a run may have in it. Nothing else there is ever touched.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = names
        self._aside = folder / ASIDE
        self._moving = folder / MOVING
        self._forgotten = folder / FORGOTTEN

    def put_aside(self) -> None:
        self._moving.mkdir()
        self._move(self._folder, self._moving)
        self._moving.rename(self._aside)

    def put_back(self) -> None:
        """Undoes `put_aside`, also half of it, and removes what came since; nothing where nothing is aside."""
        if self._aside.is_dir():
            for name in self._names:
                remove(self._folder / name)
            self._aside.rename(self._moving)
        if self._moving.is_dir():
            self._move(self._moving, self._folder)
            self._moving.rmdir()
        remove(self._forgotten)

    def forget(self) -> None:
        """The new run has begun: what is aside has no use any more."""
        if self._aside.is_dir():
            self._aside.rename(self._forgotten)
        remove(self._forgotten)

    def _move(self, source: Path, destination: Path) -> None:
        for name in self._names:
            if (source / name).exists():
                (source / name).rename(destination / name)


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it; nothing where there is none."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
