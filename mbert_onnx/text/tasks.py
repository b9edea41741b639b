"""Tasks of MobileBERT: names, transformers' classes, and outputs with their axes.

Task names are those of transformers' pipelines and of optimum's `--task`. Next-sentence prediction and pretraining have
no such name; theirs follow transformers' class names. Output names are optimum's, but sentence similarity calls its
hidden states `last_hidden_state` and not `token_embeddings`: that name sentence-transformers' onnx backend reads.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mbert_onnx.errors import UsageError
from mbert_onnx.text.name_lists import name_list

# Similarity from which a name is suggested for a mistyped one; difflib's default of 0.6 misses "qestion-anwsers".
SUGGESTION_CUTOFF = 0.5

# Whether the second text follows the first, or not.
NEXT_SENTENCE_LABELS = 2

POOLER_OUTPUT = "pooler_output"

# Sizes of an output's axes: a number; None where it follows the length of the text; `?` where it is not known.
Sizes = Sequence[object]


@dataclass(frozen=True)
class Output:
    """One output of a graph: its name and the names of its axes, such as `("batch", "sequence", "vocab")`.

    `optional`: a model of the task may lack it, as a model without a pooling layer lacks `pooler_output`.
    `size`: the size of its last axis, where it is the same in all models of the task.
    `other_name`: what other exporters call it.
    """

    name: str
    axes: tuple[str, ...]
    optional: bool = False
    size: int | None = None
    other_name: str | None = None


@dataclass(frozen=True)
class Task:
    """A task: its `name` for users, its `architecture` in transformers, and its `outputs` in graph order.

    `student`: the class in `mbert_onnx/model/student.py`, where that is another one than transformers'.
    """

    name: str
    architecture: str
    outputs: tuple[Output, ...]
    aliases: tuple[str, ...] = ()
    has_choices: bool = False
    student: str | None = None

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
    outputs=(Output("logits", ("batch", "labels"), size=NEXT_SENTENCE_LABELS),),
    aliases=("nsp", "next-sentence"),
)
PRETRAINING = Task(
    name="pretraining",
    architecture="MobileBertForPreTraining",
    outputs=(
        Output("prediction_logits", ("batch", "sequence", "vocab")),
        Output("seq_relationship_logits", ("batch", "labels"), size=NEXT_SENTENCE_LABELS),
    ),
    aliases=("pre-training", "for-pretraining"),
)
FEATURE_EXTRACTION = Task(
    name="feature-extraction",
    architecture="MobileBertModel",
    outputs=(
        Output("last_hidden_state", ("batch", "sequence", "hidden")),
        Output(POOLER_OUTPUT, ("batch", "hidden"), optional=True),
    ),
    aliases=("embedding", "embeddings", "default"),
)
# sentence-transformers' modules Transformer, Pooling and Normalize; its Transformer module is the bare model.
SENTENCE_SIMILARITY = Task(
    name="sentence-similarity",
    architecture="MobileBertModel",
    outputs=(
        # Files for programs that read nothing but vectors may lack it.
        Output("last_hidden_state", ("batch", "sequence", "hidden"), optional=True, other_name="token_embeddings"),
        Output("sentence_embedding", ("batch", "hidden")),
    ),
    aliases=("sentence-embedding", "sentence-embeddings", "sentence-transformers"),
    student="MobileBertForSentenceSimilarity",
)

TASKS: tuple[Task, ...] = (
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    # Before feature extraction, whose outputs are among its own, and whose class is the same.
    SENTENCE_SIMILARITY,
    FEATURE_EXTRACTION,
)

# Tasks whose answers are tokens of the vocabulary, one for each mask.
MASKED = (FILL_MASK, PRETRAINING)


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
    output_names = {_without_scope(name) for name in output_names}
    if task is FEATURE_EXTRACTION and SENTENCE_SIMILARITY.is_answered_by(output_names):
        return SENTENCE_SIMILARITY  # both have the same class, which is all that a config names
    if task.is_answered_by(output_names):
        return task
    for other in (QUESTION_ANSWERING, PRETRAINING, SENTENCE_SIMILARITY, FEATURE_EXTRACTION):
        if other.is_answered_by(output_names):
            return other
    return FILL_MASK if task is PRETRAINING and FILL_MASK.is_answered_by(output_names) else None


def task_of_shapes(input_rank: int, outputs: Mapping[str, Sizes], vocab_size: int | None = None) -> Task | None:
    """Returns the first task whose input rank and outputs a graph has, or None if no task fits.

    Args:
        input_rank: Rank of `input_ids`.
        outputs: Shapes of the outputs, by name; TensorFlow's scopes and numbers (`logits:0`) do not matter.
        vocab_size: Vocabulary size of the graph, if known. Token logits of that size are words, not labels.
    """
    outputs = {_without_scope(name): shape for name, shape in outputs.items()}
    ranks = {name: len(shape) for name, shape in outputs.items()}
    for task in TASKS:
        same = all(ranks.get(o.name, len(o.axes) if o.optional else None) == len(o.axes) for o in task.outputs)
        if same and input_rank == len(task.input_axes):
            if task is not TOKEN_CLASSIFICATION or vocab_size is None:
                return task
            return FILL_MASK if outputs[task.output_names[0]][-1] == vocab_size else task
    return None


def named_outputs(
    task: Task,
    outputs: Mapping[str, Sizes],
    *,
    seq_len: int | None = None,
    vocab_size: int | None = None,
    chosen: Sequence[str] = (),
    by_order: bool = True,
) -> dict[str, str] | None:
    """Returns the names that a task has for a graph's outputs, by the graph's names; None if they are not the task's.

    TensorFlow adds scopes and a number (`logits:0`); torch.export names outputs after operators (`linear_62`). The
    latter are the task's in its order, where their shapes fit.

    Args:
        task: The task.
        outputs: Shapes of the outputs, in the order of the graph.
        seq_len: The length of a graph that takes only one.
        vocab_size: Vocabulary size of the graph, if known.
        chosen: The graph's names of the task's outputs, in the task's order; default: those that fit.
        by_order: Whether outputs of the same shape, as an answer's start and end, are distinguished by their order, and
            sizes that are not known count as those of the task. Those of one operator of TensorFlow (`unstack:0` and
            `unstack:1`) are numbered, and always distinguished.

    Raises UsageError where `chosen` are not outputs of the graph, or not as many as the task has, or of other shapes.
    """
    if chosen:
        return _chosen_outputs(task, outputs, chosen, seq_len, vocab_size)
    if task.is_answered_by(outputs):
        names = [output.name if output.name in outputs else output.other_name for output in task.outputs]
        pairs = zip(names, task.output_names, strict=True)
        return {name: known for name, known in pairs if name is not None and name in outputs}
    plain = {name: _without_scope(name) for name in outputs}
    if task.is_answered_by(plain.values()) and len(set(plain.values())) == len(plain):
        return {name: known for name, known in plain.items() if known in task.output_names}
    if task is QUESTION_ANSWERING:
        told = {
            name: output.name
            for output in task.outputs
            for name, shape in outputs.items()
            if output.name.partition("_")[0] in name and _fits(output, shape, seq_len, vocab_size)
        }
        if len(told) == len(set(told.values())) == len(task.outputs):  # such as `start:0` and `end:0`
            return told
    fitting = [
        name
        for name, shape in outputs.items()
        if any(_fits(output, shape, seq_len, vocab_size) for output in task.outputs)
    ]
    by_order = by_order or _are_of_one_operator(fitting)
    if not by_order and len({output.axes for output in task.outputs}) < len(task.outputs):
        return None
    known = {name: shape for name, shape in outputs.items() if by_order or all(n != "?" for n in shape[1:])}
    found: dict[str, str] = {}
    left = _in_order(known)
    for output in task.outputs:
        fits = (name for name in left if _fits(output, outputs[name], seq_len, vocab_size))
        # A pooler's output has the shape of a sentence's vector, and is none.
        name = next((name for name in fits if task is not SENTENCE_SIMILARITY or name != POOLER_OUTPUT), None)
        if name is not None:
            found[name] = output.name
            left.remove(name)
        elif not output.optional:
            return None
    return found


def task_of_outputs(
    input_rank: int, outputs: Mapping[str, Sizes], *, seq_len: int | None = None, vocab_size: int | None = None
) -> Task | None:
    """Returns the task that a graph's outputs fit whatever their names are; None if several do, or none.

    Two scores for each token are those of an answer's start and end, scores for each text are labels, and vectors of
    the vocabulary's size are words. Other vectors for each token may be labels or a hidden state; they are the latter
    where there is one of the same width for each text, the pooler's.
    """

    def fits(task: Task) -> bool:
        found = named_outputs(task, outputs, seq_len=seq_len, vocab_size=vocab_size)
        pairs = [(task.axes(known), outputs[name]) for name, known in (found or {}).items()]
        if not pairs or any(len(axes) != len(shape) for axes, shape in pairs):
            return False
        sizes = [(axis, size) for axes, shape in pairs for axis, size in zip(axes, shape, strict=True)]
        known = all(isinstance(size, int) for axis, size in sizes if axis in ("labels", "hidden", "vocab"))
        return known and len(task.input_axes) == input_rank

    widths = {shape[-1] for shape in outputs.values() if shape}
    candidates = {
        PRETRAINING: vocab_size is not None,
        FILL_MASK: vocab_size is not None,
        QUESTION_ANSWERING: True,
        MULTIPLE_CHOICE: True,
        FEATURE_EXTRACTION: len(widths) == 1 and any(len(shape) == 2 for shape in outputs.values()),
        TEXT_CLASSIFICATION: all(len(shape) <= 2 for shape in outputs.values()),
    }
    return next((task for task, possible in candidates.items() if possible and fits(task)), None)


def _chosen_outputs(
    task: Task, outputs: Mapping[str, Sizes], chosen: Sequence[str], seq_len: int | None, vocab_size: int | None
) -> dict[str, str]:
    unknown = next((name for name in chosen if name not in outputs), None)
    if unknown is not None:
        raise UsageError(f"--outputs names {unknown!r}; expected some of the file's outputs, {name_list(outputs)}")
    required = [output for output in task.outputs if not output.optional]
    if not len(required) <= len(chosen) <= len(task.outputs) or len(set(chosen)) != len(chosen):
        raise UsageError(
            f"--outputs names {', '.join(chosen)}; {task.name} has {', '.join(task.output_names)}: name the file's "
            "outputs for these, in this order"
        )
    for name, output in zip(chosen, task.outputs, strict=False):
        if not _fits(output, outputs[name], seq_len, vocab_size):
            raise UsageError(
                f"--outputs names {name}, of shape {list(outputs[name])}, as {output.name}, which has the axes "
                f"{', '.join(output.axes)}: name the outputs in the order {', '.join(task.output_names)}"
            )
    return {name: output.name for name, output in zip(chosen, task.outputs, strict=False)}


def _fits(output: Output, shape: Sizes, seq_len: int | None, vocab_size: int | None) -> bool:
    """Returns whether a shape may be that of a task's output: by rank, length and vocabulary."""
    if len(shape) != len(output.axes):
        return False
    for axis, size in list(zip(output.axes, shape, strict=True))[1:]:  # whatever the batch is
        if axis == "sequence":
            fits = size == seq_len or not isinstance(size, int)
        elif axis == "vocab" and vocab_size is not None:
            fits = size == vocab_size or isinstance(size, str)
        else:
            fits = size is not None
        if not fits:
            return False
    return True


def _without_scope(name: str) -> str:
    """Returns an output's name without TensorFlow's scopes and number: `logits` for `model/logits:0`."""
    return name.rpartition("/")[2].partition(":")[0]


def _are_of_one_operator(names: Collection[str]) -> bool:
    """Returns whether several outputs are those of one operator of TensorFlow, which numbers them (`unstack:1`)."""
    parts = [name.partition(":") for name in names]
    return len(parts) > 1 == len({base for base, _, _ in parts}) and all(number.isdigit() for _, _, number in parts)


def _in_order(outputs: Mapping[str, Sizes]) -> list[str]:
    """Returns the outputs' names in order; those of one operator of TensorFlow by their numbers (`unstack:1`)."""
    bases = {name.partition(":")[0] for name in outputs}
    numbered = len(bases) < len(outputs) and all(name.partition(":")[2].isdigit() for name in outputs)
    if not numbered:
        return list(outputs)
    first = {base: place for place, base in enumerate(dict.fromkeys(name.partition(":")[0] for name in outputs))}
    return sorted(outputs, key=lambda name: (first[name.partition(":")[0]], int(name.partition(":")[2])))
