"""Text file of any MobileBERT `.onnx` file, as `optimize --text` writes it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphs.model.loading import read_model
from mbert_onnx.bundles.model_file import TextReader, read_text_model
from mbert_onnx.bundles.ports import rename_ports
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import CONFIG
from mbert_onnx.conversion.text_files.plan import TextPlan, TextRequest, plan_text
from mbert_onnx.conversion.text_files.report import TextReport
from mbert_onnx.conversion.text_files.writing import write_checked
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.sentence_embedding import settings_in


@dataclass(frozen=True)
class Around:
    """Plan of the text file of a given file, and the settings with which Python reads texts for the file itself."""

    plan: TextPlan
    reader: TextReader
    config: Mapping[str, Any]
    metadata: dict[str, Any] | None


def given_text(
    request: TextRequest,
    path: Path,
    bundle: Bundle | None,
    task: str | None,
    outputs: Sequence[str],
    tokenizer: str | Path | None,
) -> Around | None:
    """Plans the text file of a file, before the work; None where none is wanted.

    The arguments are those of `read_text_model`. Label names are those of a config.json beside the file or one folder
    up. Raises what `read_text_model` and `plan_text` raise.
    """
    if not request.wanted:
        return None
    model = read_text_model(
        path, bundle, purpose="--text puts it into the file", task=task, outputs=outputs, tokenizer=tokenizer
    )
    reader = model.reader
    request.check(reader.task, model.name, segments=reader.segments)
    graph = read_model(path, values=False)
    rename_ports(graph, reader.task)
    config = _config_near(path) if bundle is None else bundle.config
    metadata = None if bundle is None else bundle.metadata
    record = (metadata or {}).get("sentence_embedding")
    embedding = None if record is None else settings_in(record, path)
    plan = plan_text(reader, config, graph=graph, pair=request.pair, embedding=embedding)
    sizes = {
        "vocab_size": reader.vocab_size,
        "max_position_embeddings": reader.max_positions,
        "type_vocab_size": reader.segments,
    }
    return Around(plan, reader, {**config, **sizes}, metadata)


def write_around(file: Path, around: Around) -> TextReport:
    """Replaces a model file by its text file, and compares the answers of both. Raises what `write_checked` raises."""
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        ordinary = Path(folder, "model.onnx")
        shutil.move(file, ordinary)
        bundle = Bundle(
            ordinary.parent,
            ordinary,
            dict(around.config),
            around.metadata,
            around.reader.task,
            around.reader.tokenizer,
            {},
        )
        return write_checked(around.plan, bundle, file, None)


def _config_near(path: Path) -> dict[str, Any]:
    """Returns the content of a config.json beside a file on its own, or one folder up; empty without a readable one."""
    folder = path.absolute().parent
    for place in (folder / CONFIG, folder.parent / CONFIG):
        try:
            content = read_json(place)
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return {}
