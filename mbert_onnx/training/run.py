"""The folder of a run: its recipe, its checkpoints, its curves, and in the end its model.

    recipe.toml             what it was begun with
    checkpoints/02-000500/  all that is needed to go on after step 500 of stage 2
    losses.jsonl            the curves as numbers; losses.png and tensorboard/ as pictures
    model/                  the trained model, as transformers writes one; there when all is done

A checkpoint is written beside its place and renamed, so that a training that is killed at any moment goes on from the
last one that is complete.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mbert_onnx.errors import TrainingError

RECIPE, CHECKPOINTS, MODEL, LOSSES = "recipe.toml", "checkpoints", "model", "losses.jsonl"
PARTIAL = ".partial-"
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
        self._checkpoints = folder / CHECKPOINTS

    def begin(self, recipe: str, *, overwrite: bool) -> None:
        """Makes the folder, or goes on with one that was begun with the same recipe.

        One that was begun with another, but has no checkpoint yet, is begun again.

        Raises TrainingError for one that is done, or was begun with another recipe, unless it is to be overwritten.
        """
        known = self.folder / RECIPE
        has_other = known.is_file() and known.read_text(encoding="utf-8") != recipe
        if known.is_file() and (overwrite or (has_other and not self.is_done and self.position() is None)):
            shutil.rmtree(self.folder)
            has_other = False
        if self.folder.exists() and not known.is_file() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise TrainingError(f"{self.folder} is there, and is no run; choose another output")
        if has_other:
            raise TrainingError(
                f"{self.folder} was begun with another recipe ({known}); choose another output, or pass --overwrite"
            )
        if self.is_done:
            raise TrainingError(f"{self.folder} is trained already; pass --overwrite to train it again")
        try:
            self._checkpoints.mkdir(parents=True, exist_ok=True)
            for left in self._checkpoints.glob(f"{PARTIAL}*"):
                shutil.rmtree(left)
            partial = self.folder / f"{PARTIAL}{RECIPE}"
            partial.write_text(recipe, encoding="utf-8")
            partial.replace(known)
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be written ({error.strerror or error})") from error

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
        partial = self._checkpoints / f"{PARTIAL}{position.folder_name}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            write(partial)
            place = self.checkpoint(position)
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
        except (OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
            shutil.rmtree(partial, ignore_errors=True)
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise TrainingError(
                f"{partial.parent} cannot be written ({reason}); what was there before stays"
            ) from error
        for path in self._checkpoints.glob("*-*"):
            match = NAME.fullmatch(path.name)
            if match and Position(int(match[1]), int(match[2])) < position:
                shutil.rmtree(path)

    def finish(self, write: Callable[[Path], None]) -> None:
        """Puts the model where it belongs; the checkpoints have no use any more."""
        partial = self.folder / f"{PARTIAL}{MODEL}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            write(partial)
            partial.rename(self.model)
        except OSError as error:
            raise TrainingError(f"{self.model} cannot be written ({error.strerror or error})") from error
        shutil.rmtree(self._checkpoints)
