"""Writing of a text file from the model file beside it, and of the list of labels or tokens for apps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from graphs.functions.text_file.attach import add_text
from graphs.functions.text_file.ports import TEXT
from graphs.model.loading import read_model
from mbert_onnx.bundles.onnx_writer import save_model
from mbert_onnx.bundles.ports import rename_ports
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import LABELS, VOCABULARY
from mbert_onnx.conversion.text_files.plan import TextPlan
from mbert_onnx.conversion.text_files.report import TextReport
from mbert_onnx.conversion.verification.answers import AnswerComparison, compare_answers
from mbert_onnx.conversion.verification.text_check import TextVerdict, check_text
from mbert_onnx.runtime.text_files.vocabulary import vocabulary_lines
from mbert_onnx.text.tasks import MASKED, task_named


def write_checked(
    plan: TextPlan,
    bundle: Bundle,
    output: Path,
    names: str | None,
    *,
    texts: Sequence[tuple[str, str | None]] = (),
    library: Path | None = None,
    seed: int = 0,
) -> TextReport:
    """Writes the text file of a bundle's model file; compares its tokens with those of `tokenizers`, and its answers
    with those of the model file.

    Args:
        plan: The plan of the text file.
        bundle: The bundle of the model file, which is being written, with its tokenizer.
        output: The text file.
        names: The name of the list of labels or tokens beside it, for the report.
        texts: Texts, and pairs of texts, whose tokens are compared beside difficult ones; default: built-in ones.
        library: Native kernels, with which the tokens are compared, too.
        seed: Seed of the difficult texts.

    Raises:
        graphs.errors.GraphError: the tokenizer or the answer does not fit the model.
        VerificationError: the text file has other tokens, or gives other answers.
    """
    assert bundle.tokenizer_path is not None
    write_text_file(bundle.model_path, output, plan)
    verdict = check_text(
        output,
        bundle.tokenizer_path,
        segments=plan.options.segments,
        prompt=plan.options.prompt,
        texts=texts,
        library=library,
        seed=seed,
    )
    answers = compare_answers(replace(bundle, model_path=output), bundle, pair=plan.options.pair)
    return text_report(output, names, verdict, answers)


def text_report(
    file: Path, names: str | None, verdict: TextVerdict | None, answers: AnswerComparison | None
) -> TextReport:
    """Returns the report of a text file."""
    model = read_model(file, values=False)
    record = json.loads(model.metadata_props[TEXT])
    return TextReport(
        path=file,
        bytes=file.stat().st_size,
        inputs=record["inputs"],
        optional=record["optional"],
        outputs=[str(value.name) for value in model.graph.outputs],
        limit=record["limit"],
        max_length=record["max_length"],
        pair=record["pair"],
        names=names,
        verification=verdict,
        answers=answers,
    )


def write_text_file(source: Path, output: Path, plan: TextPlan) -> None:
    """Writes the text file of a model file.

    Raises graphs.errors.GraphError for a model that the tokenizer or the answer does not fit.
    """
    model = read_model(source)
    rename_ports(model, task_named(plan.options.task))
    model = add_text(model, plan.tables, plan.options)
    _complete(model, plan)
    save_model(model, output)


def write_names(folder: Path, plan: TextPlan) -> str | None:
    """Writes `labels.txt`, or `vocab.txt` where answers are tokens; returns its name, None for a task without.

    Line number − 1 is the number in the file's outputs. A `vocab.txt` that transformers 4 wrote is replaced: it has no
    added tokens.
    """
    if not plan.names:
        return None
    name = VOCABULARY if task_named(plan.options.task) in MASKED else LABELS
    (folder / name).write_bytes(vocabulary_lines(plan.names).encode())
    return name


def _complete(model: ir.Model, plan: TextPlan) -> None:
    """Adds what the runtime needs, and the graph does not know, to the record of a text file."""
    record: Mapping[str, object] = json.loads(model.metadata_props[TEXT])
    model.metadata_props[TEXT] = json.dumps({**record, **plan.record}, ensure_ascii=False)
