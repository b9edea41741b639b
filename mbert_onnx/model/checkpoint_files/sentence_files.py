"""Writes what makes a checkpoint's folder one of sentence-transformers: its list of modules, and their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbert_onnx.text.sentence_embedding import (
    MEAN,
    NORMALIZE,
    NORMALIZE_FOLDER,
    POOLING_FOLDER,
    POOLING_SWITCHES,
    SENTENCE_FILES,
    EmbeddingSettings,
)

# Under these names every version of sentence-transformers finds its modules.
_PACKAGE = "sentence_transformers.models"

# The name of a prompt that has none of its own.
_PROMPT = "default"
# Keys of the whole model's settings that are copied from the folder that was read.
KEPT = ("prompts", "default_prompt_name", "similarity_fn_name")


def write_sentence_files(
    folder: Path, settings: EmbeddingSettings, size: int, whole: Mapping[str, Any] | None = None
) -> None:
    """Writes `modules.json` and the settings of its modules: Transformer, Pooling by the mean, perhaps Normalize.

    Args:
        folder: The folder with config.json and weights.
        settings: How texts become vectors.
        size: The size of a vector.
        whole: The settings of the whole model in the folder that was read, from which prompts are copied; None for a
            model that was not read from one.
    """
    modules = [("", "Transformer"), (POOLING_FOLDER, "Pooling")]
    modules += [(NORMALIZE_FOLDER, NORMALIZE)] if settings.normalize else []
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"{_PACKAGE}.{kind}"}
        for number, (path, kind) in enumerate(modules)
    ]
    # The switches are read by all versions, `pooling_mode` by new ones only.
    switches = {switch: mode == MEAN for switch, mode in POOLING_SWITCHES.items()}
    pooling = {"word_embedding_dimension": size, **switches, "include_prompt": True}
    transformer = {"max_seq_length": settings.max_seq_length, "do_lower_case": settings.do_lower_case}
    prompts = {"prompts": {_PROMPT: settings.prompt}, "default_prompt_name": _PROMPT} if settings.prompt else {}
    kept = {key: value for key, value in (whole or {}).items() if key in KEPT}
    (folder / POOLING_FOLDER).mkdir(exist_ok=True)
    contents = (listed, pooling, transformer, {"similarity_fn_name": "cosine", **prompts, **kept})
    for name, content in zip(SENTENCE_FILES, contents, strict=True):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
