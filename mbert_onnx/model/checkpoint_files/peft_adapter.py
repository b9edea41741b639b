"""PEFT adapters: what a folder with one holds, and the Python code that merges it into its base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from mbert_onnx.model.checkpoint_files.conversion_code import Place, json_in, python_code, quoted, short, tokenizer_code
from mbert_onnx.text.tasks import (
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
)

# peft's class for each `task_type`; it asks for AutoPeftModel where there is none.
PEFT_CLASSES = {
    "SEQ_CLS": "AutoPeftModelForSequenceClassification",
    "TOKEN_CLS": "AutoPeftModelForTokenClassification",
    "QUESTION_ANS": "AutoPeftModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoPeftModelForFeatureExtraction",
}
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# What peft puts before a tensor's name, and the classes with heads that an adapter may hold.
IN_ADAPTER = "base_model.model."
HEADS = {
    "classifier.": TEXT_CLASSIFICATION.architecture,
    "qa_outputs.": QUESTION_ANSWERING.architecture,
    "cls.predictions.": FILL_MASK.architecture,
    "cls.seq_relationship.": NEXT_SENTENCE_PREDICTION.architecture,
}
LANGUAGE_MODELS = (FILL_MASK.architecture, PRETRAINING.architecture)
# Kinds of adapters that learn inputs and no changes of weights, so that there is nothing to merge.
PROMPT_KINDS = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT")


def adapter(place: Place, file: str) -> str:
    """Describes a folder with an adapter: its kind, its base model, and the code that merges it."""
    config = json_in(place.folder / "adapter_config.json")
    kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
    named = f" ({short(kind)})" if kind else ""
    what = f"a PEFT adapter{named}{f' of {short(base)}' if base else ''}, and no whole model"
    if kind in PROMPT_KINDS:
        return f"{what}; it learns inputs and cannot be merged into the weights, so it cannot be exported"
    shapes = _shapes(place.folder)
    heads = [shape for name, shape in shapes.items() if name.endswith("classifier.weight") and len(shape) == 2]
    # Multiple choice has one output for each choice, whatever num_labels is.
    choices = _trained_class(config) == MULTIPLE_CHOICE.architecture
    labels = f", num_labels={heads[0][0]}" if len(heads) == 1 and not choices else ""
    adapter, merged = quoted(place.name), f"{place.target.rstrip('/')}-merged"
    explicit = _class_of_base(config, shapes) if isinstance(base, str) and base else None
    if explicit is None:
        class_name = PEFT_CLASSES.get(str(config.get("task_type")), "AutoPeftModel")
        imports, model = f"from peft import {class_name}", f"{class_name}.from_pretrained({adapter}{labels})"
    else:
        imports = "import transformers; from peft import PeftModel"
        model = f"PeftModel.from_pretrained({explicit}.from_pretrained({quoted(base)}{labels}), {adapter})"
    has_tokenizer = "tokenizer_config.json" in place.files or not isinstance(base, str) or not base
    code = python_code(
        imports,
        f"{model}.merge_and_unload().save_pretrained({quoted(merged)}); "
        f"{tokenizer_code(place.name if has_tokenizer else str(base), merged)}",
    )
    return f"{what}; merge it {code}; then export {merged}{_note(config, shapes)}"


def _note(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> str:
    """Returns what makes the merged model compute something else than peft."""
    if config.get("task_type") == "QUESTION_ANS":
        return "; peft passes no token_type_ids to question answering, which the merged model reads"
    if any("word_embeddings" in name for name in shapes) and _trained_class(config) in LANGUAGE_MODELS:
        return "; the adapter changes the word embeddings, and merging also the LM head, if that is tied to them"
    return ""


def _trained_class(config: Mapping[str, Any]) -> object:
    """Returns the class that peft wrote for an adapter without a task."""
    mapping = config.get("auto_mapping")
    return mapping.get("base_model_class") if isinstance(mapping, Mapping) else None


def _class_of_base(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> str | None:
    """Returns the code of the class that an adapter was trained in, where peft would load none, or another one.

    An adapter in another class is loaded without an error, and its weights are left out.
    """
    task = str(config.get("task_type"))
    if task in PEFT_CLASSES and task != "FEATURE_EXTRACTION":
        return None
    if task == "None" and config.get("auto_mapping"):
        return None
    if not any(name.startswith(f"{IN_ADAPTER}mobilebert.") for name in shapes):
        return None if task == "FEATURE_EXTRACTION" or not shapes else "transformers.MobileBertModel"
    for head, class_name in HEADS.items():
        if any(name.startswith(IN_ADAPTER + head) for name in shapes):
            return f"transformers.{class_name}"
    base = quoted(config["base_model_name_or_path"])
    return f"getattr(transformers, transformers.AutoConfig.from_pretrained({base}).architectures[0])"


def _shapes(folder: Path) -> dict[str, Sequence[int]]:
    """Returns the shapes of an adapter's tensors by name; empty if it has no weights, or damaged ones."""
    try:
        if (folder / ADAPTER_WEIGHTS[0]).is_file():
            with safe_open(folder / ADAPTER_WEIGHTS[0], "pt") as file:
                keys = file.keys()  # safetensors' file is not itself iterable
                return {name: file.get_slice(name).get_shape() for name in keys}
        tensors = torch.load(folder / ADAPTER_WEIGHTS[1], map_location="meta", weights_only=True)
        return {str(name): tensor.shape for name, tensor in tensors.items()}
    except Exception:  # no such file, or a damaged one, which peft reports
        return {}
