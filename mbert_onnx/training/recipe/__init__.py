"""Recipes of trainings: the tables and keys of their TOML files, with types, limits and defaults."""

from mbert_onnx.training.recipe.distillation import DistillRecipe, StudentTable, TransferTable
from mbert_onnx.training.recipe.finetuning import FinetuneRecipe, TaskTable
from mbert_onnx.training.recipe.reading import read_recipe
from mbert_onnx.training.recipe.tables import (
    CorpusTable,
    FilesTable,
    MixTable,
    ModelTable,
    PretrainRecipe,
    TokenizerTable,
    TrainingTable,
)

__all__ = [
    "CorpusTable",
    "DistillRecipe",
    "FilesTable",
    "FinetuneRecipe",
    "MixTable",
    "ModelTable",
    "PretrainRecipe",
    "StudentTable",
    "TaskTable",
    "TokenizerTable",
    "TrainingTable",
    "TransferTable",
    "read_recipe",
]
