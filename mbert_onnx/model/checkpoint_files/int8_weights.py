"""Weights that are stored as int8: symmetric quantization with one scale for each row of a matrix.

A checkpoint then has half the size of one in half precision, with an error of at most half a step of each row. Names
are those of compressed-tensors' format `int-quantized`: the matrix `NAME.weight` in int8, and `NAME.weight_scale`,
`[rows, 1]`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = "_scale"

# Largest number of an int8 weight; -128 is not used, so that the range is symmetric.
LEVELS = 127


def quantize_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with each matrix as int8 and a scale in float32; other tensors as they are.

    Args:
        tensors: Tensors by name, in float32.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() != 2:
            stored[name] = tensor
            continue
        scale = tensor.abs().amax(1, keepdim=True) / LEVELS
        # A row of zeros, as [PAD]'s embedding, has no largest number.
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        stored[name] = (tensor / scale).round().to(torch.int8)
        stored[name + SCALE] = scale
    return stored


def dequantize_rows(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with each int8 matrix that has a scale in float32, and without these scales."""
    int8 = {name: tensor for name, tensor in stored.items() if tensor.dtype is torch.int8}
    scaled = {name for name, matrix in int8.items() if _fits(matrix, stored.get(name + SCALE))}
    scales = {name + SCALE for name in scaled}
    return {
        name: tensor.float() * stored[name + SCALE].float() if name in scaled else tensor
        for name, tensor in stored.items()
        if name not in scales
    }


def _fits(matrix: Tensor, scale: Tensor | None) -> bool:
    """Returns whether a matrix has one scale for each row: other granularities are not read."""
    return scale is not None and matrix.dim() == 2 and scale.shape == (matrix.shape[0], 1)
