"""What the student gets from the teacher as it is: the embeddings and the heads (section 3.5)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mbert_onnx.errors import TrainingError
from mbert_onnx.model.student import MobileBertForPreTraining, NoNorm

# Sizes that the two must share: what is handed over, and what is compared layer by layer.
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
    """Raises TrainingError where the student cannot learn from the teacher layer by layer."""
    for key in SHARED:
        theirs, own = getattr(teacher.config, key), getattr(student.config, key)
        if theirs != own:
            raise TrainingError(
                f"the teacher's {key} is {theirs}, the student's {own}; expected the same, since embeddings are handed "
                "over, and maps compared layer by layer"
            )
    theirs, own = teacher.config.max_position_embeddings, student.config.max_position_embeddings
    if own > theirs:
        raise TrainingError(
            f"the student has {own} positions, the teacher {theirs}; expected no more than the teacher's"
        )


def hand_over(teacher: MobileBertForPreTraining, student: MobileBertForPreTraining) -> list[str]:
    """Copies embeddings, pooler and heads into the student; gives the parameters' names.

    Of positions it takes as many as it has. Its normalization cannot be the teacher's: see `fit_normalization`.
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
    """Gives the embeddings' NoNorm the γ and β with which it comes nearest to the teacher's layer normalization.

    For each channel that is a regression of what the teacher's embeddings give on what they are before they are
    normalized, over the real tokens of some batches. A student that normalizes as the teacher does keeps the copy.
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
