"""The optimizer of a stage: which parameters it trains, at which rate, and which of them decay."""

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
    """The optimizer of a stage.

    Args:
        model: Its parameters that are not trained need no gradient afterwards.
        table: What the recipe says.
        learning_rate: The peak.
        rate: What the learning rate of a parameter is multiplied by, given its name; 0 for one that stays as it is.

    Raises TrainingError for LAMB where the package that has it is not installed.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = rate(name)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            # Biases, γ and β are vectors.
            decay = table.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "lr": learning_rate * factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
    if table.optimizer == "lamb":
        if importlib.util.find_spec("pytorch_optimizer") is None:
            raise TrainingError("optimizer is lamb, which is in a package of its own: pip install pytorch_optimizer")
        from pytorch_optimizer import Lamb

        lamb: torch.optim.Optimizer = Lamb(listed)
        return lamb
    # torch takes its loop over parameters else on a CPU, where many small ones cost as much as a pass.
    return torch.optim.AdamW(listed, fused=True)
