"""Bounds of the centred error (`graphs.execution.centred_error`): the largest errors that pass, and their reasons."""

from __future__ import annotations

# A float32 graph or file passes with this error from float64: the rounding of 24 layers in float32. At 128 tokens
# torch's float32 was seen at 7e-6, and transformers' export in onnxruntime at 9e-6.
FLOAT32 = 1e-5

# It also passes with this many times the float32 error of the model that it was converted from: weights that lose more
# to rounding than usual do so in any order of the sums. The own error of a model with few outputs is small by chance at
# times: a random model of two labels was seen at 4.03 times its own.
FLOAT32_FACTOR = 6.0

# But never with more than this, however large the model's own error is: at a hundredth of the outputs' spread, a wrong
# weight could not be told from rounding.
LARGEST_FLOAT32 = 1e-2

# Between two float32 files, neither of which is exact: transformers' own export was seen at 9e-6 from float64 at 128
# tokens, and the error grows with the length.
BETWEEN_FLOAT32 = 5e-5

# Between two files with the same products in 8 bits: a difference in the last digit of float32 before a product moves
# some of its inputs to the next of 255 steps.
BETWEEN_INT8 = 1e-2

# Two runs of a graph on the same inputs may differ by this: threads may add in another order.
BETWEEN_RUNS = 1e-5

# The search for the number of bits of activations ends at this error: about twice that of onnxruntime's dynamic
# quantization, whose steps fit each text, on a model of random weights.
BIT_SEARCH_GOAL = 0.05


def float32_bound(own_error: float | None) -> float:
    """Returns the largest centred error at which a float32 graph or file passes.

    Args:
        own_error: The error of the original model in float32 from itself in float64; None if the reference is float32.
    """
    return BETWEEN_FLOAT32 if own_error is None else min(max(FLOAT32, FLOAT32_FACTOR * own_error), LARGEST_FLOAT32)
