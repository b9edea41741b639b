"""Effect of padding on answers: what a text's outputs are with padding, compared with those of the text alone.

The trigram of a text's last token reads the embedding of the token after it. Alone, that is a zero vector; with
padding, it is the embedding of the padding token, which is not zero in every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphs.execution.centred_error import real_rows
from mbert_onnx.bundles.types import Feed, Runner
from mbert_onnx.conversion.comparison.accuracy import ROW_AXES, Comparison
from mbert_onnx.text.tasks import Task

# Texts that are run with padding and alone: enough to see whether decisions change, in a few seconds.
MOST_TEXTS = 32

# Tokens of padding after a text. The trigram reads only the first.
PADDED = 4

# Largest relative change of an output that counts as rounding.
ROUNDING = 1e-4


@dataclass(frozen=True)
class PaddingEffect:
    """Change of a model's outputs when texts are padded.

    Args:
        texts: Number of texts.
        source: Their source.
        output: Name of the output that changes most, relative to its largest number.
        largest_change: Its largest absolute change, over real tokens.
        relative_change: This change divided by the output's largest number.
        changed: Number of decisions that change.
        decisions: Number of all decisions.
    """

    texts: int
    source: str
    output: str
    largest_change: float
    relative_change: float
    changed: int
    decisions: int

    @property
    def is_rounding(self) -> bool:
        """True if the outputs change by rounding only."""
        return self.relative_change <= ROUNDING

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"on {self.texts} texts of {self.source} padding changes {self.changed} of {self.decisions} decisions, and "
            f"{self.output} by up to {self.largest_change:.2g}"
        )


@dataclass(frozen=True)
class Padding:
    """Padding in an exported model.

    Args:
        ignored: Whether the file ignores padding (`--ignore-padding`).
        zero_embedding: Whether the checkpoint's embedding of the padding token is zero, or no trigram reads it.
        effect: The effect of padding in the checkpoint; None where the embedding is zero, or no text can be read.
    """

    ignored: bool
    zero_embedding: bool
    effect: PaddingEffect | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def notes(self) -> list[str]:
        """Returns a note for the user where the embedding is not zero."""
        if self.zero_embedding:
            return []
        measured = "no text can be read to measure how much" if self.effect is None else str(self.effect)
        advice = "the file ignores padding" if self.ignored else "--ignore-padding writes a file whose answers do not"
        return [f"the embedding of padding is not zero, so that answers depend on padding ({measured}); {advice}"]


def measure_padding(
    padded: Runner, alone: Runner, feeds: Sequence[Feed], task: Task, source: str
) -> PaddingEffect | None:
    """Compares the outputs of padded texts with those of the same texts alone; None if no text has padding.

    Args:
        padded: Runs the feeds as they are.
        alone: Runs them as if each text were alone.
        feeds: The texts, with padding.
        task: The model's task.
        source: The source of the texts.
    """
    comparison, texts = Comparison(task), 0
    changes = dict.fromkeys(task.output_names, 0.0)
    sizes = dict.fromkeys(task.output_names, float(np.finfo(np.float64).tiny))
    for feed in feeds:
        real = np.asarray(feed["attention_mask"]).astype(bool)
        if real.all():
            continue
        found, judge = padded(feed), alone(feed)
        comparison.add(found, judge, real)
        texts += real.shape[0]
        for output in task.outputs:
            if output.name in judge:
                axes = sum(axis in ROW_AXES for axis in output.axes)
                a, b = (real_rows(np.asarray(x[output.name], dtype=np.float64), real, axes) for x in (found, judge))
                changes[output.name] = max(changes[output.name], float(np.abs(a - b).max(initial=0.0)))
                sizes[output.name] = max(sizes[output.name], float(np.abs(b).max(initial=0.0)))
    if not texts:
        return None
    agreed, decided = comparison.decisions()
    relative = {name: change / sizes[name] for name, change in changes.items()}
    most = max(relative, key=relative.__getitem__)
    return PaddingEffect(texts, source, most, changes[most], relative[most], decided - agreed, decided)


def with_padding(feeds: Sequence[Feed], token: int, longest: int, *, fixed: bool) -> Iterator[Feed]:
    """Yields at most `MOST_TEXTS` texts with padding after each text, as far as the model has positions.

    Args:
        feeds: Texts, each alone, or padded to a fixed length.
        token: Id of the padding token.
        longest: Number of the model's positions.
        fixed: Whether the length is fixed; it then stays.
    """
    batch = len(feeds[0]["input_ids"]) if feeds else 1
    for feed in feeds[: max(MOST_TEXTS // batch, 1)]:
        length = feed["attention_mask"].shape[-1]
        more = 0 if fixed else min(PADDED, longest - length)
        longer = {
            name: np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, more)]) if more else ids for name, ids in feed.items()
        }
        ids, mask = longer["input_ids"], longer["attention_mask"]
        yield {**longer, "input_ids": np.where(mask.astype(bool), ids, np.asarray(token, ids.dtype))}
