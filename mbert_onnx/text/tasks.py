"""The tasks a MobileBERT is exported for: their names, transformers' classes, and the axes of their outputs.

Task names are those of transformers' pipelines and optimum's `--task`; where neither has one (next-sentence
prediction, pretraining), they follow transformers' class names. Output names are optimum's.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mbert_onnx.errors import UsageError

# How alike a mistyped name must be before it is suggested: difflib's own default misses "qestion-anwsers".
SUGGESTION_CUTOFF = 0.5


@dataclass(frozen=True)
class Output:
    """One output of the graph: its name, and its axes as names, such as `("batch", "sequence", "vocab")`.

    `optional` says that a model of this task may lack it: a model without a pooling layer has no `pooler_output`.
    """

    name: str
    axes: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Task:
    """What a model does: `name` for users, `architecture` for transformers, `outputs` in the order of the graph."""

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
        """The axes of one output. Raises KeyError for a name that is none of `output_names`."""
        return {output.name: output.axes for output in self.outputs}[output_name]

    def is_answered_by(self, output_names: Collection[str]) -> bool:
        """Whether a graph with these outputs (and perhaps others) has every one that this task needs."""
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
    """The task of that name, alias or transformers class; case, and `_` for `-`, do not matter.

    Raises UsageError, with the nearest known name and the list of all, where there is none.
    """
    by_name = {name.lower(): task for task in TASKS for name in (task.name, task.architecture, *task.aliases)}
    key = text.strip().lower().replace("_", "-")
    if key in by_name:
        return by_name[key]
    near = difflib.get_close_matches(key, by_name, n=1, cutoff=SUGGESTION_CUTOFF)
    suggestion = f" Did you mean {by_name[near[0]].name!r}?" if near else ""
    raise UsageError(f"No task is called {text!r}.{suggestion} Name one of: {', '.join(task.name for task in TASKS)}.")


def task_of_architectures(architectures: Sequence[str] | None) -> Task | None:
    """The task of the first MobileBERT class in a config's `architectures`; None where it names none."""
    by_architecture = {task.architecture: task for task in TASKS}
    return next((by_architecture[name] for name in architectures or () if name in by_architecture), None)


def task_of_graph(task: Task, output_names: Collection[str]) -> Task | None:
    """What a graph with these outputs answers, given the `task` that its folder tells of; None where nothing fits.

    A folder that optimum wrote keeps the `architectures` of the checkpoint, whatever task it was exported for:
    google/mobilebert-uncased says MobileBertForPreTraining, also where the graph has only the masked LM's `logits`.
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
    """What a graph on its own answers: the first task with its inputs' rank and its outputs; None where none fits.

    Args:
        input_rank: Of `input_ids`.
        outputs: Their shapes, by name.
        vocab_size: How many words the graph knows, if that is known: as many labels for a token are words.
    """
    ranks = {name: len(shape) for name, shape in outputs.items()}
    for task in TASKS:
        same = all(ranks.get(o.name, len(o.axes) if o.optional else None) == len(o.axes) for o in task.outputs)
        if same and input_rank == len(task.input_axes):
            words = vocab_size is not None and outputs[task.output_names[0]][-1] == vocab_size
            return FILL_MASK if task is TOKEN_CLASSIFICATION and words else task
    return None
