"""The models that the paper compares MobileBERT with, with random weights, which suffice for measuring speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mbert_onnx.errors import UsageError
from mbert_onnx.text.tasks import Task

if TYPE_CHECKING:
    from pathlib import Path

# Built-in names, `random:NAME`, with the changes to the config of transformers' class: BERT_BASE (Devlin et al.,
# arXiv 1810.04805), DistilBERT (Sanh et al., arXiv 1910.01108), TinyBERT-4 and -6 (Jiao et al., arXiv 1909.10351,
# section 4.1).
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-base": ("Bert", {}),
    "distilbert": ("DistilBert", {}),
    "tinybert-4": ("Bert", {"num_hidden_layers": 4, "hidden_size": 312, "intermediate_size": 1200}),
    "tinybert-6": ("Bert", {"num_hidden_layers": 6}),
}


def architecture_of(checkpoint: str) -> str | None:
    """Returns the name in `ARCHITECTURES` that a checkpoint's name stands for; None for MobileBERTs."""
    built_in, _, name = checkpoint.partition(":")
    return name if built_in == "random" and name in ARCHITECTURES else None


def save_architecture(name: str, folder: Path, *, task: Task, seed: int) -> Any:
    """Writes an architecture with random weights as a checkpoint in transformers' format; returns its module.

    Raises UsageError for a task for which transformers has no class of this architecture.
    """
    import torch
    import transformers

    family, changes = ARCHITECTURES[name]
    architecture = task.architecture.replace("MobileBert", family)
    if not hasattr(transformers, architecture):
        raise UsageError(f"--task is {task.name}, which transformers has no class of random:{name} for; choose another")
    torch.manual_seed(seed)
    model = getattr(transformers, architecture)(getattr(transformers, f"{family}Config")(**changes))
    model.save_pretrained(folder)
    return model
