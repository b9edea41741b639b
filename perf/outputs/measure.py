"""The measure of the distance between outputs, which callers of `perf.harness.bench` hand in."""

from __future__ import annotations

from collections.abc import Callable

from perf.sessions.types import Feed, Outputs

Measure = Callable[[Outputs, Outputs, Feed], float]
"""From a model's outputs, those of the model that it is compared with, and the inputs, to the distance: the centred
error ‖a − b‖ / ‖b − mean(b)‖, the largest over the outputs of the second.

The mean is per channel, and tokens whose `attention_mask` is 0 do not count; without a mask all tokens do. `perf`
imports no package that has such a function, so it takes one as an argument.
"""
