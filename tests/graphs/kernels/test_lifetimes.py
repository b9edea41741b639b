"""The native kernels release all memory: nodes, weights and scratch."""

from __future__ import annotations

import gc

import psutil
import pytest
from built_kernels import LIBRARY, needs_kernels
from kernel_models import Widths, attention_feed, ffn_feed, model_of, run, session, with_8_bit_weights

pytestmark = needs_kernels

SESSIONS, WARM_UP = 1000, 200
# Leaking one packed weight of these blocks in every tenth session would take four times as much.
MOST_GROWTH = 4 * 2**20


def test_a_thousand_sessions_leak_nothing() -> None:
    widths = Widths(128, 64, 256, 2, 1)
    feeds = [ffn_feed(widths, 9), attention_feed(widths, [7, 2])]
    feeds += [with_8_bit_weights(feed) for feed in feeds]
    models = [model_of(feed, widths) for feed in feeds]
    process, before = psutil.Process(), 0
    for number in range(SESSIONS):
        if number == WARM_UP:
            gc.collect()
            before = process.memory_info().rss
        which = number % len(models)
        run(session(models[which], LIBRARY), feeds[which])
    gc.collect()
    assert process.memory_info().rss - before < MOST_GROWTH


def test_a_session_that_fails_leaks_nothing() -> None:
    widths = Widths(512, 128, 512, 4, 1)
    feed = ffn_feed(widths, 1)
    feed["weight_out"] = feed["weight_out"][:, :100]
    broken = model_of({**feed, "weight_out": feed["weight_out"][:64]}, widths)
    process, before = psutil.Process(), 0
    for number in range(100):
        if number == 20:
            before = process.memory_info().rss
        with pytest.raises(Exception, match=r"weight_out is float \[64, 100\]; expected \[128, 100\]"):
            session(broken, LIBRARY)
    assert process.memory_info().rss - before < MOST_GROWTH
