"""Initialization of the student from the teacher: embeddings, pooler and heads are copied (section 3.5)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mbert_onnx.errors import TrainingError
from mbert_onnx.model.checkpoint import backbone_of
from mbert_onnx.model.student import MobileBertModel, NoNorm
from mbert_onnx.training.distillation.principal_components import scale_and_shift
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import MobileBertTeacher

# Config keys that are equal where weights are copied and maps are compared layer by layer, as in the paper.
SHARED = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "type_vocab_size",
    "trigram_input",
)


def shares_shape(teacher: Teacher, student: nn.Module) -> bool:
    """True if the teacher is one of our models, of a shape that allows its embeddings and heads to be copied."""
    if not isinstance(teacher, MobileBertTeacher) or teacher.known_ids is not None:
        return False
    theirs = teacher.backbone.config
    return all(getattr(theirs, key) == getattr(backbone_of(student).config, key) for key in SHARED)


def check_positions(teacher: Teacher, student: nn.Module) -> None:
    """Raises TrainingError for a student with more positions than the teacher, which it could not learn."""
    theirs, own = teacher.shape.positions, backbone_of(student).config.max_position_embeddings
    if own > theirs:
        raise TrainingError(
            f"the student has {own} positions, the teacher {theirs}; give max_position_embeddings = {theirs} or less "
            "in student.config"
        )


def copy_shared_weights(teacher: nn.Module, student: nn.Module) -> list[str]:
    """Copies embeddings, pooler and heads into the student and returns the names of the parameters.

    Position embeddings are truncated to the student's number. Its NoNorm is initialized by `fit_normalization`.
    """
    # The bare model's names lack the prefix.
    prefix = "mobilebert." if isinstance(teacher, MobileBertModel) else ""
    source = {f"{prefix}{name}": parameter for name, parameter in teacher.named_parameters()}
    copied = []
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if ".encoder." in name or name not in source:
                continue
            value: Tensor = source[name]
            if name.endswith("position_embeddings.weight"):
                value = value[: len(parameter)]
            parameter.copy_(value)
            copied.append(name)
    return copied


def fit_normalization(teacher: nn.Module, student: nn.Module, batches: Iterable[dict[str, Tensor]]) -> None:
    """Fits γ and β of the embeddings' NoNorm to the teacher's layer normalization.

    For each channel they are the least squares fit of the normalized to the unnormalized embeddings of the teacher,
    over the real tokens of some batches. A student with layer normalization keeps the copied weights.
    """
    ours = backbone_of(student).embeddings.LayerNorm
    if isinstance(ours, nn.LayerNorm):
        return
    assert isinstance(ours, NoNorm)
    theirs = backbone_of(teacher).embeddings
    before, after = [], []

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        before.append(inputs[0].detach())
        after.append(output.detach())

    hook = theirs.LayerNorm.register_forward_hook(keep)
    was_training = theirs.training
    theirs.eval()
    try:
        with torch.no_grad():
            kept = []
            for batch in batches:
                theirs(batch["input_ids"], batch["token_type_ids"])
                kept.append(batch["attention_mask"].flatten().bool())
    finally:
        hook.remove()
        theirs.train(was_training)
    real = torch.cat(kept)
    gamma, beta = scale_and_shift(torch.cat(before)[real], torch.cat(after)[real])
    with torch.no_grad():
        ours.weight.copy_(gamma)
        ours.bias.copy_(beta)
