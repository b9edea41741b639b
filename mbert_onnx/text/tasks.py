"""Tasks of MobileBERT: names, transformers' classes, and outputs with their axes.

Task names are those of transformers' pipelines and of optimum's `--task`. Next-sentence prediction and pretraining have
no such name; theirs follow transformers' class names. Output names are optimum's.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mbert_onnx.errors import UsageError

# Similarity from which a name is suggested for a mistyped one; difflib's default of 0.6 misses "qestion-anwsers".
SUGGESTION_CUTOFF = 0.5


@dataclass(frozen=True)
class Output:
    """One output of a graph: its name and the names of its axes, such as `("batch", "sequence", "vocab")`.

    `optional`: a model of the task may lack it, as a model without a pooling layer lacks `pooler_output`.
    """

    name: str
    axes: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Task:
    """A task: its `name` for users, its `architecture` in transformers, and its `outputs` in graph order."""

    name: str
    architecture: str
    outputs: tuple[Output, ...]
    aliases: tuple[str, ...] = ()
    has_choices: bool = False

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)

    @property
    def input_axes(self) -> tuple[str, ...]:
        """The axes of every input: `("batch", "sequence")`, or `("batch", "choices", "sequence")`."""
        return ("batch", "choices", "sequence") if self.has_choices else ("batch", "sequence")

    def axes(self, output_name: str) -> tuple[str, ...]:
        """Returns the axes of one output. Raises KeyError for a name that is not in `output_names`."""
        return {output.name: output.axes for output in self.outputs}[output_name]

    def is_answered_by(self, output_names: Collection[str]) -> bool:
        """True if the outputs of a graph include all that this task requires."""
        return all(output.optional or output.name in output_names for output in self.outputs)


QUESTION_ANSWERING = Task(
    name="question-answering",
    architecture="MobileBertForQuestionAnswering",
    outputs=(Output("start_logits", ("batch", "sequence")), Output("end_logits", ("batch", "sequence"))),
    aliases=("qa", "squad", "extractive-qa"),
)
TEXT_CLASSIFICATION = Task(
    name="text-classification",
    architecture="MobileBertForSequenceClassification",
    outputs=(Output("logits", ("batch", "labels")),),
    aliases=("sequence-classification", "sentiment-analysis", "sentiment", "classification"),
)
TOKEN_CLASSIFICATION = Task(
    name="token-classification",
    architecture="MobileBertForTokenClassification",
    outputs=(Output("logits", ("batch", "sequence", "labels")),),
    aliases=("ner", "pos", "tagging"),
)
FILL_MASK = Task(
    name="fill-mask",
    architecture="MobileBertForMaskedLM",
    outputs=(Output("logits", ("batch", "sequence", "vocab")),),
    aliases=("masked-lm", "mlm", "masked-language-modeling"),
)
MULTIPLE_CHOICE = Task(
    name="multiple-choice",
    architecture="MobileBertForMultipleChoice",
    outputs=(Output("logits", ("batch", "choices")),),
    aliases=("swag", "choice"),
    has_choices=True,
)
NEXT_SENTENCE_PREDICTION = Task(
    name="next-sentence-prediction",
    architecture="MobileBertForNextSentencePrediction",
    outputs=(Output("logits", ("batch", "labels")),),
    aliases=("nsp", "next-sentence"),
)
PRETRAINING = Task(
    name="pretraining",
    architecture="MobileBertForPreTraining",
    outputs=(
        Output("prediction_logits", ("batch", "sequence", "vocab")),
        Output("seq_relationship_logits", ("batch", "labels")),
    ),
    aliases=("pre-training", "for-pretraining"),
)
FEATURE_EXTRACTION = Task(
    name="feature-extraction",
    architecture="MobileBertModel",
    outputs=(
        Output("last_hidden_state", ("batch", "sequence", "hidden")),
        Output("pooler_output", ("batch", "hidden"), optional=True),
    ),
    aliases=("embedding", "embeddings", "default", "sentence-similarity"),
)

TASKS: tuple[Task, ...] = (
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    FEATURE_EXTRACTION,
)


def task_named(text: str) -> Task:
    """Returns the task with that name, alias or transformers class; case and `_` or `-` do not matter.

    Raises UsageError with the closest name and the list of all names if there is none.
    """
    by_name = {name.lower(): task for task in TASKS for name in (task.name, task.architecture, *task.aliases)}
    key = text.strip().lower().replace("_", "-")
    if key in by_name:
        return by_name[key]
    near = difflib.get_close_matches(key, by_name, n=1, cutoff=SUGGESTION_CUTOFF)
    suggestion = f" Did you mean {by_name[near[0]].name!r}?" if near else ""
    raise UsageError(f"No task is called {text!r}.{suggestion} Name one of: {', '.join(task.name for task in TASKS)}.")


def task_of_architectures(architectures: Sequence[str] | None) -> Task | None:
    """Returns the task of the first MobileBERT class in a config's `architectures`, or None."""
    by_architecture = {task.architecture: task for task in TASKS}
    return next((by_architecture[name] for name in architectures or () if name in by_architecture), None)


def task_of_graph(task: Task, output_names: Collection[str]) -> Task | None:
    """Returns the task of a graph with these outputs in a folder that declares `task`, or None if no task fits.

    A folder that optimum wrote keeps the checkpoint's `architectures`, whatever the task of the export:
    google/mobilebert-uncased declares MobileBertForPreTraining even if the graph has only the masked LM's `logits`.
    """
    if task.is_answered_by(output_names):
        return task
    for other in (QUESTION_ANSWERING, PRETRAINING, FEATURE_EXTRACTION):
        if other.is_answered_by(output_names):
            return other
    return FILL_MASK if task is PRETRAINING and FILL_MASK.is_answered_by(output_names) else None


def task_of_shapes(
    input_rank: int, outputs: Mapping[str, Sequence[object]], vocab_size: int | None = None
) -> Task | None:
    """Returns the first task whose input rank and outputs a graph has, or None if no task fits.

    Args:
        input_rank: Rank of `input_ids`.
        outputs: Shapes of the outputs, by name.
        vocab_size: Vocabulary size of the graph, if known. Token logits of that size are words, not labels.
    """
    ranks = {name: len(shape) for name, shape in outputs.items()}
    for task in TASKS:
        same = all(ranks.get(o.name, len(o.axes) if o.optional else None) == len(o.axes) for o in task.outputs)
        if same and input_rank == len(task.input_axes):
            words = vocab_size is not None and outputs[task.output_names[0]][-1] == vocab_size
            return FILL_MASK if task is TOKEN_CLASSIFICATION and words else task
    return None
