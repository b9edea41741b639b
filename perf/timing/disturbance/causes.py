"""Causes of disturbed repetitions: steal time, a slower speed check, or a median above those of other repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from perf.timing.cell import Repetition
from perf.timing.disturbance.speed_check import MOVED

STEAL, SPEED_CHECK, SPREAD = "steal time", "speed check", "spread"
"""The causes, as reports name them."""

STOLEN = 0.05
"""Steal time, in cores, above which a repetition is disturbed: a single thread loses 5 % of its time."""

SLOWED = 0.1
"""A repetition is disturbed if a model's median in it is this share above the median of its repetitions.

Two sessions of the same file differ by 1 or 2 %.
"""


def causes(repetitions: Sequence[Repetition], names: Sequence[str], usual_speed_check_ms: float) -> dict[int, str]:
    """Returns the indexes of a cell's disturbed repetitions, each with its cause.

    Most repetitions are taken as undisturbed: times are compared with the median of all, and only slower ones are
    disturbed. Of several causes, the one that leaves the least doubt counts: steal time, then the speed check, then the
    spread.

    Args:
        repetitions: The cell's repetitions.
        names: The models whose times count; they are in all of the repetitions or in none.
        usual_speed_check_ms: The median of all speed checks.
    """
    slow: set[int] = set()
    for series in ([one.times_ms for one in repetitions], [one.one_by_one_ms for one in repetitions]):
        for name in names:
            medians = [float(np.median(times[name])) for times in series if name in times]
            slow |= {number for number, one in enumerate(medians) if one > (1 + SLOWED) * median(medians)}
    found = {}
    for number, one in enumerate(repetitions):
        if one.stolen_cores > STOLEN:
            found[number] = STEAL
        elif one.speed_check_ms > (1 + MOVED) * usual_speed_check_ms:
            found[number] = SPEED_CHECK
        elif number in slow:
            found[number] = SPREAD
    return found
