"""The function `mbert.Entities`: adjacent tokens or words with the same label become one entity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.rows import runs, spans_of_runs

NAME = "Entities"

# The label of what is outside all entities, the prefix of labels that begin one, and that of those that continue one.
OUTSIDE, BEGINS, INSIDE = "O", "B-", "I-"

DOCUMENTATION = """Adjacent tokens or words of a text with the same label, as one entity each. `B-` begins an entity;
any other label continues the one before it if the name after its prefix `B-` or `I-` is the same. What is labelled `O`
is in no entity.

Inputs; integers are int64:
    labels             [n]                     of tokens or words in order, as `WordLabels` returns them
    scores             [n], float              their probabilities
    spans              [n, 2]                  [start, end) in bytes of the text
    texts              [n]                     the number of the text
Outputs, with an entry for each entity of all texts, in order; m may be 0:
    entities           [m], int64              the number of the name, a label without its prefix, among the
                                               names of entities in the model's metadata
    entity_scores      [m], float              the mean of the probabilities
    entity_spans       [m, 2], int64           [start, end) in bytes of the text
    entity_texts       [m], int64              the number of the text

Numerics: means in float64."""


@dataclass(frozen=True)
class EntityNames:
    """Entities as the names of labels describe them: tables by the number of the label.

    `names`: the names of entities. `entities`: for each label the place of its name there, −1 for `O`. `kinds`: the
    number of each label's name without `B-` or `I-`; all labels of an entity have the same. `begins`: 1 for those that
    begin one.
    """

    names: tuple[str, ...]
    kinds: tuple[int, ...]
    begins: tuple[int, ...]
    entities: tuple[int, ...]

    @classmethod
    def of(cls, labels: Sequence[str]) -> EntityNames:
        """Returns the tables for the names of all labels, in the order of their numbers."""
        # Any prefix is removed from a name, not only B- and I-, as in transformers' pipeline: E-PER becomes PER.
        plain = [label.split("-", 1)[-1] for label in labels]
        names = tuple(dict.fromkeys(name for name, label in zip(plain, labels, strict=True) if label != OUTSIDE))
        kinds = [label[2:] if label.startswith((BEGINS, INSIDE)) else label for label in labels]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
        return cls(
            names,
            tuple(numbers[kind] for kind in kinds),
            tuple(int(label.startswith(BEGINS)) for label in labels),
            tuple(-1 if label == OUTSIDE else names.index(name) for name, label in zip(plain, labels, strict=True)),
        )


KEYS = """
    kind = Gather(kinds, labels)
    begins_label = Gather(begins, labels)
    begins_entity = Cast <to = 9> (begins_label)
    kind_column = Unsqueeze(kind, one)
    text_column = Unsqueeze(texts, one)
    keys = Concat <axis = 1> (text_column, kind_column)
"""

MEANS = """
    wide_scores = Cast <to = 11> (scores)
    sums = ScatterElements <axis = 0, reduction = "add"> (no_score, run, wide_scores)
    distance = Sub(last, first)
    size = Add(distance, one)
    wide_size = Cast <to = 11> (size)
    means = Div(sums, wide_size)
    first_labels = Gather(labels, first)
    run_entities = Gather(entities_of_labels, first_labels)
    is_entity = GreaterOrEqual(run_entities, zero)
    nonzero_entity = NonZero(is_entity)
    kept = Reshape(nonzero_entity, minus_one)
    entities = Gather(run_entities, kept)
    kept_means = Gather(means, kept)
    entity_scores = Cast <to = 1> (kept_means)
    kept_first = Gather(first, kept)
    kept_last = Gather(last, kept)
    entity_texts = Gather(texts, kept_first)
"""


def entities(names: EntityNames, opset: int) -> ir.Function:
    """Returns the function for labels of these names, with a body of this opset."""
    constants = {
        "kinds": np.array(names.kinds, np.int64),
        "begins": np.array(names.begins, np.int64),
        "entities_of_labels": np.array(names.entities, np.int64),
    }
    inputs = ["labels", "scores", "spans", "texts"]
    outputs = ["entities", "entity_scores", "entity_spans", "entity_texts"]
    body = KEYS + runs("keys", "begins_entity") + MEANS
    body += spans_of_runs("spans", "kept_first", "kept_last", "entity_spans")
    return function_of(NAME, DOCUMENTATION, (inputs, outputs), body, opset, constants)
