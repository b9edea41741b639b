"""Our own models as teachers: IB-BERT and MobileBERT, with or without heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mbert_onnx.model.checkpoint import backbone_of
from mbert_onnx.model.student import MobileBertModel, PretrainingHeads
from mbert_onnx.training.distillation.layer_maps import Maps, maps_of
from mbert_onnx.training.distillation.teachers.interface import EncoderShape, Teacher, parameters_of


class MobileBertTeacher(Teacher):
    """An IB-BERT or a MobileBERT.

    Args:
        model: A task's model, or the bare one.
        known_ids: As in `Teacher`.
    """

    def __init__(self, model: nn.Module, known_ids: Tensor | None = None) -> None:
        self.backbone = backbone_of(model)
        super().__init__(model, shape_of(self.backbone), known_ids)
        heads = getattr(model, "cls", None)
        self._heads = heads if isinstance(heads, PretrainingHeads) and hasattr(heads, "predictions") else None
        self.predicts = self._heads is not None

    def maps(self, batch: dict[str, Tensor], depth: int, *, attentions: bool = True, projections: bool = False) -> Maps:
        inputs = self.ids(batch["input_ids"]), batch["attention_mask"], batch["token_type_ids"]
        with torch.no_grad():
            return maps_of(self.backbone, *inputs, depth, projections=projections)

    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        ids = self.ids(batch["input_ids"])
        with torch.no_grad():
            return self.backbone.embeddings(ids, batch["token_type_ids"]).view(*ids.shape, -1)

    def embedded_words(self, words: Tensor, positions: int) -> Tensor:
        part = self.backbone.embeddings
        with torch.no_grad():
            x = part.word_embeddings(self.ids(words))
            if part.transforms:
                # Of the trigram, the word itself; its neighbours are zero.
                width = x.shape[1]
                middle = slice(width, 2 * width) if part.trigram_input else slice(None)
                layer = part.embedding_transformation
                x = nn.functional.linear(x, layer.weight[:, middle], layer.bias)
            around = part.position_embeddings.weight[:positions] + part.token_type_embeddings.weight[0]
            found: Tensor = part.LayerNorm(x[:, None] + around)
        return found

    def predictions(self, hidden: Tensor) -> Tensor:
        if self._heads is None:
            return super().predictions(hidden)
        with torch.no_grad():
            logits: Tensor = self._heads.predictions(hidden)
        return logits if self.known_ids is None else logits[:, self.known_ids]


def shape_of(backbone: MobileBertModel) -> EncoderShape:
    """Returns the shape of one of our models."""
    config = backbone.config
    queries = backbone.encoder.layer[0].attention.self.query  # type: ignore[union-attr]
    assert isinstance(queries, nn.Linear)
    kind = "IB-BERT" if config.model_type == "ib_bert" else "MobileBERT"
    return EncoderShape(
        name=kind,
        parameters=parameters_of(backbone),
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        heads=config.num_attention_heads,
        projected_size=queries.out_features,
        positions=config.max_position_embeddings,
    )
