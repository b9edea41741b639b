"""Progress callback of trainings."""

from __future__ import annotations

from collections.abc import Callable

TrainingProgress = Callable[[str, int, int, dict[str, float]], None]
"""Called with stage name, step, number of steps, and mean losses."""


def no_progress(_name: str, _step: int, _steps: int, _losses: dict[str, float]) -> None:
    """No-op progress callback."""
