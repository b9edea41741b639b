"""Interface of a teacher: its shape, its maps, its predictions of words and its sentence vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mbert_onnx.model.student import MeanPooling
from mbert_onnx.training.distillation.layer_maps import Maps

# Names of sentence-transformers: the mean over tokens, the state of the first token, the maximum over tokens.
MEAN, CLS, MAX = POOLINGS = ("mean", "cls", "max")


@dataclass(frozen=True)
class EncoderShape:
    """Shape of an encoder.

    Args:
        name: Name of its class, such as `BertModel`.
        parameters: Number of its parameters, without heads.
        layers: Number of layers.
        hidden_size: Channels of its feature maps.
        heads: Attention heads of a layer.
        projected_size: Channels of its queries, of all heads together.
        positions: Largest number of tokens in a row.
    """

    name: str
    parameters: int
    layers: int
    hidden_size: int
    heads: int
    projected_size: int
    positions: int


def parameters_of(encoder: nn.Module) -> int:
    """Returns the number of an encoder's parameters, without its pooler."""
    return sum(p.numel() for name, p in encoder.named_parameters() if not name.startswith("pooler."))


class Teacher(ABC):
    """A frozen teacher. It is no module, so that a stage's module neither trains nor saves it.

    Args:
        model: Its module; it is set to evaluation mode, and none of its parameters is trained.
        shape: Its shape.
        known_ids: The teacher's token id for each of the student's, ``[words]``; None if they are the same.
    """

    predicts = False
    """True if it predicts masked words."""

    pooling = MEAN
    """Pooling of hidden states into sentence vectors, a name in `POOLINGS`."""

    def __init__(self, model: nn.Module, shape: EncoderShape, known_ids: Tensor | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.shape = shape
        self.known_ids = known_ids

    def to(self, device: torch.device) -> None:
        """Moves the teacher to a device."""
        self.model.to(device)
        if self.known_ids is not None:
            self.known_ids = self.known_ids.to(device)

    def ids(self, input_ids: Tensor) -> Tensor:
        """Returns the teacher's token ids for the student's."""
        return input_ids if self.known_ids is None else self.known_ids[input_ids]

    @abstractmethod
    def maps(self, batch: dict[str, Tensor], depth: int, *, attentions: bool = True, projections: bool = False) -> Maps:
        """Computes the maps of at least the first `depth` layers, without gradients.

        Args:
            batch: `input_ids`, in the student's vocabulary, `attention_mask` and `token_type_ids` ``[batch, seq]``.
            depth: Number of layers.
            attentions, projections: Which maps are needed beside the feature maps.
        """

    @abstractmethod
    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        """Computes the input of the first layer ``[batch, seq, hidden]``, without gradients."""

    def embedded_words(self, words: Tensor, positions: int) -> Tensor:
        """Computes the input of the first layer for each word at each position ``[words, positions, hidden]``.

        Args:
            words: Token ids of the student ``[words]``.
            positions: Number of positions, from the first.
        """
        rows = words[:, None].expand(-1, positions)
        mask, types = torch.ones_like(rows), torch.zeros_like(rows)
        return self.embeddings({"input_ids": rows, "attention_mask": mask, "token_type_ids": types})

    def predictions(self, hidden: Tensor) -> Tensor:
        """Computes logits of the student's words ``[tokens, words]``, without gradients.

        Args:
            hidden: Outputs of the last layer ``[tokens, hidden]``.

        Raises ValueError if the teacher predicts no words.
        """
        raise ValueError(f"{self.shape.name} has no head for masked words")

    def vectors(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Computes sentence vectors of length 1 ``[batch, hidden]``.

        Args:
            hidden: Outputs of the last layer ``[batch, seq, hidden]``.
            mask: ``[batch, seq]``, 1 for a token and 0 for padding.
        """
        if self.pooling == CLS:
            return normalize(hidden[:, 0], dim=-1)
        if self.pooling == MAX:
            return normalize(hidden.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1), dim=-1)
        mean: Tensor = MeanPooling()(hidden, mask)
        return mean
