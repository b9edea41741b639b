"""What a recipe says: a TOML file, whose every key is here with its default."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mbert_onnx.errors import UsageError
from mbert_onnx.training.distillation.strategies import STRATEGIES

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
# Of all whole numbers: what PyTorch, accelerate and tokenizers can take.
LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=LARGEST)]
CountOrNone = Annotated[int, Field(ge=0, le=LARGEST)]
# Of `epochs`, and of processes and threads: no run means more.
MOST_EPOCHS, MOST_THREADS, MOST_WORDS = 1_000_000, 1024, 10_000_000
Threads = Annotated[int, Field(ge=0, le=MOST_THREADS)]


class Table(BaseModel):
    """A table of the file: no keys but these."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelTable(Table):
    """`[model]`, `[teacher]`, `[student]`: a checkpoint, or an architecture with random weights.

    Args:
        checkpoint: A folder in transformers' format, or a hub id.
        preset: An architecture of `student` or `teacher`, such as `mobilebert`, `tiny`, `laptop`, `ib-bert`,
            `ib-bert-laptop`.
        config: Keys of the config that differ from the preset's, such as `num_hidden_layers`.
        word_embeddings: Another BERT of transformers, whose words a new model begins with: those that both
            vocabularies have, reduced to `embedding_size` by principal components.
        word_layer: 0 for that BERT's table of words; else its layer whose output for a word alone stands for it.
    """

    checkpoint: str | None = None
    preset: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    word_embeddings: str | None = None
    word_layer: CountOrNone = 0

    @model_validator(mode="after")
    def _one_of_two(self) -> ModelTable:
        if (self.checkpoint is None) == (self.preset is None):
            raise ValueError("give checkpoint or preset, one of them")
        if self.checkpoint is not None and (self.config or self.word_embeddings):
            raise ValueError("config and word_embeddings are for a preset; a checkpoint has its own")
        if self.word_layer and self.word_embeddings is None:
            raise ValueError("word_layer is a layer of word_embeddings, which is missing; give both")
        return self


class TokenizerTable(Table):
    """`[tokenizer]`: what makes tokens of texts.

    Args:
        folder: One with a `tokenizer.json`, or a `vocab.txt`.
        vocab_size: Without a folder, the size of a WordPiece vocabulary that is trained on the data; with one, so many
            of its words are kept as the data has most often.
        min_frequency: A pair of pieces that is rarer becomes no word of a vocabulary that is trained.
    """

    folder: Path | None = None
    vocab_size: Annotated[int, Field(ge=1, le=MOST_WORDS)] | None = None
    min_frequency: Count = 2

    @model_validator(mode="after")
    def _one_of_two(self) -> TokenizerTable:
        if self.folder is None and self.vocab_size is None:
            raise ValueError("give folder, vocab_size or both")
        return self


class CorpusTable(Table):
    """`[data]` of pre-training and distillation.

    Args:
        files: `.txt` (a sentence a line, a blank line between documents), `.tsv`, `.csv`, `.jsonl`, each also gzipped.
        columns: The columns of texts in the last three: the first that a row has.
        id, held_out_every: Rows whose `id`, a whole number, the other divides are left out, to be measured on.
        hub: A dataset of the hub, such as `wikimedia/wikipedia`, in place of files.
        hub_config: Its configuration, such as `20231101.en`.
        hub_split: Its split.
        max_length: The most tokens of a row.
        next_sentence: Whether rows have two parts, and the model learns whether the second follows.
        masked: The share of words that are asked for.
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
    def _one_of_two(self) -> CorpusTable:
        if bool(self.files) == (self.hub is not None):
            raise ValueError("give files or hub, one of them")
        return self


class TrainingTable(Table):
    """`[training]`: how the optimizer goes.

    Args:
        steps: How many steps of the optimizer; of fine-tuning, instead of `epochs`.
        batch_size: Rows of a batch, on each device.
        accumulate: How many batches make a step.
        learning_rate: Its peak.
        warmup: The share of steps in which it rises from 0.
        schedule: How it falls after that.
        weight_decay: Of matrices and embeddings; not of biases and normalization.
        clip: The most that a gradient's norm may be; 0 for no limit.
        optimizer: `adamw`, or `lamb`, which the paper has for its large batches.
        mixed_precision: `no`, `bf16` or `fp16`, as accelerate has it.
        save_every: Steps from checkpoint to checkpoint.
        log_every: Steps from a point of the curves to the next.
        workers: Processes that make batches.
        threads: Of torch on a CPU; 0 for as many as it finds.
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
    """`[transfer]`: what the student learns from the teacher, and in which order.

    Args:
        strategy: `progressive`, `joint`, `auxiliary` or `none` (section 3.5).
        steps: Of the layers' transfer; progressive transfer divides them among the layers.
        distillation_steps: Of pre-training distillation after it.
        distillation_learning_rate: Its peak there; default: that of `[training]`.
        lower_rate: Of progressive transfer, what the learning rate of lower layers is multiplied by; 0 freezes them.
        feature_maps: The weight of L_FMT.
        normalized_feature_maps, means, variances: Those of its two parts; Google's command has 100, 5000 and 5, and 0
            for L_FMT itself.
        attention: The weight of L_AT.
        alpha: Of pre-training distillation, the weight of the words themselves against the teacher's opinion.
        temperature: Of that opinion.
    """

    strategy: Literal["progressive", "joint", "auxiliary", "none"] = "progressive"
    steps: CountOrNone
    distillation_steps: CountOrNone
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
    """`[data]` of fine-tuning: a task of GLUE, SQuAD, or a file of one's own.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli`, `squad`, `squad_v2`, or
            `classification` and `regression` for one's own file.
        folder: GLUE's folder as it is fetched.
        train, validation, test: Files: SQuAD's, or one's own.
        hub: Whether to take GLUE or SQuAD from the hub instead.
        text, pair, label, id: Columns of one's own file.
        labels: The names of its labels, by number; default: those that it has, in the order of the alphabet.
        above: Labels are `positive` where the number in `label` is above this, else `negative`.
        held_out_every: Without a file for validation: rows whose `id` this divides are not trained on.
        max_length: The most tokens of a row; 384 for SQuAD.
        unlabelled: Files of texts without labels, a line each, on which the teacher's opinion alone is learnt.
        variants: So many variants of each training text are learnt likewise: parts of it, gaps, two in one, and other
            words, which are near for the teacher.
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
    variants: CountOrNone = 0


class EpochsTable(TrainingTable):
    """`[training]` of fine-tuning: also `epochs`, how often each row is read."""

    epochs: Annotated[float, Field(gt=0, le=MOST_EPOCHS)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> EpochsTable:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        return self


class StepsTable(TrainingTable):
    """`[training]` of pre-training, which counts in steps."""

    steps: Count


class OpinionTable(Table):
    """`[teacher]` of fine-tuning: a classifier whose opinion the model learns beside the labels.

    Args:
        checkpoint: A classifier of any BERT's of transformers, or ours, that reads the same texts.
        alpha: The weight of the labels against its opinion.
        temperature: Of that opinion.
        opinions: A folder where what it says is kept, which recipes with the same texts may share; default: the run's.
    """

    checkpoint: str
    alpha: Share = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0
    opinions: Path | None = None


class Recipe(Table):
    """What all recipes have.

    Args:
        output: The folder of the run.
        seed: Of everything that is drawn.
    """

    output: Path
    seed: CountOrNone = 0


class PretrainRecipe(Recipe):
    """`mbert-onnx pretrain`: a teacher, or any model here, from words behind masks and next sentences."""

    model: ModelTable
    tokenizer: TokenizerTable
    data: CorpusTable
    training: StepsTable


class DistillRecipe(Recipe):
    """`mbert-onnx distill`: a student from a teacher."""

    teacher: ModelTable
    student: ModelTable
    data: CorpusTable
    transfer: TransferTable
    training: TrainingTable


class FinetuneRecipe(Recipe):
    """`mbert-onnx finetune`: a model for a task."""

    model: ModelTable
    tokenizer: TokenizerTable | None = None
    teacher: OpinionTable | None = None
    data: TaskTable
    training: EpochsTable


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)

assert set(TransferTable.model_fields["strategy"].annotation.__args__) == set(STRATEGIES)  # type: ignore[union-attr]


# Keys of what is read, in any table.
READ = ("checkpoint", "word_embeddings", "folder", "files", "train", "validation", "test", "unlabelled")


def _check_places(recipe: Recipe, path: Path) -> None:
    """Raises UsageError for a file that is read from the folder that the run writes, and may begin by emptying."""
    output = recipe.output.resolve()
    for name, table in recipe:
        for key, value in table if isinstance(table, Table) else ():
            for place in value if isinstance(value, list) else [value]:
                if key in READ and place is not None and Path(place).resolve().is_relative_to(output):
                    raise UsageError(
                        f"{path}: {name}.{key} is {place}, inside of output, {recipe.output}; choose another output"
                    )


def read_recipe(path: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    """A recipe of that kind. Its paths are counted from where the command is run, as everywhere.

    Raises UsageError, in one line, for a file that is no TOML, lacks a key, has an unknown one, or a value that cannot
    be meant.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; expected a recipe, a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is no TOML ({' '.join(str(error).split())}); correct it") from error
    if _has_nul(content):
        raise UsageError(f"{path} has a NUL character, which is part of no name; correct it")
    try:
        recipe = kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the recipe"
        given = f", found {first['input']!r}" if first["type"] not in ("missing", "value_error") else ""
        rest = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise UsageError(f"{path}: {place}: {_plain(first['msg'])}{given}{rest}") from None
    try:
        _check_places(recipe, path)
    except OSError as error:  # a name that is too long, for one
        raise UsageError(f"{path} has a path that cannot be used ({error}); correct it") from error
    return recipe


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, (*value, *value.values())))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _plain(message: str) -> str:
    """pydantic's words, as the rest of a line."""
    message = message.removeprefix("Value error, ")
    known = {"Field required": "is missing", "Extra inputs are not permitted": "is no key of a recipe of this kind"}
    return known.get(message, message[:1].lower() + message[1:])
