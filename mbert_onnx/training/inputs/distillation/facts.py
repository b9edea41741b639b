"""Facts of a distillation: teacher and student, and what is compared between them, each in a line."""

from __future__ import annotations

from torch import nn

from mbert_onnx.model.checkpoint import backbone_of
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY
from mbert_onnx.training.distillation.layer_pairs import LayerPairs
from mbert_onnx.training.distillation.objectives.relations import relation_heads
from mbert_onnx.training.distillation.principal_components import word_components
from mbert_onnx.training.distillation.teachers.interface import EncoderShape, Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import shape_of
from mbert_onnx.training.inputs.distillation.students import WORD_TASKS, task_of
from mbert_onnx.training.inputs.distillation.teachers import words_in
from mbert_onnx.training.inputs.models import config_in
from mbert_onnx.training.recipe import DistillRecipe, TransferTable

Fact = tuple[str, str]
"""Name of a fact, and the fact."""


def facts_of(
    read: DistillRecipe, teacher: Teacher, student: nn.Module, pairs: LayerPairs, *, copies: bool
) -> list[Fact]:
    """Returns the facts of a distillation.

    Args:
        read: The recipe.
        teacher: The teacher, with the student's vocabulary.
        student: The student, also without weights.
        pairs: The compared layers.
        copies: Whether embeddings and heads are copied.
    """
    theirs, own = teacher.shape, shape_of(backbone_of(student))
    return [
        ("teacher", _described(theirs)),
        ("student", _described(own)),
        ("layers", ", ".join(f"{mine + 1} ← {its + 1}" for mine, its in pairs.items())),
        ("feature maps", _feature_maps(theirs, own, pairs, read.transfer)),
        ("attention", _attention(theirs, own, read.transfer)),
        ("vocabulary", _vocabulary(teacher, config_in(student).vocab_size)),
        ("embeddings", _embeddings(read, teacher, student, copies=copies)),
        ("objectives", _objectives(read, teacher, own, student)),
    ]


def _described(shape: EncoderShape) -> str:
    return (
        f"{shape.name}, {shape.parameters:,} parameters: {shape.layers} layers of {shape.hidden_size} channels, "
        f"{shape.heads} heads"
    )


def _feature_maps(theirs: EncoderShape, own: EncoderShape, pairs: LayerPairs, table: TransferTable) -> str:
    if not (table.feature_maps or table.normalized_feature_maps or table.means or table.variances):
        return "not compared, since their weights are 0"
    if theirs.hidden_size == own.hidden_size:
        return "compared directly"
    size = len(pairs) * (own.hidden_size + 1) * theirs.hidden_size
    return (
        f"through a linear map of each layer from {own.hidden_size} to {theirs.hidden_size} channels, {size:,} "
        "parameters that are not saved with the student"
    )


def _attention(theirs: EncoderShape, own: EncoderShape, table: TransferTable) -> str:
    if theirs.heads == own.heads:
        return "head by head" if table.attention else "not compared, since transfer.attention is 0"
    counts = f"the student has {own.heads} attention heads, the teacher {theirs.heads}"
    if not table.relations:
        return f"not compared: {counts}, and transfer.relations is 0"
    heads = relation_heads(theirs.projected_size, own.projected_size, theirs.heads)
    return f"relations among queries, keys and values in {heads} relation heads, since {counts}"


def _vocabulary(teacher: Teacher, words: int) -> str:
    whole = len(words_in(teacher))
    if teacher.known_ids is None:
        return f"the teacher's, {words:,} words"
    return f"{words:,} of the teacher's {whole:,} words"


def _embeddings(read: DistillRecipe, teacher: Teacher, student: nn.Module, *, copies: bool) -> str:
    config = config_in(student)
    if copies:
        return "copied from the teacher, as are the heads"
    if read.student.layers is not None:
        return "the teacher's, as are layers and head"
    if read.student.preset is None:
        return "the student's own"
    components = word_components(teacher, config.vocab_size)
    count = min(config.embedding_size, teacher.shape.hidden_size)
    return (
        f"{count} principal components of the teacher's words, which keep {components.kept(count):.1%} of their "
        "variance; zero for padding"
    )


def _objectives(read: DistillRecipe, teacher: Teacher, own: EncoderShape, student: nn.Module) -> str:
    table, task = read.transfer, task_of(student)
    names = ["feature_maps", "normalized_feature_maps", "means", "variances"]
    names.append("attention" if teacher.shape.heads == own.heads else "relations")
    layers = [f"{name} × {getattr(table, name):g}" for name in names if getattr(table, name)]
    if task in WORD_TASKS and teacher.predicts:
        last = [f"masked words × {table.alpha:g}", f"teacher logits × {1 - table.alpha:g}"]
    elif task in WORD_TASKS:
        last = ["masked words (the teacher has no head for them)"]
    elif task is SENTENCE_SIMILARITY:
        last = [f"{name} × {getattr(table, name):g}" for name in ("vectors", "similarities") if getattr(table, name)]
    else:
        last = ["teacher logits"]
    return f"{', '.join(layers) or 'none'} of layers; {', '.join(last) or 'none'} of the task"
