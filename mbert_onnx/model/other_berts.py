"""Other encoders of transformers: fine-tuned as teachers of classifiers, or evaluated for comparison with a student."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint_files.config_file import CONFIGS
from mbert_onnx.model.checkpoint_files.sentence_files import write_sentence_files
from mbert_onnx.model.checkpoint_tokenizer.loading import without_warnings
from mbert_onnx.reference import located
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.sentence_embedding import read_modules
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TASKS,
    TEXT_CLASSIFICATION,
    Task,
)


def is_other_bert(checkpoint: str | Path) -> bool:
    """Returns whether the config in a folder names another architecture than MobileBERT. False for a hub id."""
    config = located(checkpoint) / "config.json"
    try:
        kind = read_json(config).get("model_type")
    except (OSError, ValueError, AttributeError):
        return False  # the error is raised where the checkpoint is read
    return kind is not None and kind not in CONFIGS


def other_bert_model(checkpoint: str, task: Task, labels: tuple[str, ...] | None) -> nn.Module:
    """Loads transformers' own class for a task, with a new head; `labels` as in `finetuned_model`.

    Raises CheckpointError where transformers cannot load it.
    """
    import transformers

    options = {}
    if labels is not None:
        options["num_labels"] = len(labels) or 1
    if labels:
        options["id2label"] = dict(enumerate(labels))  # type: ignore[assignment]
        options["label2id"] = {label: number for number, label in enumerate(labels)}  # type: ignore[assignment]
    kind = (
        transformers.AutoModelForQuestionAnswering
        if task is QUESTION_ANSWERING
        else transformers.AutoModelForSequenceClassification
    )
    try:
        with without_warnings():  # the warning that the head is new: it is meant to be
            model = kind.from_pretrained(checkpoint, ignore_mismatched_sizes=True, **options)
    except Exception as error:  # transformers raises many classes
        raise CheckpointError(f"{checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    assert isinstance(model, nn.Module)
    return model


def other_encoder(folder: Path) -> nn.Module:
    """Loads the bare encoder of any checkpoint of transformers, float32, in evaluation mode, without its head.

    Raises CheckpointError for a model that is no encoder, or that transformers cannot load.
    """
    import torch
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        # The masked language models are the encoders; decoders and BART have other inputs, masks or outputs.
        is_encoder = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING and not config.is_encoder_decoder
        if is_encoder:
            with without_warnings():  # about a pooler that the checkpoint lacks, and heads that are left out
                model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:  # transformers raises many classes
        raise CheckpointError(f"{folder} cannot be loaded ({' '.join(str(error).split())})") from error
    if not is_encoder:
        raise CheckpointError(
            f"{folder} is a model of the type {config.model_type}; expected an encoder, such as BERT or DistilBERT. "
            "Give another checkpoint"
        )
    assert isinstance(model, nn.Module)
    return model.eval().requires_grad_(False)


def positions_of(model: nn.Module) -> int:
    """Returns the largest number of tokens that an encoder reads.

    RoBERTa's and MPNet's position embeddings begin behind the padding id, so that they read fewer than they have.
    """
    positions = int(getattr(model.config, "max_position_embeddings", 0) or 0)
    tables = (module for name, module in model.named_modules() if name.endswith("position_embeddings"))
    padding = next((getattr(table, "padding_idx", None) for table in tables), None)
    return positions if padding is None else positions - padding - 1


def save_other_bert(folder: Path, output: Path, task: Task | None) -> tuple[nn.Module, Task]:
    """Writes a checkpoint of another encoder as transformers does; returns its module and task.

    Args:
        folder: The checkpoint's folder, or that of sentence-transformers around it.
        output: The folder to write into.
        task: The task; None: that of the class which the config names. A bare model embeds sentences.

    Raises CheckpointError where transformers cannot load it, or its class has no task here.
    """
    modules = read_modules(str(folder), folder)
    if modules is not None:
        folder = modules.transformer
    task = task or (SENTENCE_SIMILARITY if modules is not None and modules.embeds else _task_of_class(folder))
    if task in (SENTENCE_SIMILARITY, FEATURE_EXTRACTION):
        model = other_encoder(folder)
    elif task in (QUESTION_ANSWERING, TEXT_CLASSIFICATION):
        model = other_bert_model(str(folder), task, None).eval()
    else:
        raise CheckpointError(f"{folder} is of another architecture than MobileBERT, which does no {task.name} here")
    model.save_pretrained(output)  # type: ignore[operator]
    if modules is not None and task is SENTENCE_SIMILARITY:
        settings, _ = modules.embedding_settings(positions_of(model))
        size = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        write_sentence_files(output, settings, size, modules.whole)
    return model, task


def _task_of_class(folder: Path) -> Task:
    """Returns the task of the first class in a config's `architectures`, whatever its architecture is."""
    named = [str(name) for name in read_json(folder / "config.json").get("architectures") or ()]
    heads = {task.architecture.removeprefix("MobileBert"): task for task in TASKS if not task.has_choices}
    heads["Model"] = SENTENCE_SIMILARITY
    return next((task for name in named for head, task in heads.items() if name.endswith(head)), SENTENCE_SIMILARITY)
