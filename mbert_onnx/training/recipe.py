"""Recipes of trainings: the tables and keys of their TOML files, with types, limits and defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.size_limits import MAX_THREADS
from mbert_onnx.training.distillation.strategies import STRATEGIES

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
# Largest integer that PyTorch, accelerate and tokenizers accept.
MAX_INT = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=MAX_INT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_INT)]
# Upper bounds that catch mistyped numbers: of epochs, of a vocabulary.
MAX_EPOCHS, MAX_VOCABULARY = 1_000_000, 10_000_000
# Faults of a recipe that an error message describes.
SHOWN_FAULTS = 5
Threads = Annotated[int, Field(ge=0, le=MAX_THREADS)]


class Table(BaseModel):
    """A table of a recipe. Unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelTable(Table):
    """`[model]`, `[teacher]`, `[student]`: a checkpoint, or an architecture with random weights.

    Args:
        checkpoint: Folder in transformers' format, hub id, or `reference`.
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
    def _check_exclusive(self) -> ModelTable:
        if (self.checkpoint is None) == (self.preset is None):
            raise ValueError("give checkpoint or preset, one of them")
        if self.checkpoint is not None and (self.config or self.word_embeddings):
            raise ValueError("config and word_embeddings are for a preset; a checkpoint has its own")
        if self.word_layer and self.word_embeddings is None:
            raise ValueError("word_layer is a layer of word_embeddings, which is missing; give both")
        return self


class TokenizerTable(Table):
    """`[tokenizer]`: the tokenizer of a new model.

    Args:
        folder: Folder with a `tokenizer.json` or a `vocab.txt`.
        vocab_size: Without `folder`: size of the WordPiece vocabulary to train on the data. With `folder`: number of
            its words to keep, the most frequent in the data.
        min_frequency: Smallest frequency of a pair of pieces that is merged when a vocabulary is trained.
    """

    folder: Path | None = None
    vocab_size: Annotated[int, Field(ge=1, le=MAX_VOCABULARY)] | None = None
    min_frequency: Count = 2

    @model_validator(mode="after")
    def _check_exclusive(self) -> TokenizerTable:
        if self.folder is None and self.vocab_size is None:
            raise ValueError("give folder, vocab_size or both")
        return self


class CorpusTable(Table):
    """`[data]` of pre-training and distillation: a corpus of texts without labels.

    Args:
        files: `.txt` (one sentence a line, a blank line between documents), `.tsv`, `.csv`, `.jsonl`; also gzipped.
        columns: Text columns of `.tsv`, `.csv` and `.jsonl`; the first one that a row has is read.
        id: Column with an integer that identifies a row.
        held_out_every: Rows whose `id` is a multiple of this number are not trained on.
        hub: Dataset of the Hugging Face hub, such as `wikimedia/wikipedia`, instead of files.
        hub_config: Configuration of the dataset, such as `20231101.en`.
        hub_split: Split of the dataset.
        max_length: Largest number of tokens in a row, special tokens included.
        next_sentence: Whether rows have two parts and the model also learns next-sentence prediction.
        masked: Share of tokens that the model has to predict.
    """

    files: list[Path] = Field(default_factory=list)
    columns: list[str] = Field(default_factory=lambda: ["text"])
    id: str | None = None
    held_out_every: Annotated[int, Field(ge=2)] | None = None
    hub: str | None = None
    hub_config: str | None = None
    hub_split: str = "train"
    max_length: Annotated[int, Field(ge=8)] = 128
    next_sentence: bool = True
    masked: Annotated[float, Field(gt=0, lt=1)] = 0.15

    @model_validator(mode="after")
    def _check_exclusive(self) -> CorpusTable:
        if bool(self.files) == (self.hub is not None):
            raise ValueError("give files or hub, one of them")
        return self


class TrainingTable(Table):
    """`[training]`: optimizer, learning rate, batches, checkpoints.

    Args:
        steps: Number of optimizer steps; in fine-tuning an alternative to `epochs`.
        batch_size: Rows in a batch, on each device.
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


class TransferTable(Table):
    """`[transfer]`: knowledge transfer from the teacher to the student (sections 3.4 and 3.5 of the paper).

    Args:
        strategy: `progressive`, `joint`, `auxiliary` or `none`.
        steps: Steps of layer transfer; progressive transfer divides them among the layers.
        distillation_steps: Steps of pre-training distillation after it.
        distillation_learning_rate: Peak learning rate of distillation; default: `training.learning_rate`.
        lower_rate: Progressive transfer multiplies the learning rate of lower layers by this factor; 0 freezes them.
        feature_maps: Weight of feature map transfer, L_FMT.
        normalized_feature_maps, means, variances: Weights of the two parts of L_FMT: the normalized maps, and their
            statistics. Google's command uses 100, 5000 and 5, with 0 for `feature_maps`.
        attention: Weight of attention transfer, L_AT.
        alpha: Weight of the masked words in distillation; the teacher's distribution has weight 1 - alpha.
        temperature: Temperature of both distributions in distillation.
    """

    strategy: Literal["progressive", "joint", "auxiliary", "none"] = "progressive"
    steps: CountOrZero
    distillation_steps: CountOrZero
    distillation_learning_rate: Annotated[float, Field(gt=0)] | None = None
    lower_rate: Share = 0.0
    feature_maps: Weight = 1.0
    normalized_feature_maps: Weight = 0.0
    means: Weight = 0.0
    variances: Weight = 0.0
    attention: Weight = 1.0
    alpha: Share = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0


class TaskTable(Table):
    """`[data]` of fine-tuning: a task of GLUE, SQuAD, or a custom file.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli`, `squad`, `squad_v2`, or
            `classification` or `regression` for a custom file.
        folder: GLUE's folder, as the benchmark's download creates it.
        train, validation, test: SQuAD's files, or custom files.
        hub: Whether GLUE or SQuAD is loaded from the Hugging Face hub instead.
        text, pair, label, id: Columns of a custom file: first text, second text, label, integer id of a row.
        labels: Names of the labels of a custom file, by number; default: those in the file, sorted.
        above: Threshold: the label is `positive` if the number in `label` is above it, else `negative`.
        held_out_every: Without `validation`: rows whose `id` is a multiple of this number are the validation set.
        max_length: Largest number of tokens in a row; default: 384 for SQuAD, else 128.
        unlabelled: Files of texts without labels, one a line, that are trained on teacher logits alone.
        variants: Number of variants of each training text that are trained on teacher logits alone: parts of the text,
            gaps, two texts joined, words replaced by word neighbours.
    """

    task: str
    folder: Path | None = None
    train: Path | None = None
    validation: Path | None = None
    test: Path | None = None
    hub: bool = False
    text: str = "text"
    pair: str | None = None
    label: str = "label"
    id: str | None = None
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    above: float | None = None
    held_out_every: Annotated[int, Field(ge=2)] | None = None
    max_length: Annotated[int, Field(ge=8)] | None = None
    unlabelled: list[Path] = Field(default_factory=list)
    variants: CountOrZero = 0


class EpochsTable(TrainingTable):
    """`[training]` of fine-tuning, with `epochs`, the number of passes over the rows, as an alternative to `steps`."""

    epochs: Annotated[float, Field(gt=0, le=MAX_EPOCHS)] | None = None

    @model_validator(mode="after")
    def _check_exclusive(self) -> EpochsTable:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        return self


class StepsTable(TrainingTable):
    """`[training]` of pre-training, in which `steps` is required."""

    steps: Count


class LabelTeacherTable(Table):
    """`[teacher]` of fine-tuning: a classifier whose logits the model learns in addition to the labels.

    Args:
        checkpoint: Classifier for the same labels: ours, or any class of transformers.
        alpha: Weight of the labels; the teacher logits have weight 1 - alpha.
        temperature: Temperature of both distributions.
        opinions: Folder that caches the teacher logits; recipes with the same texts may share it. Default: a folder in
            the run folder.
    """

    checkpoint: str
    alpha: Share = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0
    opinions: Path | None = None


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


class DistillRecipe(Recipe):
    """Recipe of `mbert-onnx distill`: a student learns from a teacher."""

    teacher: ModelTable
    student: ModelTable
    data: CorpusTable
    transfer: TransferTable
    training: TrainingTable


class FinetuneRecipe(Recipe):
    """Recipe of `mbert-onnx finetune`: a model learns a task."""

    model: ModelTable
    tokenizer: TokenizerTable | None = None
    teacher: LabelTeacherTable | None = None
    data: TaskTable
    training: EpochsTable


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)

assert set(TransferTable.model_fields["strategy"].annotation.__args__) == set(STRATEGIES)  # type: ignore[union-attr]


# Keys of files and folders that a training reads, in any table.
INPUT_KEYS = ("checkpoint", "word_embeddings", "folder", "files", "train", "validation", "test", "unlabelled")


def _check_inputs_outside_output(recipe: Recipe, path: Path) -> None:
    """Raises UsageError for an input inside the run folder, which `--overwrite` would remove."""
    output = recipe.output.resolve()
    for name, table in recipe:
        for key, value in table if isinstance(table, Table) else ():
            for place in value if isinstance(value, list) else [value]:
                if key in INPUT_KEYS and place is not None and Path(place).resolve().is_relative_to(output):
                    raise UsageError(
                        f"{path}: {name}.{key} is {place}, inside of output, {recipe.output}; choose another output"
                    )


def read_recipe(path: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    """Reads a recipe of that kind. Its paths are relative to the current directory.

    Raises UsageError, in one line, for a file that is not TOML, a missing or unknown key, or an invalid value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; expected a recipe, a TOML file") from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror or error}); expected a recipe, a TOML file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML ({_reason(error)}); correct it") from error
    if _has_nul(content):
        raise UsageError(f"{path} has a NUL character, which no path may contain; correct it")
    try:
        recipe = kind.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {_all_faults(error)}") from None
    try:
        _check_inputs_outside_output(recipe, path)
    except OSError as error:  # such as a name that is too long
        raise UsageError(f"{path} has a path that cannot be used ({error}); correct it") from error
    return recipe


def _reason(error: ValueError | RecursionError) -> str:
    """Returns why a file is not TOML, in one line; Python's own advice on large numbers is for programmers."""
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    if isinstance(error, tomllib.TOMLDecodeError | UnicodeDecodeError):
        return " ".join(str(error).split())
    return "a number has too many digits"


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, (*value, *value.values())))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _all_faults(error: ValidationError) -> str:
    """Describes a recipe's faults: the first ones in full, the others by their number."""
    faults = []
    for fault in error.errors()[:SHOWN_FAULTS]:
        place = ".".join(str(part) for part in fault["loc"]) or "the recipe"
        given = f", found {fault['input']!r}" if fault["type"] not in ("missing", "value_error") else ""
        faults.append(f"{place}: {_plain_message(fault['msg'])}{given}")
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more else "")


def _plain_message(message: str) -> str:
    """Turns pydantic's message into the rest of a one-line error."""
    message = message.removeprefix("Value error, ")
    known = {
        "Field required": "is missing",
        "Extra inputs are not permitted": "is not a key of a recipe of this kind",
        "Input is not a valid path for <class 'pathlib.Path'>": "input should be a path",
    }
    return known.get(message, message[:1].lower() + message[1:])
