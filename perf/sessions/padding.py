"""Whether models treat padding alike: a file without a mask, or that does not heed it, reads padding as text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def half_padded(feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The same texts, the latter half of each being padding; None where nothing is long enough.

    Args:
        feed: Inputs by name, [batch, seq] or [batch, choices, seq], as `perf.sessions.inputs.synthesise` makes them.
    """
    real = next(iter(feed.values())).shape[-1] // 2
    if not real:
        return None
    padded = {name: value.copy() for name, value in feed.items()}
    for name, value in padded.items():
        if name in ("input_ids", "attention_mask"):
            value[..., real:] = 0
    return padded


def real_part(outputs: Mapping[str, np.ndarray], seq_len: int) -> dict[str, np.ndarray]:
    """Of outputs with a value for each token, those of the former half; the others as they are.

    Args:
        outputs: By name, [batch, seq, …], [batch, …] or with choices between.
        seq_len: Of the input, in tokens.
    """
    real = seq_len // 2
    return {
        name: value[:, :real] if value.ndim > 1 and value.shape[1] == seq_len else value
        for name, value in outputs.items()
    }
