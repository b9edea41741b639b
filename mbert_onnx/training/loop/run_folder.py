"""The folder of a run: its recipe, its checkpoints, its curves, and in the end its model.

    recipe.toml             what it was begun with
    checkpoints/02-000500/  all that is needed to go on after step 500 of stage 2
    tokenizer/, rows/       what the texts became; opinions/ and labels.json of some fine-tunings
    losses.jsonl            the curves as numbers; losses.png and tensorboard/ as pictures
    model/                  the trained model, as transformers writes one; there when all is done

A checkpoint is written beside its place and renamed, so that a training that is killed at any moment goes on from the
last one that is complete. A run that replaces another puts it aside until it has all that it needs to train.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mbert_onnx.bundles.atomic import PARTIAL, atomic_file, atomic_folder, write_errors
from mbert_onnx.errors import TrainingError
from mbert_onnx.training.loop.run_replacement import ASIDE, MOVING, Replacing, remove

RECIPE, CHECKPOINTS, MODEL, LOSSES = "recipe.toml", "checkpoints", "model", "losses.jsonl"
PICTURE, EVENTS = "losses.png", "tensorboard"
TOKENIZER, ROWS, OPINIONS, LABELS = "tokenizer", "rows", "opinions", "labels.json"
OWN = (RECIPE, CHECKPOINTS, MODEL, LOSSES, PICTURE, EVENTS, TOKENIZER, ROWS, OPINIONS, LABELS)
LOCK = ".lock"
NAME = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True, order=True)
class Position:
    """After so many steps of a stage, which are counted from 0."""

    stage: int
    step: int

    @property
    def folder_name(self) -> str:
        return f"{self.stage:02}-{self.step:06}"


class Run:
    """The folder of a training.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / MODEL
        self.losses = folder / LOSSES
        self.tokenizer = folder / TOKENIZER
        self.rows = folder / ROWS
        self.opinions = folder / OPINIONS
        self.labels = folder / LABELS
        self._checkpoints = folder / CHECKPOINTS
        self._recipe = folder / RECIPE
        self._replacing = Replacing(folder, OWN)

    @contextmanager
    def opened(self, recipe: str, *, overwrite: bool) -> Iterator[None]:
        """Makes the folder, or goes on with one that was begun with the same recipe; it is this process's alone.

        One that was begun with another, but has no checkpoint yet, is begun again. What is replaced is put back if
        an error comes before `settle`.

        Raises TrainingError for a folder that is no run, one where another process trains, and a run that is done or
        was begun with another recipe, unless it is to be overwritten.
        """
        if self.folder.exists() and not self._is_run() and self._has_others():
            raise TrainingError(f"{self.folder} is there, and is no run; choose another output")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK, timeout=0)
            lock.acquire()
        except Timeout as error:
            raise TrainingError(f"another process trains in {self.folder}; wait for it, or choose another") from error
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be written ({error.strerror or error})") from error
        try:
            self._begin(recipe, overwrite)
            yield
        except BaseException:
            self._replacing.put_back()
            raise
        finally:
            with suppress(OSError):  # Windows keeps it while it is open
                (self.folder / LOCK).unlink()
            lock.release()

    def settle(self) -> None:
        """Training begins: what this run replaces is removed."""
        self._replacing.forget()

    def is_of(self, recipe: str) -> bool:
        """Whether it was begun with that recipe."""
        return self._recipe.is_file() and self._recipe.read_text(encoding="utf-8") == recipe

    def _begin(self, recipe: str, overwrite: bool) -> None:
        try:
            self._replacing.put_back()  # of a process that was killed
            is_other = self._is_run() and not self.is_of(recipe)
            is_trained = self.is_done or self.position() is not None
            if self._is_run() and (overwrite or (is_other and not is_trained)):
                self._replacing.put_aside()
            elif is_other:
                raise TrainingError(
                    f"{self.folder} was begun with another recipe ({self._recipe}); choose another output, or pass "
                    "--overwrite"
                )
            elif self.is_done:
                raise TrainingError(f"{self.folder} is trained already; pass --overwrite to train it again")
            self._checkpoints.mkdir(parents=True, exist_ok=True)
            for left in (*self.folder.glob(f"{PARTIAL}*"), *self._checkpoints.glob(f"{PARTIAL}*")):
                remove(left)
            with atomic_file(self._recipe, TrainingError) as partial:
                partial.write_text(recipe, encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be written ({error.strerror or error})") from error

    def _is_run(self) -> bool:
        """A recipe alone may be anybody's."""
        begun = self._recipe.is_file() and (self._checkpoints.is_dir() or self.model.is_dir())
        return begun or any((self.folder / name).is_dir() for name in (ASIDE, MOVING))

    def _has_others(self) -> bool:
        return not self.folder.is_dir() or any(path.name != LOCK for path in self.folder.iterdir())

    @property
    def is_done(self) -> bool:
        return self.model.is_dir()

    def position(self) -> Position | None:
        """Where the last complete checkpoint is; None before the first."""
        found = [NAME.fullmatch(path.name) for path in self._checkpoints.glob("*-*")]
        return max((Position(int(match[1]), int(match[2])) for match in found if match), default=None)

    def checkpoint(self, position: Position) -> Path:
        return self._checkpoints / position.folder_name

    def save(self, position: Position, write: Callable[[Path], None]) -> None:
        """Makes a checkpoint of what `write` puts into a folder, then removes those before it.

        Raises TrainingError where the disk does not take it; the checkpoint before stays.
        """
        place = self.checkpoint(position)
        advice = "the checkpoint before it stays: free some space and start again"
        with (
            write_errors(place, TrainingError, advice=advice, kinds=(OSError, RuntimeError)),  # torch: RuntimeError
            atomic_folder(place, place.with_name(f"{PARTIAL}{place.name}")) as partial,
        ):
            write(partial)
        for path in self._checkpoints.glob("*-*"):
            match = NAME.fullmatch(path.name)
            if match and Position(int(match[1]), int(match[2])) < position:
                shutil.rmtree(path)

    def finish(self, write: Callable[[Path], None]) -> None:
        """Puts the model where it belongs; the checkpoints have no use any more."""
        advice = "the last checkpoint stays: free some space and start again"
        with (
            # Any Exception: libraries written in Rust report a full disk with classes of their own.
            write_errors(self.model, TrainingError, advice=advice, kinds=(Exception,)),
            atomic_folder(self.model, self.folder / f"{PARTIAL}{MODEL}") as partial,
        ):
            write(partial)
        shutil.rmtree(self._checkpoints)
