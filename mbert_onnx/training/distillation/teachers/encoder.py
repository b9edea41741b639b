"""Any encoder of transformers as a teacher: BERT and its relatives, DistilBERT, ELECTRA, MPNet, ModernBERT …"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.other_berts import positions_of
from mbert_onnx.training.distillation.layer_maps import Maps, recorded
from mbert_onnx.training.distillation.teachers.interface import EncoderShape, Teacher, parameters_of
from mbert_onnx.training.distillation.teachers.layer_stack import LayerStack, layer_stacks
from mbert_onnx.training.distillation.teachers.projections import projecting_layers, projections_of
from mbert_onnx.training.distillation.teachers.word_head import WordHead

# Tokens of the row on which a new teacher is tried.
TRIED_TOKENS = 8


class EncoderTeacher(Teacher):
    """An encoder in transformers' own class.

    Args:
        model: The encoder, or a model of masked words with its head.
        name: The checkpoint's name, for errors.
        known_ids: As in `Teacher`.

    Raises CheckpointError for a model that does not return a feature map of each layer.
    """

    def __init__(self, model: PreTrainedModel, name: str, known_ids: Tensor | None = None) -> None:
        self.encoder: Any = model.base_model
        super().__init__(model, _shape_of(self.encoder), known_ids)
        self._name = name
        self._arguments = inspect.signature(self.encoder.forward).parameters
        self._projecting = projecting_layers(self.encoder)
        self._head = None if self.encoder is model else WordHead(model)
        self.predicts = self._head is not None
        self._stack: LayerStack | None = None
        self._try()
        self._stack = self._found_stack()

    def maps(self, batch: dict[str, Tensor], depth: int, *, attentions: bool = True, projections: bool = False) -> Maps:
        output, recordings = self._run(batch, depth, attentions, projections)
        features = list(output.hidden_states[1:])
        if depth == self.shape.layers:
            # Normalized once more in some classes, as heads read it.
            features[-1] = output.last_hidden_state
        return Maps(features, list(output.attentions or ()), projections_of(recordings) if projections else [])

    def predictions(self, hidden: Tensor) -> Tensor:
        if self._head is None:
            return super().predictions(hidden)
        with torch.no_grad():
            logits = self._head(hidden)
        return logits if self.known_ids is None else logits[:, self.known_ids]

    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        found: Tensor = self._run(batch, 0)[0].hidden_states[0]
        return found

    def check_relations(self) -> None:
        """Raises CheckpointError if queries, keys and values are not found in this class."""
        self._try(projections=True)

    def _run(
        self, batch: dict[str, Tensor], depth: int, attentions: bool = False, projections: bool = False
    ) -> tuple[Any, list[list[Tensor]]]:
        """Runs the encoder, at least its first `depth` layers; returns its output and the recorded projections."""
        options: dict[str, Any] = {"attention_mask": batch["attention_mask"]}
        if "token_type_ids" in self._arguments:
            types = int(getattr(self.encoder.config, "type_vocab_size", 0) or 0)
            options["token_type_ids"] = batch["token_type_ids"].clamp(max=max(types - 1, 0))
        cut = self._stack.cut(max(depth, 1)) if self._stack is not None else nullcontext()
        with torch.no_grad(), cut, recorded(self._projecting if projections else []) as recordings:
            output = self.encoder(
                input_ids=self.ids(batch["input_ids"]),
                output_hidden_states=True,
                output_attentions=attentions,
                return_dict=True,
                **options,
            )
        return output, recordings

    def _try(self, *, projections: bool = False) -> None:
        """Runs one row and checks the shapes of what transfer needs."""
        batch, shape = self._tried_batch(), self.shape
        known, self.known_ids = self.known_ids, None
        try:
            output, recordings = self._run(batch, shape.layers, projections=projections)
            sizes = {tuple(states.shape) for states in output.hidden_states[1:]}
            has_maps = len(output.hidden_states) == shape.layers + 1 and sizes == {(1, TRIED_TOKENS, shape.hidden_size)}
        except Exception as error:  # classes fail in ways of their own
            reason = " ".join(str(error).split())
            raise CheckpointError(f"teacher {self._name} ({shape.name}) cannot be run ({reason})") from error
        finally:
            self.known_ids = known
        if not has_maps:
            raise CheckpointError(
                f"teacher {self._name} ({shape.name}) does not return a feature map of each of its {shape.layers} "
                f"layers and {shape.hidden_size} channels; expected an encoder such as BERT"
            )
        if projections and not (
            recordings
            and all(len(group) == shape.layers for group in recordings)
            and all(output.shape[:2] == (1, TRIED_TOKENS) for group in recordings for output in group)
        ):
            raise CheckpointError(
                f"teacher {self._name} ({shape.name}) has no queries, keys and values that relations could compare; "
                "set transfer.relations to 0, or give the student as many heads as the teacher, "
                f"{shape.heads}, for attention transfer"
            )

    def _tried_batch(self) -> dict[str, Tensor]:
        ids = torch.zeros(1, TRIED_TOKENS, dtype=torch.long, device=self.encoder.device)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}

    def _found_stack(self) -> LayerStack | None:
        """Returns the list of layers, if the encoder runs with a part of it; None computes all layers."""
        batch = self._tried_batch()
        expected = self._run(batch, 0)[0].hidden_states[:2]
        for stack in layer_stacks(self.encoder, self.shape.layers):
            try:
                with stack.cut(1):
                    found = self._run(batch, 0)[0].hidden_states
                if len(found) == 2 and all(map(torch.equal, found, expected)):
                    return stack
            except Exception:  # a class that counts its layers in another way
                continue
        return None


def _shape_of(encoder: Any) -> EncoderShape:
    config = encoder.config
    projecting = projecting_layers(encoder)
    projected = int(projecting[0][0].out_features) if projecting else config.hidden_size
    return EncoderShape(
        name=type(encoder).__name__,
        parameters=parameters_of(encoder),
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        heads=config.num_attention_heads,
        projected_size=projected // 3 if len(projecting) == 1 else projected,
        positions=positions_of(encoder),
    )
