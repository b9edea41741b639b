"""Tables of `mbert-onnx distill`: the student, its vocabulary, and what it learns from the teacher."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mbert_onnx.training.distillation.strategies import STRATEGIES
from mbert_onnx.training.recipe.tables import (
    MAX_VOCABULARY,
    CorpusTable,
    Count,
    CountOrZero,
    ModelTable,
    Recipe,
    Share,
    Table,
    TrainingTable,
    Weight,
)

LayerCount = Annotated[int, Field(ge=1, le=1000)]
LayerNumber = Annotated[int, Field(ge=0, le=1000)]


class StudentTable(ModelTable):
    """`[student]`: a checkpoint, a new model, or layers of the teacher.

    Args:
        task: What the student learns in the end, and how it is saved: `pretraining` (masked words and next sentences)
            or `sentence-similarity` (the teacher's sentence vectors). Default: `pretraining`; with `layers`, the
            teacher's task.
        layers: With the strategy `shorten`: the number of the teacher's first layers that the student keeps, or their
            numbers, from 0.
    """

    task: Literal["pretraining", "sentence-similarity"] | None = None
    layers: LayerCount | Annotated[list[LayerNumber], Field(min_length=1)] | None = None

    def _check_source(self) -> None:
        if self.layers is None:
            super()._check_source()
        elif self.checkpoint or self.preset or self.config or self.word_embeddings or self.word_layer:
            raise ValueError("layers are taken from the teacher; leave out checkpoint, preset and what belongs to them")


class ReducedTokenizerTable(Table):
    """`[tokenizer]` of distillation: the words of the teacher's tokenizer that a new student keeps.

    Args:
        vocab_size: Largest number of words to keep, the most frequent in the data.
        min_frequency: Words that are less frequent in the data are left out.
    """

    vocab_size: Annotated[int, Field(ge=1, le=MAX_VOCABULARY)]
    min_frequency: Count = 2


class TransferTable(Table):
    """`[transfer]`: knowledge transfer from the teacher to the student (sections 3.4 and 3.5 of the paper).

    Args:
        strategy: `progressive`, `joint`, `auxiliary`, `none` or `shorten`.
        steps: Steps of layer transfer; progressive transfer divides them among the layers.
        distillation_steps: Steps of distillation after it.
        distillation_learning_rate: Peak learning rate of distillation; default: `training.learning_rate`.
        lower_rate: Progressive transfer multiplies the learning rate of lower layers by this factor; 0 freezes them.
        layers: The teacher's layer, from 1, with which each layer of the student is compared: `uniform`, equally
            spaced; `last`, the last layers alone; or a list with one number for each of the student's layers, 0 for
            none.
        feature_maps: Weight of feature map transfer, L_FMT.
        normalized_feature_maps, means, variances: Weights of the two parts of L_FMT: the normalized maps, and their
            statistics. Google's command uses 100, 5000 and 5, with 0 for `feature_maps`.
        attention: Weight of attention transfer, L_AT.
        relations: Weight of the relations among queries, keys and values, which replace attention transfer where the
            student has another number of heads.
        vectors: Weight of the cosine distance of sentence vectors (task `sentence-similarity`).
        similarities: Weight of the divergence of the similarities within a batch (task `sentence-similarity`).
        similarity_temperature: Temperature of both distributions of similarities.
        alpha: Weight of the masked words in distillation; the teacher's distribution has weight 1 - alpha.
        temperature: Temperature of both distributions in distillation.
    """

    strategy: Literal["progressive", "joint", "auxiliary", "none", "shorten"] = "progressive"
    steps: CountOrZero
    distillation_steps: CountOrZero
    distillation_learning_rate: Annotated[float, Field(gt=0)] | None = None
    lower_rate: Share = 0.0
    layers: Literal["uniform", "last"] | Annotated[list[LayerNumber], Field(min_length=1)] = "uniform"
    feature_maps: Weight = 1.0
    normalized_feature_maps: Weight = 0.0
    means: Weight = 0.0
    variances: Weight = 0.0
    attention: Weight = 1.0
    relations: Weight = 1.0
    vectors: Weight = 1.0
    similarities: Weight = 1.0
    similarity_temperature: Annotated[float, Field(gt=0)] = 0.05
    alpha: Share = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0


class DistillRecipe(Recipe):
    """Recipe of `mbert-onnx distill`: a student learns from a teacher."""

    teacher: ModelTable
    student: StudentTable
    tokenizer: ReducedTokenizerTable | None = None
    data: CorpusTable
    transfer: TransferTable
    training: TrainingTable

    @model_validator(mode="after")
    def _check_student(self) -> DistillRecipe:
        shortens = self.transfer.strategy == "shorten"
        if shortens and self.student.layers is None:
            raise ValueError("strategy is shorten, which takes student.layers of the teacher; give their number")
        if self.student.layers is not None and not shortens:
            raise ValueError(f"student.layers is for the strategy shorten, found {self.transfer.strategy}")
        if self.transfer.strategy == "none" and self.student.task == "sentence-similarity":
            raise ValueError(f"strategy is none, but {self.student.task} is learnt from a teacher; choose another")
        if self.tokenizer is not None and self.student.preset is None:
            raise ValueError("tokenizer reduces the vocabulary of a new student; leave it out, or give student.preset")
        return self


assert set(TransferTable.model_fields["strategy"].annotation.__args__) == set(STRATEGIES)  # type: ignore[union-attr]
