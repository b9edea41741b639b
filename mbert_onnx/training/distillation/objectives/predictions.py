"""Pre-training distillation: masked words, the teacher's distribution over them, and next-sentence prediction."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

# Label of positions without a loss, as in transformers' collators.
IGNORED = -100


def masked_language_modeling(logits: Tensor, labels: Tensor) -> Tensor:
    """Computes L_MLM: mean cross-entropy of the masked words.

    Args:
        logits: ``[batch, seq, vocab]``.
        labels: ``[batch, seq]``, the word's id at a masked position and −100 elsewhere.
    """
    masked = labels != IGNORED
    return cross_entropy(logits[masked], labels[masked])


def knowledge_distillation(teacher: Tensor, student: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Computes L_KD: mean KL(teacher ‖ student) over the vocabulary at masked positions.

    Args:
        teacher: Logits ``[batch, seq, vocab]``.
        student: Logits ``[batch, seq, vocab]``.
        labels: ``[batch, seq]``, −100 at positions that are not masked.
        temperature: Divides both logits; the loss is multiplied by its square, which keeps the scale of the gradient
            (Hinton et al. 2015, arXiv 1503.02531, section 2). Google's command uses 1.
    """
    masked = labels != IGNORED
    return soft_cross_entropy(teacher[masked], student[masked], temperature)


def soft_cross_entropy(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """Computes the mean KL(teacher ‖ student) of logits ``[rows, classes]``."""
    expected = (teacher / temperature).log_softmax(dim=-1)
    found = (student / temperature).log_softmax(dim=-1)
    return kl_div(found, expected, reduction="batchmean", log_target=True) * temperature**2


def next_sentence_prediction(logits: Tensor, labels: Tensor) -> Tensor:
    """Computes L_NSP: mean cross-entropy of next-sentence prediction.

    Args:
        logits: ``[batch, 2]``.
        labels: ``[batch]``, 0 if the second part follows the first and 1 if not, as in transformers.
    """
    return cross_entropy(logits, labels)


def pretraining_distillation(mlm: Tensor, kd: Tensor, nsp: Tensor, alpha: float) -> Tensor:
    """Computes L_PD = α·L_MLM + (1 − α)·L_KD + L_NSP (equation 4); α is a number from 0 to 1."""
    return alpha * mlm + (1 - alpha) * kd + nsp
