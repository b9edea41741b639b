"""Transfer of sentence vectors: their directions, and the similarities of the sentences of a batch.

A sentence's vector is the mean of its tokens' hidden states, at length 1, as in sentence-transformers (Reimers and
Gurevych 2019, arXiv 1908.10084).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity, kl_div, normalize


def vector_transfer(teacher: Tensor, student: Tensor) -> Tensor:
    """Computes 1 - the mean cosine of the teacher's and the student's vectors ``[batch, width]``.

    The teacher's directions are learnt (Reimers and Gurevych 2020, arXiv 2004.09813, there by the squared error).
    """
    return 1 - cosine_similarity(teacher, student, dim=-1).mean()


def similarity_transfer(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Computes the mean KL(teacher ‖ student) of each sentence's similarities to the others of its batch.

    Args:
        teacher: Vectors ``[batch, width]``.
        student: Vectors ``[batch, width]``; their width may be another one.
        temperature: Divides the cosines before the softmax: the lower it is, the more the nearest sentences count.

    A batch of one sentence has a loss of 0.
    """
    if len(teacher) < 2:
        return student.sum() * 0
    found, expected = (
        (_others(vectors @ vectors.T) / temperature).log_softmax(dim=-1)
        for vectors in (normalize(student, dim=-1), normalize(teacher, dim=-1))
    )
    return kl_div(found, expected, reduction="batchmean", log_target=True)


def _others(similarities: Tensor) -> Tensor:
    """Returns ``[n, n]`` without its diagonal, ``[n, n - 1]``."""
    count = len(similarities)
    return similarities.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)
