"""Pre-training distillation: the words behind masks, the teacher's opinion of them, and which sentence comes next."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

# What transformers' collators write where no word is asked for.
IGNORED = -100


def masked_language_modeling(logits: Tensor, labels: Tensor) -> Tensor:
    """L_MLM: mean cross-entropy of the words behind masks.

    Args:
        logits: ``[batch, seq, vocab]``.
        labels: ``[batch, seq]``, the word's id at a mask and −100 elsewhere.
    """
    asked = labels != IGNORED
    return cross_entropy(logits[asked], labels[asked])


def knowledge_distillation(teacher: Tensor, student: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """L_KD: mean KL(teacher ‖ student) between distributions over the vocabulary, at masks.

    Args:
        teacher: Logits ``[batch, seq, vocab]``.
        student: Likewise.
        labels: ``[batch, seq]``, −100 where no word is asked for.
        temperature: Divides both logits; its square multiplies the loss, which keeps the size of its gradient (Hinton
            et al. 2015, arXiv 1503.02531, section 2). Google's command has 1.
    """
    asked = labels != IGNORED
    return soft_cross_entropy(teacher[asked], student[asked], temperature)


def soft_cross_entropy(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean KL(teacher ‖ student) of logits ``[rows, classes]``: of labels as of words."""
    expected = (teacher / temperature).log_softmax(dim=-1)
    found = (student / temperature).log_softmax(dim=-1)
    return kl_div(found, expected, reduction="batchmean", log_target=True) * temperature**2


def next_sentence_prediction(logits: Tensor, labels: Tensor) -> Tensor:
    """L_NSP: mean cross-entropy of whether the second sentence follows the first.

    Args:
        logits: ``[batch, 2]``.
        labels: ``[batch]``, 0 where it follows and 1 where it does not, as transformers has it.
    """
    return cross_entropy(logits, labels)


def pretraining_distillation(mlm: Tensor, kd: Tensor, nsp: Tensor, alpha: float) -> Tensor:
    """L_PD = α·L_MLM + (1 − α)·L_KD + L_NSP (equation 4); α is a number from 0 to 1."""
    return alpha * mlm + (1 - alpha) * kd + nsp
