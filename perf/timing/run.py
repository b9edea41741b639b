"""State that all steps of a benchmark share."""

from __future__ import annotations

from dataclasses import dataclass

from perf.providers import Provider
from perf.sessions.opener import Opener
from perf.sessions.types import Progress
from perf.timing.roster import Roster


@dataclass(frozen=True)
class Run:
    """State that all steps of a benchmark share.

    Args:
        provider: The execution provider.
        roster: The models still in the run.
        opener: Opens their sessions.
        progress: Called with a line at the start of each stage.
    """

    provider: Provider
    roster: Roster
    opener: Opener
    progress: Progress
