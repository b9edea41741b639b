"""Head of masked words of an encoder of transformers, apart from its encoder."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class WordHead:
    """Head of masked words of any class that `AutoModelForMaskedLM` loads.

    Classes name and call the layers of their heads differently. Therefore this is the whole model, without a copy of
    its weights, in which a module that returns given hidden states takes the place of the encoder.

    Args:
        model: The model with its head.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._hidden = _GivenStates()
        self._model = copy.copy(model)
        self._model._modules = {**model._modules, model.base_model_prefix: self._hidden}

    def __call__(self, hidden: Tensor) -> Tensor:
        """Computes logits ``[tokens, vocab]`` of hidden states ``[tokens, hidden]``."""
        self._hidden.states = hidden[None]
        ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
        logits: Tensor = self._model(input_ids=ids).logits
        return logits[0]


class _GivenStates(nn.Module):
    states: Tensor

    def forward(self, *_args: Any, **_options: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.states)  # type: ignore[arg-type]
