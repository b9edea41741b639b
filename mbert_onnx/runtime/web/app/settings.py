"""Settings of the page: which text file it runs, and what the file says of its task, names and limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.bundles.proto_file import is_text_file, read_proto
from mbert_onnx.bundles.records import TEXT_VARIANTS
from mbert_onnx.errors import BundleError
from mbert_onnx.reference import is_reference, located
from mbert_onnx.runtime.text_files.record import TEXT, TextRecord
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MASKED,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)

# For each task, the module in page/scripts/tasks/ and the title of the page.
PAGES = {
    TEXT_CLASSIFICATION.name: ("classification", "Text classification"),
    NEXT_SENTENCE_PREDICTION.name: ("next_sentence", "Next sentence"),
    QUESTION_ANSWERING.name: ("question_answering", "Question answering"),
    TOKEN_CLASSIFICATION.name: ("entities", "Entities"),
    FILL_MASK.name: ("masks", "Missing words"),
    PRETRAINING.name: ("masks", "Missing words"),
    MULTIPLE_CHOICE.name: ("choices", "Multiple choice"),
    FEATURE_EXTRACTION.name: ("similarity", "Sentence similarity"),
    SENTENCE_SIMILARITY.name: ("similarity", "Sentence similarity"),
}
# In a browser, the smallest file is loaded first and runs fastest; wasm computes fp16 in float32.
PREFERRED = ("int8", "fp32", "fp16")
# TensorProto.DataLocation of weights in another file.
EXTERNAL = 1


@dataclass(frozen=True)
class TextFile:
    """A text file, its record, and whether its scores are those of a regression."""

    path: Path
    record: TextRecord
    is_regression: bool

    @property
    def page(self) -> str:
        return PAGES[self.record.task.name][0]

    @property
    def title(self) -> str:
        return PAGES[self.record.task.name][1]

    @property
    def copy_name(self) -> str:
        """Its name in an app: one that `export` gives, because a URL, or a host, does not take every name."""
        usual = [Path(name).name for name in TEXT_VARIANTS.values()]
        return self.path.name if self.path.name in usual else usual[0]

    @property
    def fills_masks(self) -> bool:
        return self.record.task in MASKED

    def settings(self) -> dict[str, Any]:
        """Returns the settings that the page reads from app.json."""
        record = self.record
        return {
            "task": record.task.name,
            "page": self.page,
            "max_length": record.max_length,
            "pair": record.pair,
            "labels": list(record.labels),
            "entities": list(record.entities),
            "is_regression": self.is_regression,
            "choices": record.choices,
            "mask": record.mask_token,
            "continuation": record.continuation,
        }


def read_text_file(model: str | Path) -> TextFile:
    """Reads the text file of a bundle, or the one at a path.

    Raises BundleError where there is none, its metadata is damaged, or its weights are in another file.
    """
    path = _find(model)
    proto = read_proto(path)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    record = TextRecord.of(metadata, path)
    if any(tensor.data_location == EXTERNAL for tensor in proto.graph.initializer):
        raise BundleError(
            f"{path} has weights in another file, expected a file with all of them; export it again with --text"
        )
    return TextFile(path, record, json.loads(metadata[TEXT]).get("problem_type") == "regression")


def _find(model: str | Path) -> Path:
    path = located(model)
    if path.is_file():
        if is_text_file(path):
            return path
        read_proto(path)  # raises for what is no model at all
        raise BundleError(f"{path} is no text file: it takes token ids; {_advice(model)}")
    if not path.is_dir():
        raise BundleError(f"{path} does not exist; give the folder of a bundle, or its onnx/model_text.onnx")
    files = (path / TEXT_VARIANTS[precision] for precision in PREFERRED)
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise BundleError(f"{model} has no text file, such as {TEXT_VARIANTS['fp32']}; {_advice(model)}")
    if not is_text_file(found):
        raise BundleError(f"{found} is no text file, or damaged; {_advice(model)}")
    return found


def _advice(model: str | Path) -> str:
    checkpoint = model if is_reference(model) else "CHECKPOINT"
    return f"export one with `mbert-onnx export {checkpoint} --text --output FOLDER`"
