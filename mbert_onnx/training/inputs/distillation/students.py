"""Students of a recipe, with the head of their task: new models, checkpoints, and layers of the teacher."""

from __future__ import annotations

from torch import nn

from mbert_onnx.errors import UsageError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.other_berts import is_other_bert
from mbert_onnx.model.padding import pad_with, padding_token_in
from mbert_onnx.model.student import MobileBertForSentenceSimilarity, MobileBertModel
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    PRETRAINING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
    task_named,
    task_of_architectures,
)
from mbert_onnx.training.distillation.shortening import kept_layers, shortened
from mbert_onnx.training.inputs.models import config_in, config_of, new_model, task_model
from mbert_onnx.training.recipe import DistillRecipe

# Tasks whose students read masked words; the others read whole texts.
WORD_TASKS = (PRETRAINING, FILL_MASK)

# Tasks whose outputs on texts without labels can be learnt from the teacher.
DISTILLED_TASKS = (*WORD_TASKS, SENTENCE_SIMILARITY, TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION)


def task_of(student: nn.Module) -> Task:
    """Returns the task of a model of ours."""
    if isinstance(student, MobileBertForSentenceSimilarity):
        return SENTENCE_SIMILARITY
    if isinstance(student, MobileBertModel):
        return FEATURE_EXTRACTION
    task = task_of_architectures([type(student).__name__])
    assert task is not None
    return task


def student_outline(read: DistillRecipe, teacher: str, changes: dict[str, int] | None = None) -> nn.Module:
    """Returns the student: loaded, made of the teacher's layers, or a new one without weights.

    Args:
        read: The recipe.
        teacher: Checkpoint of the teacher.
        changes: Keys of a new student's config.

    Raises UsageError for layers that the teacher does not have, and what does not suit the student's task.
    """
    table = read.student
    task = PRETRAINING if table.task is None else task_named(table.task)
    if table.layers is not None:
        student = _shorter_student(read, teacher)
    elif table.checkpoint is not None:
        student = load_checkpoint(table.checkpoint, task=task.name).model
    else:
        student = new_model(config_of(table, "student", **(changes or {})), task, "student", seed=None)
    _check_task(read, task_of(student))
    return student


def student_model(read: DistillRecipe, outline: nn.Module, vocabulary: dict[str, int]) -> nn.Module:
    """Returns the student with its weights.

    Args:
        read: The recipe.
        outline: The result of `student_outline`.
        vocabulary: Vocabulary of the tokenizer.
    """
    if read.student.layers is None:
        return task_model(read.student, task_of(outline), "student", vocabulary=vocabulary, seed=read.seed + 1)
    pad_with(outline, padding_token_in(vocabulary))
    return outline


def _shorter_student(read: DistillRecipe, teacher: str) -> nn.Module:
    if is_other_bert(teacher):
        raise UsageError(
            f"strategy is shorten, which keeps layers of a MobileBERT, but {teacher} is another encoder; choose "
            "another strategy, with student.preset"
        )
    assert read.student.layers is not None
    whole = load_checkpoint(teacher, task=read.student.task).model
    return shortened(whole, kept_layers(read.student.layers, config_in(whole).num_hidden_layers))


def _check_task(read: DistillRecipe, task: Task) -> None:
    """Raises UsageError for steps and data that the student's task has no use for."""
    if task is FILL_MASK and read.data.next_sentence:
        raise UsageError("data.next_sentence is true, but a fill-mask student has no head for it; set it to false")
    learns_outputs = read.transfer.distillation_steps or read.transfer.strategy == "auxiliary"
    if learns_outputs and task not in DISTILLED_TASKS:
        raise UsageError(
            f"transfer has distillation_steps, but the outputs of {task.name} cannot be learnt from texts without "
            "labels; set distillation_steps to 0, and fine-tune the student"
        )
    if read.training.batch_tokens and task in WORD_TASKS and not read.data.draws_passages:
        raise UsageError(
            "training.batch_tokens is for rows that are drawn at random; give data.passages or data.mix, or batch_size"
        )
