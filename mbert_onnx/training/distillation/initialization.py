"""Initialization of the student from the teacher: embeddings, pooler and heads are copied (section 3.5)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mbert_onnx.errors import TrainingError
from mbert_onnx.model.student import MobileBertForPreTraining, NoNorm

# Config keys that must be equal, since weights are copied and maps are compared layer by layer.
SHARED = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "type_vocab_size",
    "trigram_input",
)


def check_pair(teacher: MobileBertForPreTraining, student: MobileBertForPreTraining) -> None:
    """Raises TrainingError if the shapes of teacher and student do not allow layer transfer."""
    for key in SHARED:
        theirs, own = getattr(teacher.config, key), getattr(student.config, key)
        if theirs != own:
            raise TrainingError(
                f"the teacher's {key} is {theirs}, the student's {own}; expected the same value, since embeddings "
                "are copied and maps are compared layer by layer"
            )
    theirs, own = teacher.config.max_position_embeddings, student.config.max_position_embeddings
    if own > theirs:
        raise TrainingError(
            f"the student has {own} positions, the teacher {theirs}; expected no more than the teacher's"
        )


def copy_shared_weights(teacher: MobileBertForPreTraining, student: MobileBertForPreTraining) -> list[str]:
    """Copies embeddings, pooler and heads into the student and returns the names of the parameters.

    Position embeddings are truncated to the student's number. Its NoNorm is initialized by `fit_normalization`.
    """
    source = dict(teacher.named_parameters())
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


def fit_normalization(
    teacher: MobileBertForPreTraining, student: MobileBertForPreTraining, batches: Iterable[dict[str, Tensor]]
) -> None:
    """Fits γ and β of the embeddings' NoNorm to the teacher's layer normalization.

    For each channel they are the least squares fit of the normalized to the unnormalized embeddings of the teacher,
    over the real tokens of some batches. A student with layer normalization keeps the copied weights.
    """
    ours = student.mobilebert.embeddings.LayerNorm
    if isinstance(ours, nn.LayerNorm):
        return
    assert isinstance(ours, NoNorm)
    theirs = teacher.mobilebert.embeddings
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
    x, y = torch.cat(before)[real].double(), torch.cat(after)[real].double()
    gamma = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / x.var(0, correction=0).clamp_min(torch.finfo(x.dtype).tiny)
    with torch.no_grad():
        ours.weight.copy_(gamma)
        ours.bias.copy_(y.mean(0) - gamma * x.mean(0))
