"""Tables that several kinds of recipes share: models, tokenizers, corpora, training; types and limits of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mbert_onnx.runtime.size_limits import MAX_THREADS

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
# Largest integer that PyTorch, accelerate and tokenizers accept.
MAX_INT = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=MAX_INT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_INT)]
# Upper bounds that catch mistyped numbers: of epochs, of a vocabulary.
MAX_EPOCHS, MAX_VOCABULARY = 1_000_000, 10_000_000
Threads = Annotated[int, Field(ge=0, le=MAX_THREADS)]


class Table(BaseModel):
    """A table of a recipe. Unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelTable(Table):
    """`[model]`, `[teacher]`, `[student]`: a checkpoint, or an architecture with random weights.

    Args:
        checkpoint: Folder in transformers' format, hub id, or a built-in model: `reference`, `reference:embed`.
        preset: Name of an architecture, such as `mobilebert`, `tiny`, `laptop`, `ib-bert`, `ib-bert-laptop`.
        config: Config keys that replace the preset's, such as `num_hidden_layers`.
        word_embeddings: Checkpoint of another BERT that initializes the word embeddings of a new model. Words in both
            vocabularies get its embeddings, reduced to `embedding_size` dimensions by principal components.
        word_layer: 0 uses the other BERT's embedding table; n uses the output of its layer n for each word alone.
    """

    checkpoint: str | None = None
    preset: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    word_embeddings: str | None = None
    word_layer: CountOrZero = 0

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        self._check_source()
        return self

    def _check_source(self) -> None:
        if (self.checkpoint is None) == (self.preset is None):
            raise ValueError("give checkpoint or preset, one of them")
        if self.checkpoint is not None and (self.config or self.word_embeddings):
            raise ValueError("config and word_embeddings are for a preset; a checkpoint has its own")
        if self.word_layer and self.word_embeddings is None:
            raise ValueError("word_layer is a layer of word_embeddings, which is missing; give both")


class TokenizerTable(Table):
    """`[tokenizer]`: the tokenizer of a new model.

    Args:
        folder: Folder with a `tokenizer.json` or a `vocab.txt`.
        vocab_size: Without `folder`: size of the WordPiece vocabulary to train on the data. With `folder`: number of
            its words to keep, the most frequent in the data.
        min_frequency: Smallest frequency of a pair of pieces that is merged when a vocabulary is trained; with
            `folder` and `vocab_size`, if given, smallest frequency of a word that is kept.
    """

    folder: Path | None = None
    vocab_size: Annotated[int, Field(ge=1, le=MAX_VOCABULARY)] | None = None
    min_frequency: Count = 2

    @model_validator(mode="after")
    def _check_exclusive(self) -> TokenizerTable:
        if self.folder is None and self.vocab_size is None:
            raise ValueError("give folder, vocab_size or both")
        return self


class FilesTable(Table):
    """Files of texts.

    Args:
        files: `.txt` (one sentence a line, a blank line between documents), `.tsv`, `.csv`, `.jsonl`; also gzipped.
        columns: Text columns of `.tsv`, `.csv` and `.jsonl`; the first one that a row has is read.
        id: Column with an integer that identifies a row.
        held_out_every: Rows whose `id` is a multiple of this number are not trained on.
        passages: Lengths in tokens. A row is a passage of neighbouring lines of a document, as many as fit into one of
            these lengths, which is drawn for each row. Empty: a row of whole texts is one line.
    """

    files: list[Path] = Field(default_factory=list)
    columns: list[str] = Field(default_factory=lambda: ["text"])
    id: str | None = None
    held_out_every: Annotated[int, Field(ge=2)] | None = None
    passages: list[Count] = Field(default_factory=list)


class MixTable(FilesTable):
    """`[[data.mix]]`: one source of a mix of texts.

    Args:
        weight: Share of its rows among all, relative to the weights of the other sources.
    """

    files: Annotated[list[Path], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0)] = 1.0


class CorpusTable(FilesTable):
    """`[data]` of pre-training and distillation: a corpus of texts without labels.

    Args:
        mix: Several sources with weights, instead of files.
        hub: Dataset of the Hugging Face hub, such as `wikimedia/wikipedia`, instead of files.
        hub_config: Configuration of the dataset, such as `20231101.en`.
        hub_split: Split of the dataset.
        max_length: Largest number of tokens in a row, special tokens included.
        next_sentence: Whether rows have two parts and the model also learns next-sentence prediction.
        masked: Share of tokens that the model has to predict.
    """

    mix: list[MixTable] = Field(default_factory=list)
    hub: str | None = None
    hub_config: str | None = None
    hub_split: str = "train"
    max_length: Annotated[int, Field(ge=8)] = 128
    next_sentence: bool = True
    masked: Annotated[float, Field(gt=0, lt=1)] = 0.15

    @model_validator(mode="before")
    @classmethod
    def _whole_texts_have_one_part(cls, values: Any) -> Any:
        if isinstance(values, dict) and (values.get("mix") or values.get("passages")):
            return {"next_sentence": False, **values}
        return values

    @model_validator(mode="after")
    def _check_exclusive(self) -> CorpusTable:
        if [bool(self.files), bool(self.mix), self.hub is not None].count(True) != 1:
            raise ValueError("give files, mix or hub, one of them")
        if self.draws_passages and self.next_sentence:
            raise ValueError("next_sentence needs rows of two parts; leave it out with mix and passages")
        if self.mix and (self.passages or self.id or self.held_out_every):
            raise ValueError("with mix, each source has its own passages, id and held_out_every; move them there")
        return self

    @property
    def draws_passages(self) -> bool:
        """True if rows are drawn at random from the lines; else they are as many lines as fit, in order."""
        return bool(self.mix or self.passages)

    @property
    def sources(self) -> list[FilesTable]:
        """The tables with files: `mix`, or this one."""
        return [*self.mix] or ([self] if self.files else [])


class TrainingTable(Table):
    """`[training]`: optimizer, learning rate, batches, checkpoints.

    Args:
        steps: Number of optimizer steps; in fine-tuning an alternative to `epochs`.
        batch_size: Rows in a batch, on each device.
        batch_tokens: Tokens in a batch, with padding, in place of `batch_size`: batches of short rows have more rows.
            For rows that are drawn at random (`data.mix`, `data.passages`, and the task `sentence-similarity`).
        accumulate: Number of batches whose gradients make one step.
        learning_rate: Peak learning rate.
        warmup: Share of the steps in which the learning rate rises from 0 to the peak.
        schedule: Decay after the warm-up: `linear`, `cosine` or `constant_with_warmup`.
        weight_decay: Weight decay of matrices and embeddings; biases and normalization have none.
        clip: Largest norm of the gradient; 0 disables clipping.
        optimizer: `adamw`, or `lamb`, which the paper uses for its large batches.
        mixed_precision: `no`, `bf16` or `fp16`, as in accelerate.
        save_every: Steps between two checkpoints.
        log_every: Steps between two points of the loss curves.
        workers: Processes that prepare batches; 0 prepares them in the training process.
        threads: Threads of torch on a CPU; 0 keeps torch's default.
    """

    steps: Count | None = None
    batch_size: Count = 32
    batch_tokens: CountOrZero = 0
    accumulate: Count = 1
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    warmup: Share = 0.1
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: Weight = 0.01
    clip: Weight = 1.0
    optimizer: Literal["adamw", "lamb"] = "adamw"
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    save_every: Count = 500
    log_every: Count = 20
    workers: Threads = 0
    threads: Threads = 0


class StepsTable(TrainingTable):
    """`[training]` of pre-training, in which `steps` is required."""

    steps: Count


class Recipe(Table):
    """Keys of every recipe.

    Args:
        output: Run folder: recipe, checkpoints, curves, and finally the trained model.
        seed: Random seed of weights, order of rows, masks and dropout.
    """

    output: Path
    seed: CountOrZero = 0


class PretrainRecipe(Recipe):
    """Recipe of `mbert-onnx pretrain`: masked words and next sentences, without a teacher."""

    model: ModelTable
    tokenizer: TokenizerTable
    data: CorpusTable
    training: StepsTable

    @model_validator(mode="after")
    def _check_batches(self) -> PretrainRecipe:
        check_batch_tokens(self.training, is_drawn=self.data.draws_passages)
        return self


def check_batch_tokens(training: TrainingTable, *, is_drawn: bool) -> None:
    """Raises ValueError for `batch_tokens` where rows are not drawn at random."""
    if training.batch_tokens and not is_drawn:
        raise ValueError(
            "training.batch_tokens is for rows that are drawn at random; give data.passages or data.mix, or batch_size"
        )
