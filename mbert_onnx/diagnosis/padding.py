"""Effect of padding on the outputs of a model that `doctor` measures: a file, or a traced checkpoint."""

from __future__ import annotations

import onnx_ir as ir

from graphs.execution.runner import runner
from graphs.model.embeddings import has_zero_embedding, with_zero_embedding
from mbert_onnx.bundles.types import Feed, Outputs, Runner
from mbert_onnx.conversion.comparison.padding import PaddingEffect, measure_padding, with_padding
from mbert_onnx.conversion.comparison.single_texts import single_texts
from mbert_onnx.conversion.precision import Calibration
from mbert_onnx.text.tasks import Task


def padding_effect(
    graph: ir.Model, texts: Calibration, task: Task, token: int, longest: int, *, fixed: bool = False
) -> PaddingEffect | None:
    """Measures how padding changes the outputs of a float32 graph; None where it changes them by rounding only.

    None, too, for a graph without a mask, which reads padding as text.

    In a graph of fixed length no text can be alone. There, zeros in place of the embedding of padding have the effect
    of the end of a sequence.

    Args:
        graph: The graph; not modified.
        texts: The texts.
        task: The graph's task.
        token: Id of the padding token.
        longest: Number of the model's positions.
        fixed: Whether the graph does not run with every length.
    """
    if all(value.name != "attention_mask" for value in graph.graph.inputs):
        return None
    feeds = list(with_padding(texts.fit, token, longest, fixed=fixed))
    padded = _runner_of(graph, task)
    if fixed:
        zeros = with_zero_embedding(graph, token)
        if zeros is None:
            return None
        alone = _runner_of(zeros, task)
    else:
        alone = single_texts(padded, task)
    effect = measure_padding(padded, alone, feeds, task, texts.source)
    return None if effect is None or effect.is_rounding else effect


def padding_note(graph: ir.Model, token: int, effect: PaddingEffect) -> str:
    """Returns the note for the user about the effect, with its cause where it is known."""
    cause = "the embedding of padding is not zero, so that " if has_zero_embedding(graph, token) is False else ""
    return f"{cause}answers depend on padding ({effect}); export the checkpoint with --ignore-padding"


def _runner_of(graph: ir.Model, task: Task) -> Runner:
    """Returns a function that runs a graph; outputs of other names than the task's are taken by their order."""
    run = runner(graph)

    def call(feed: Feed) -> Outputs:
        found = run(feed)
        known = task.is_answered_by(list(found))
        return found if known else dict(zip(task.output_names, found.values(), strict=False))

    return call
