"""Text file of an export: planned before the work, written beside the model file, and compared with it."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.bundles.model_file import TextReader
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import TEXT_VARIANTS, TOKENIZER, VARIANTS
from mbert_onnx.conversion.precision import PrecisionOptions
from mbert_onnx.conversion.text_files.plan import TextPlan, TextRequest, plan_text, require_tokenizer
from mbert_onnx.conversion.text_files.report import TextReport
from mbert_onnx.conversion.text_files.writing import write_checked, write_names
from mbert_onnx.model.checkpoint import Checkpoint
from mbert_onnx.text.calibration_text import read_calibration
from mbert_onnx.text.sentence_embedding import EmbeddingSettings


def plan_export(
    request: TextRequest, checkpoint: Checkpoint, reader: TextReader, embedding: EmbeddingSettings | None
) -> TextPlan | None:
    """Plans the text file of a checkpoint, before the work, so that none is lost; None where none is wanted.

    Raises what `plan_text` raises, and CheckpointError for a checkpoint without a tokenizer.
    """
    if not request.wanted:
        return None
    advice = "put the checkpoint's tokenizer.json beside its config.json"
    require_tokenizer(checkpoint.name, reader.tokenizer, advice)
    config = checkpoint.config.to_dict()
    return plan_text(reader, config, pair=request.pair, embedding=embedding)


def write_export(
    plan: TextPlan,
    checkpoint: Checkpoint,
    embedding: EmbeddingSettings | None,
    folder: Path,
    precision: PrecisionOptions,
    library: Path | None,
    seed: int,
) -> TextReport:
    """Writes the text file of a precision into a bundle that is being written, and the list of names beside it.

    Its tokens are compared on the calibration texts of the precision, too. Raises what `write_checked` raises.
    """
    texts: list[tuple[str, str | None]] = []
    if precision.calibrate is not None:
        found = read_calibration(Path(precision.calibrate), checkpoint.task)
        texts = [(text.text, text.pair) for text in (*found.fit, *found.held_out)]
    metadata = None if embedding is None else {"sentence_embedding": embedding.as_dict()}
    file, config = folder / VARIANTS[precision.precision], checkpoint.config.to_dict()
    bundle = Bundle(folder, file, config, metadata, checkpoint.task, folder / TOKENIZER, {})
    return write_checked(
        plan,
        bundle,
        folder / TEXT_VARIANTS[precision.precision],
        write_names(folder, plan),
        texts=texts,
        library=library,
        seed=seed,
    )
