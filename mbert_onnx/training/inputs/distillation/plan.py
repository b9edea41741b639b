"""Plan of a distillation from its recipe: teacher, compared layers, stages, tokenizer and weights of objectives."""

from __future__ import annotations

from torch import nn

from mbert_onnx.errors import UsageError
from mbert_onnx.model.checkpoint import checkpoint_folder
from mbert_onnx.model.checkpoint_tokenizer.loading import has_tokenizer
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY
from mbert_onnx.training.distillation.layer_pairs import LayerPairs, layer_pairs
from mbert_onnx.training.distillation.loss import ObjectiveWeights
from mbert_onnx.training.distillation.strategies import Stage, stages_of
from mbert_onnx.training.distillation.teachers.encoder import EncoderTeacher
from mbert_onnx.training.distillation.teachers.interface import MEAN, Teacher
from mbert_onnx.training.inputs.distillation.students import WORD_TASKS, task_of
from mbert_onnx.training.inputs.distillation.teachers import load_teacher, sentence_pooling
from mbert_onnx.training.inputs.models import config_in
from mbert_onnx.training.recipe import DistillRecipe, TokenizerTable, TransferTable


def learning_rate_of(stage: Stage, read: DistillRecipe) -> float:
    """Returns the peak learning rate of a stage."""
    own_rate = read.transfer.distillation_learning_rate if stage.predicts else None
    return own_rate or read.training.learning_rate


def teaches(read: DistillRecipe) -> bool:
    """Returns whether the student learns from the teacher, and not only uses its tokenizer."""
    return read.transfer.strategy != "none"


def compared_layers(read: DistillRecipe, layers: int, teacher: Teacher | None) -> LayerPairs:
    """Returns the compared layers of a student with that many layers."""
    chosen = "last" if read.transfer.strategy == "shorten" else read.transfer.layers
    return layer_pairs(chosen, layers, layers if teacher is None else teacher.shape.layers)


def planned_stages(
    read: DistillRecipe, student: nn.Module, pairs: LayerPairs, *, trains_embeddings: bool = False
) -> list[Stage]:
    """Returns the stages of a student. Raises UsageError for numbers of steps that do not suit the strategy."""
    table = read.transfer
    if read.training.steps is not None:
        raise UsageError("training.steps is for pretrain; distill has transfer.steps and transfer.distillation_steps")
    if table.steps + table.distillation_steps == 0:
        raise UsageError("transfer.steps and transfer.distillation_steps are both 0; expected some steps")
    return stages_of(
        table.strategy,
        layers=config_in(student).num_hidden_layers,
        transfer_steps=table.steps,
        distillation_steps=table.distillation_steps,
        lower_rate=table.lower_rate,
        # The pooler belongs to the head of other tasks.
        next_sentence=read.data.next_sentence or task_of(student) not in WORD_TASKS,
        compared=list(pairs),
        trains_embeddings=trains_embeddings,
    )


def teacher_checkpoint(read: DistillRecipe) -> str:
    """Returns the checkpoint of the teacher. Raises UsageError for a preset."""
    if read.teacher.checkpoint is None:
        raise UsageError("teacher has a preset, which has random weights; give the checkpoint of a trained teacher")
    return read.teacher.checkpoint


def teacher_of(read: DistillRecipe, student: nn.Module) -> Teacher | None:
    """Returns the teacher of a student, which may have no weights; None if the student learns without.

    Raises CheckpointError for a teacher that cannot be read or does not compute what the recipe compares.
    """
    if not teaches(read):
        return None
    table, checkpoint, heads = read.transfer, teacher_checkpoint(read), config_in(student).num_attention_heads
    pooling = sentence_pooling(checkpoint) if task_of(student) is SENTENCE_SIMILARITY else MEAN
    teacher = load_teacher(checkpoint, heads=heads if table.attention else None)
    teacher.pooling = pooling
    if isinstance(teacher, EncoderTeacher) and teacher.shape.heads != heads and table.relations:
        teacher.check_relations()
    return teacher


def tokenizer_of(read: DistillRecipe) -> TokenizerTable:
    """Returns the tokenizer of the student: the teacher's, or its own if it is a checkpoint with one."""
    folder = checkpoint_folder(teacher_checkpoint(read))
    if read.student.checkpoint is not None and has_tokenizer(checkpoint_folder(read.student.checkpoint)):
        folder = checkpoint_folder(read.student.checkpoint)
    if read.tokenizer is None:
        return TokenizerTable(folder=folder)
    return TokenizerTable(
        folder=folder, vocab_size=read.tokenizer.vocab_size, min_frequency=read.tokenizer.min_frequency
    )


def objective_weights(table: TransferTable) -> ObjectiveWeights:
    """Returns the weights of the objectives in a recipe."""
    return ObjectiveWeights(
        feature_maps=table.feature_maps,
        normalized_feature_maps=table.normalized_feature_maps,
        means=table.means,
        variances=table.variances,
        attention=table.attention,
        relations=table.relations,
        alpha=table.alpha,
        temperature=table.temperature,
        vectors=table.vectors,
        similarities=table.similarities,
        similarity_temperature=table.similarity_temperature,
    )
