"""Layout of a text file: the form of its rows, as the task and the sizes of the model's inputs allow it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphs.errors import GraphError
from graphs.functions.text.tables.row_options import Form, RowOptions, Truncation
from graphs.functions.text.tables.settings import TemplatePart
from graphs.functions.text_file.options import MASKED, MODEL_OUTPUTS, QUESTION_ANSWERING, WINDOWED, TextOptions
from graphs.ir.text_inputs import IDS, MASK, POSITIONS, TYPES
from graphs.model.embeddings import rows_of

if TYPE_CHECKING:  # it imports `tokenizers`, which reading a file does not need
    from graphs.functions.text.tables.tables import Tables

INPUTS = (IDS, MASK, TYPES, POSITIONS)


@dataclass(frozen=True)
class Layout:
    """The rows of a text file.

    Args:
        form: The operator that tokenizes.
        tables: Its tables.
        rows: Its settings.
        special: The number of special tokens in a row.
        one_text: Whether a run takes one text only, because the model takes one row only.
        choices: The number of choices that the model takes; None for any.
        fixed: Whether all sizes of the model's inputs are fixed, as a neural processor needs them.
    """

    form: Form
    tables: Tables
    rows: RowOptions
    special: int
    one_text: bool
    choices: int | None
    fixed: bool

    @classmethod
    def of(cls, model: ir.Model, tables: Tables, options: TextOptions) -> Layout:
        """Returns the layout for a model. Raises GraphError for one that cannot read this tokenizer's tokens."""
        batch, choices, length = _sizes(model.graph, options)
        one_text = batch == 1
        windows = options.task in WINDOWED and options.windows and not one_text and not options.has_choices
        form = {
            (False, False): Form.TEXT,
            (True, False): Form.PAIR,
            (False, True): Form.WINDOWS,
            (True, True): Form.PAIR_WINDOWS,
        }[options.has_pair, windows]
        tables = _with_prompt(tables, options.prompt)
        limit = min(options.limit, length or options.limit)
        template = tables.settings.pair if form.has_pair else tables.settings.single
        special = sum(part.sequence is None for part in template)
        _check_room(special, limit)
        _check_rows(model.graph, tables, options)
        of_context = Truncation.ONLY_TEXT if options.context_first else Truncation.ONLY_PAIR
        types = [size for size in (options.segments, rows_of(model.graph, TYPES)) if size is not None]
        rows = RowOptions(
            limit=limit,
            padding=options.padding,
            columns=length or 0,
            truncation=of_context if options.task == QUESTION_ANSWERING else Truncation.LONGEST_FIRST,
            cut_left=options.cut_left,
            windowed=0 if options.context_first else 1,
            segments=min(types, default=None),
        )
        fixed = one_text and length is not None and (choices is not None or not options.has_choices)
        return cls(form, tables, rows, special, one_text and not options.has_choices, choices, fixed)


def check_ports(graph: ir.Graph, options: TextOptions) -> None:
    """Raises GraphError for a graph without the task's inputs and outputs, or with others that nothing could fill.

    Also for a tokenizer without the token that the task needs.
    """
    if options.task not in MODEL_OUTPUTS:
        raise GraphError(f"the task is {options.task!r}, expected one of {', '.join(MODEL_OUTPUTS)}")
    given = [str(value.name) for value in graph.inputs if not value.is_initializer()]
    unknown = [name for name in given if name not in INPUTS]
    if unknown or IDS not in given:
        raise GraphError(
            f"the model has the inputs {', '.join(given) or 'none'}, expected {IDS} and perhaps "
            f"{', '.join(INPUTS[1:])}; a text file cannot be made of it"
        )
    outputs = [str(value.name) for value in graph.outputs]
    missing = [name for name in MODEL_OUTPUTS[options.task] if name not in outputs]
    if missing:
        raise GraphError(
            f"the model has the outputs {', '.join(outputs)}, but {options.task} needs {', '.join(missing)}; "
            "export it for its own task"
        )
    if options.mask_id is None and options.task in MASKED:
        raise GraphError(
            f"the tokenizer has no mask token, which {options.task} needs; use the tokenizer with which the model was "
            "trained"
        )


def _sizes(graph: ir.Graph, options: TextOptions) -> tuple[int | None, int | None, int | None]:
    """Returns the sizes of the batch, the choices and the length that the model takes; None for any."""
    shape = next(value.shape for value in graph.inputs if value.name == IDS)
    rank = 3 if options.has_choices else 2
    if shape is None:
        return None, None, None
    if len(shape) != rank:
        raise GraphError(
            f"{IDS} has the shape {shape}, but {options.task} has {rank} axes; is {options.task} its task?"
        )
    sizes = [size if isinstance(size, int) else None for size in shape]
    batch, choices, length = sizes[0], sizes[1] if options.has_choices else None, sizes[-1]
    if batch is not None and batch != 1:
        raise GraphError(
            f"the model has a fixed batch of {batch}, expected a dynamic one, or 1: export it without a batch, and a "
            "text file reads any number of texts"
        )
    return batch, choices, length


def _with_prompt(tables: Tables, prompt: tuple[int, ...]) -> Tables:
    """Returns tables whose template has the tokens of a prompt before the text, which no truncation cuts."""
    if not prompt:
        return tables
    settings, single = tables.settings, list[TemplatePart]()
    for part in settings.single:
        if part.sequence is not None:
            single += [TemplatePart(part.type, id=token) for token in prompt]
        single.append(part)
    return dataclasses.replace(tables, settings=dataclasses.replace(settings, single=tuple(single)))


def _check_room(special: int, limit: int) -> None:
    if limit <= special:
        raise GraphError(
            f"the tokenizer puts {special} special tokens into a row, and the model reads {limit}, expected at least "
            f"{special + 1}: use a model of more tokens"
        )


def _check_rows(graph: ir.Graph, tables: Tables, options: TextOptions) -> None:
    """Raises GraphError for a tokenizer with an id that the model has no word embedding for."""
    rows, settings = rows_of(graph), tables.settings
    most = max(
        [
            options.padding,
            *options.prompt,
            *settings.vocabulary.values(),
            *(token.id for token in settings.added),
            *(part.id or 0 for part in (*settings.single, *settings.pair)),
        ]
    )
    if rows is not None and most >= rows:
        raise GraphError(
            f"the tokenizer has the token {most}, and the model {rows} word embeddings, expected at least {most + 1}: "
            "use the tokenizer with which the model was trained"
        )
