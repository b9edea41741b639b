"""Loss curves of a training: `losses.jsonl`, TensorBoard events, and `losses.png`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbert_onnx.bundles.atomic import atomic_file, write_errors
from mbert_onnx.errors import TrainingError
from mbert_onnx.training.loop.run_folder import EVENTS, LOSSES, PICTURE, Position

DOTS_PER_INCH = 120


class Curves:
    """Writer of the loss curves of a run.

    Args:
        folder: Run folder.
        position: Position of the checkpoint that training resumes from; later points are dropped.
        before: Total steps of the stages before each stage, for a common axis.
    """

    def __init__(self, folder: Path, position: Position, before: list[int]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / LOSSES
        self._picture = folder / PICTURE
        self._before = before
        self._drawn = 0  # points in the picture, which takes about a second to draw
        self._points = [point for point in _read(self._path) if Position(point["stage"], point["step"]) <= position]
        with atomic_file(self._path, TrainingError) as beside:
            beside.write_text("".join(f"{json.dumps(point)}\n" for point in self._points), encoding="utf-8")
        self._file = self._path.open("a", encoding="utf-8")
        done = before[position.stage] + position.step
        self._events = SummaryWriter(str(folder / EVENTS), purge_step=done + 1)

    def add(self, position: Position, name: str, losses: Mapping[str, float], rate: float) -> None:
        """Adds a point: the mean losses since the last one, and the learning rate."""
        total = self._before[position.stage] + position.step
        point = {
            "stage": position.stage,
            "name": name,
            "step": position.step,
            "total": total,
            "losses": dict(losses),
            "learning_rate": rate,
        }
        self._points.append(point)
        with write_errors(self._path, TrainingError, advice="free some space and start again"):
            self._file.write(f"{json.dumps(point)}\n")
            self._file.flush()
        for key, value in losses.items():
            self._events.add_scalar(key, value, total)
        self._events.add_scalar("learning_rate", rate, total)

    def draw(self) -> None:
        """Plots each loss against steps, with a vertical line at the start of each stage."""
        if len(self._points) == self._drawn:
            return
        self._drawn = len(self._points)
        self._events.flush()
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.subplots()
        names = dict.fromkeys(name for point in self._points for name in point["losses"])
        for name in names:
            points = [(point["total"], point["losses"][name]) for point in self._points if name in point["losses"]]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=2.2 if name == "loss" else 1.0)
        for start in self._before[1:]:
            axes.axvline(start, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlabel("steps")
        axes.set_ylabel("loss")
        axes.set_yscale("log" if all(v > 0 for p in self._points for v in p["losses"].values()) else "linear")
        axes.legend(frameon=False)
        with atomic_file(self._picture, TrainingError) as beside:
            figure.savefig(beside, dpi=DOTS_PER_INCH)

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        self._events.close()


def _read(path: Path) -> list[dict[str, Any]]:
    """Reads the complete points; the last line may be incomplete after a kill."""
    points = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            points.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return points
