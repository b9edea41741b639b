"""Optimizer of a stage: parameter groups by learning rate and weight decay."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mbert_onnx.errors import TrainingError
from mbert_onnx.training.recipe import TrainingTable


def optimizer_of(
    model: nn.Module, table: TrainingTable, learning_rate: float, rate: Callable[[str], float]
) -> torch.optim.Optimizer:
    """Builds the optimizer of a stage.

    Args:
        model: The model; `requires_grad` of frozen parameters is set to False.
        table: `[training]` of the recipe.
        learning_rate: Peak learning rate.
        rate: Returns the factor of a parameter's learning rate, given its name; 0 freezes it.

    Raises TrainingError for LAMB if pytorch_optimizer is not installed.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = rate(name)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            # Vectors are biases, γ and β, which do not decay.
            decay = table.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "lr": learning_rate * factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
    if table.optimizer == "lamb":
        if importlib.util.find_spec("pytorch_optimizer") is None:
            raise TrainingError("optimizer is lamb, which needs pytorch_optimizer; run pip install pytorch_optimizer")
        from pytorch_optimizer import Lamb

        lamb: torch.optim.Optimizer = Lamb(listed)
        return lamb
    # The default loops over parameters on a CPU, which for many small ones takes as long as forward and backward.
    return torch.optim.AdamW(listed, fused=True)
