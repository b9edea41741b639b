"""Start of a new student of any encoder: principal components of the teacher's words, and fitted normalization.

The embedding table starts from the principal components of what the teacher's first layer reads for each word, and the
blocks' normalization from the best scale and shift, per channel, between the layers that are compared. A student of
another width starts in the space of the teacher's first principal components.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mbert_onnx.model.student import Layer, MobileBertModel, NoNorm
from mbert_onnx.training.distillation.layer_pairs import VECTORS, LayerPairs
from mbert_onnx.training.distillation.teachers.interface import Teacher

# Positions over which a word's vector is averaged, words over which a position's vector is, and words in a batch.
AVERAGED_POSITIONS, AVERAGED_WORDS, BATCH_WORDS = 8, 64, 1024
# Standard deviation of the weights that read a word's neighbours in the trigram, of which the teacher says nothing.
NEIGHBOUR_SPREAD = 0.003
# Seed of the words over which a position's vector is averaged, and of the weights of neighbours.
SEED = 0


@dataclass(frozen=True)
class WordComponents:
    """Principal components of the teacher's words.

    Args:
        words: What the teacher's first layer reads for each of the student's words, ``[words, hidden]``.
        mean: Mean of the words ``[hidden]``.
        directions: Orthonormal directions ``[hidden, hidden]`` in rows, that of the largest variance first.
        variances: Variance along each direction ``[hidden]``.
    """

    words: Tensor
    mean: Tensor
    directions: Tensor
    variances: Tensor

    def kept(self, count: int) -> float:
        """Returns the share of the variance that the first `count` components keep."""
        return float(self.variances[:count].sum() / self.variances.sum())

    def projection(self, size: int) -> Tensor:
        """Returns the linear map from the teacher's channels to a student's ``[size, hidden]``.

        For equal sizes it is the identity, otherwise the projection on the first components, with zeros in channels
        that the teacher does not have.
        """
        hidden = len(self.mean)
        if size == hidden:
            return torch.eye(hidden)
        found = torch.zeros(size, hidden)
        found[: min(size, hidden)] = self.directions[:size]
        return found


def word_components(teacher: Teacher, words: int) -> WordComponents:
    """Computes the principal components of the first `words` words of the student's vocabulary."""
    positions = min(AVERAGED_POSITIONS, teacher.shape.positions)
    batches = torch.arange(words).split(BATCH_WORDS)
    vectors = torch.cat([teacher.embedded_words(batch, positions).float().mean(1) for batch in batches])
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(vectors))
    return WordComponents(vectors, mean, directions.T.flip(0).float(), variances.flip(0).clamp_min(0).float())


def initialize_embeddings(student: MobileBertModel, teacher: Teacher, components: WordComponents) -> None:
    """Sets the student's embeddings so that they compute the teacher's, as far as their size allows, in place.

    The embedding of the padding token is zero, and neighbours in the trigram have little weight.
    """
    part, size = student.embeddings, student.config.embedding_size
    count = min(size, len(components.mean))
    generator = torch.Generator().manual_seed(SEED)
    directions = components.directions[:count]
    projection = components.projection(student.config.hidden_size)
    coordinates = (components.words - components.mean) @ directions.T
    scale = coordinates.std()
    with torch.no_grad():
        table = part.word_embeddings.weight
        table.zero_()
        table[: len(coordinates), :count] = coordinates / scale
        if part.word_embeddings.padding_idx is not None:
            table[part.word_embeddings.padding_idx] = 0
        layer = part.embedding_transformation
        layer.weight.normal_(0.0, NEIGHBOUR_SPREAD, generator=generator)
        start = size if part.trigram_input else 0
        layer.weight[:, start : start + count] = projection @ directions.T * scale
        layer.bias.copy_(projection @ components.mean)
        part.token_type_embeddings.weight.zero_()
        positions = _positions(teacher, len(components.words), len(part.position_embeddings.weight), generator)
        part.position_embeddings.weight.zero_()
        part.position_embeddings.weight[: len(positions)] = positions @ projection.T


def _positions(teacher: Teacher, words: int, most: int, generator: torch.Generator) -> Tensor:
    """Returns what each position adds to the mean over positions ``[positions, hidden]``, averaged over words."""
    chosen = torch.randperm(words, generator=generator)[:AVERAGED_WORDS]
    embedded = teacher.embedded_words(chosen, min(most, teacher.shape.positions)).float().mean(0)
    return embedded - embedded[:AVERAGED_POSITIONS].mean(0)


def fit_blocks(
    student: MobileBertModel,
    teacher: Teacher,
    pairs: LayerPairs,
    projection: Tensor,
    maps: nn.ModuleDict,
    batches: Iterable[dict[str, Tensor]],
) -> None:
    """Fits each compared block's normalization, and the bias of its linear map, to the teacher's maps, in place.

    Per channel, γ and β are the least squares fit of the teacher's feature map to the one that is compared before it,
    over the real tokens of some batches: a block then starts as the best map that is computed without its weights.
    Blocks with layer normalization are left as they are.

    Args:
        student: The student.
        teacher: The teacher.
        pairs: The compared layers.
        projection: Linear map from the teacher's channels to the student's ``[student, teacher]``.
        maps: Linear maps from the student's channels to the teacher's.
        batches: Batches in the student's vocabulary.
    """
    states: dict[int, list[Tensor]] = {layer: [] for layer in (-1, *pairs)}
    for batch in batches:
        real = batch["attention_mask"].bool()
        found = teacher.maps(batch, max(pairs.values()) + 1, attentions=False)
        states[-1].append(teacher.embeddings(batch)[real].float())
        for own, theirs in pairs.items():
            states[own].append(found.features[theirs][real].float())
    known = {own: torch.cat(parts) for own, parts in states.items()}
    before = known[-1] @ projection.T
    for own in pairs:
        after = known[own] @ projection.T
        norm = _output_norm(student.encoder.layer[own])  # type: ignore[arg-type]
        with torch.no_grad():
            if isinstance(norm, NoNorm):
                gamma, beta = scale_and_shift(before, after)
                norm.weight.copy_(gamma)
                norm.bias.copy_(beta)
            if str(own) in maps:
                linear = maps[str(own)]
                assert isinstance(linear, nn.Linear)
                linear.weight.copy_(projection.T)
                linear.bias.copy_((known[own] - after @ projection).mean(0))
        before = after
    if VECTORS in maps:
        with torch.no_grad():
            maps[VECTORS].weight.copy_(projection.T)  # type: ignore[operator]


def scale_and_shift(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Returns γ and β of the least squares fit of `after` to γ∘`before` + β, per channel; both ``[tokens, size]``."""
    x, y = before.double(), after.double()
    tiny = torch.finfo(x.dtype).tiny
    gamma = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / x.var(0, correction=0).clamp_min(tiny)
    return gamma, y.mean(0) - gamma * x.mean(0)


def _output_norm(layer: Layer) -> nn.Module:
    """Returns the normalization of a block's output stream."""
    output = layer.output
    return output.LayerNorm if output.bottleneck is None else output.bottleneck.LayerNorm
