"""Run folder of a training: recipe, checkpoints, curves, and the trained model.

    recipe.toml             the recipe of the run
    checkpoints/02-000500/  the state after step 500 of stage 2, from which training resumes
    tokenizer/, rows/       the tokenizer and the tokenized texts
    opinions/, labels.json  cached teacher logits and label names (fine-tuning only)
    losses.jsonl            loss curves as numbers; losses.png and tensorboard/ show them
    model/                  the trained model in transformers' format, once training is complete

A checkpoint is written to a temporary folder and renamed, so that a killed training resumes from the last complete one.
A run that replaces another moves it aside until the data and models of the new run are read.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mbert_onnx.bundles.atomic import PARTIAL, atomic_file, atomic_folder, write_errors
from mbert_onnx.errors import TrainingError
from mbert_onnx.training.loop.run_replacement import ASIDE, MOVING, Replacement, remove

RECIPE, CHECKPOINTS, MODEL, LOSSES = "recipe.toml", "checkpoints", "model", "losses.jsonl"
PICTURE, EVENTS = "losses.png", "tensorboard"
TOKENIZER, ROWS, OPINIONS, LABELS = "tokenizer", "rows", "opinions", "labels.json"
RUN_FILES = (RECIPE, CHECKPOINTS, MODEL, LOSSES, PICTURE, EVENTS, TOKENIZER, ROWS, OPINIONS, LABELS)
LOCK = ".lock"
NAME = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True, order=True)
class Position:
    """A position in a training: stage, counted from 0, and number of its completed steps."""

    stage: int
    step: int

    @property
    def folder_name(self) -> str:
        """Name of the checkpoint at this position."""
        return f"{self.stage:02}-{self.step:06}"


class Run:
    """A run folder and its parts.

    Args:
        folder: Path of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / MODEL
        self.losses = folder / LOSSES
        self.tokenizer = folder / TOKENIZER
        self.rows = folder / ROWS
        self.teacher_logits = folder / OPINIONS
        self.labels = folder / LABELS
        self._checkpoints = folder / CHECKPOINTS
        self._recipe = folder / RECIPE
        self._replacement = Replacement(folder, RUN_FILES)

    @contextmanager
    def opened(self, recipe: str, *, overwrite: bool) -> Iterator[None]:
        """Creates the folder or resumes the run of the same recipe in it, and locks it for this process.

        A run of another recipe that has no checkpoint yet is replaced. If an error is raised before `settle`, a
        replaced run is restored, and a new one is removed unless its texts are tokenized; an interrupted one stays.

        Raises TrainingError for a folder that is not a run and for one in use by another process; and, without
        `overwrite`, for a run that is complete or has another recipe.
        """
        if self.folder.exists() and not self._is_run() and self._has_others():
            raise TrainingError(f"{self.folder} exists and is not a run folder; choose another output")
        is_new = not self._is_run()
        missing = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        has_failed = False
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
        except BaseException as error:
            self._replacement.put_back()
            has_failed = isinstance(error, Exception)
            raise
        finally:
            with suppress(OSError):  # Windows does not remove an open file
                (self.folder / LOCK).unlink()
            lock.release()
            if has_failed and is_new and not self._is_begun:
                self._remove(missing)

    def settle(self) -> None:
        """Removes the run that this one replaces; called when training begins."""
        self._replacement.forget()

    def is_of(self, recipe: str) -> bool:
        """True if the run has that recipe."""
        return self._recipe.is_file() and self._recipe.read_text(encoding="utf-8") == recipe

    def _begin(self, recipe: str, overwrite: bool) -> None:
        try:
            self._replacement.put_back()  # after a kill
            is_other = self._is_run() and not self.is_of(recipe)
            is_trained = self.is_done or self.position() is not None
            if self._is_run() and (overwrite or (is_other and not is_trained)):
                self._replacement.put_aside()
            elif is_other:
                raise TrainingError(
                    f"{self.folder} was started with another recipe ({self._recipe}); choose another output, or pass "
                    "--overwrite"
                )
            elif self.is_done:
                raise TrainingError(f"{self.folder} is trained already; pass --overwrite to train it again")
            self._checkpoints.mkdir(parents=True, exist_ok=True)
            for leftover in (*self.folder.glob(f"{PARTIAL}*"), *self._checkpoints.glob(f"{PARTIAL}*")):
                remove(leftover)
            with atomic_file(self._recipe, TrainingError) as partial:
                partial.write_text(recipe, encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be written ({error.strerror or error})") from error

    @property
    def _is_begun(self) -> bool:
        """True if the run has anything that took time: tokenized texts, a checkpoint, the model."""
        return self.rows.is_dir() or self.position() is not None or self.is_done

    def _remove(self, missing: Sequence[Path]) -> None:
        """Removes the files of a run that failed before it began, and the folders that were `missing` before it."""
        with suppress(OSError):
            for name in RUN_FILES:
                remove(self.folder / name)
            for place in missing:
                place.rmdir()

    def _is_run(self) -> bool:
        """True if the folder is a run; a recipe alone is not enough, since a user may have put it there."""
        started = self._recipe.is_file() and (self._checkpoints.is_dir() or self.model.is_dir())
        return started or any((self.folder / name).is_dir() for name in (ASIDE, MOVING))

    def _has_others(self) -> bool:
        return not self.folder.is_dir() or any(path.name != LOCK for path in self.folder.iterdir())

    @property
    def is_done(self) -> bool:
        """True if training is complete."""
        return self.model.is_dir()

    def position(self) -> Position | None:
        """Returns the position of the last complete checkpoint, or None."""
        found = [NAME.fullmatch(path.name) for path in self._checkpoints.glob("*-*")]
        return max((Position(int(match[1]), int(match[2])) for match in found if match), default=None)

    def checkpoint(self, position: Position) -> Path:
        """Returns the folder of the checkpoint at a position."""
        return self._checkpoints / position.folder_name

    def save(self, position: Position, write: Callable[[Path], None]) -> None:
        """Creates a checkpoint that `write` fills, then removes the earlier ones.

        Raises TrainingError if it cannot be written; the earlier checkpoint stays.
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
        """Writes the trained model with `write`, then removes the checkpoints. Raises TrainingError if it cannot."""
        advice = "the last checkpoint stays: free some space and start again"
        with (
            # Any Exception: libraries written in Rust report a full disk with classes of their own.
            write_errors(self.model, TrainingError, advice=advice, kinds=(Exception,)),
            atomic_folder(self.model, self.folder / f"{PARTIAL}{MODEL}") as partial,
        ):
            write(partial)
        shutil.rmtree(self._checkpoints)
