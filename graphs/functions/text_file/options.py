"""Settings of a text file that its graph does not say: the task, the tokenizer's sides and limits, the labels."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.functions.answers.probabilities import SINGLE_LABEL, Problem

QUESTION_ANSWERING = "question-answering"
TEXT_CLASSIFICATION = "text-classification"
TOKEN_CLASSIFICATION = "token-classification"
FILL_MASK = "fill-mask"
MULTIPLE_CHOICE = "multiple-choice"
NEXT_SENTENCE_PREDICTION = "next-sentence-prediction"
PRETRAINING = "pretraining"
FEATURE_EXTRACTION = "feature-extraction"
SENTENCE_SIMILARITY = "sentence-similarity"

# The outputs of a model of each task that its answer is computed from.
MODEL_OUTPUTS = {
    QUESTION_ANSWERING: ("start_logits", "end_logits"),
    TEXT_CLASSIFICATION: ("logits",),
    TOKEN_CLASSIFICATION: ("logits",),
    FILL_MASK: ("logits",),
    MULTIPLE_CHOICE: ("logits",),
    NEXT_SENTENCE_PREDICTION: ("logits",),
    PRETRAINING: ("prediction_logits",),
    FEATURE_EXTRACTION: ("last_hidden_state",),
    SENTENCE_SIMILARITY: ("sentence_embedding",),
}

# Tasks that read two texts; text classification may, too.
PAIRS = (QUESTION_ANSWERING, MULTIPLE_CHOICE, NEXT_SENTENCE_PREDICTION)
# Tasks of the masked language model.
MASKED = (FILL_MASK, PRETRAINING)
# Tasks that read a long text in windows. The others truncate it.
WINDOWED = (QUESTION_ANSWERING, TOKEN_CLASSIFICATION, *MASKED, FEATURE_EXTRACTION)


@dataclass(frozen=True)
class TextOptions:
    """Settings of a text file.

    Args:
        task: The name of the task.
        limit: The most tokens in a row that the model takes, special tokens included.
        max_length: The length that callers give unless they have a reason for another one.
        pair: Whether a text classification reads pairs of texts.
        padding: The id of the padding token.
        segments: The number of token types that the model has; 1 if all tokens are to be of type 0; None: as many as
            the tokenizer has.
        cut_left: Whether texts that are too long lose their first tokens, and not their last ones.
        context_first: Whether the context stands before the question.
        prompt: Ids of tokens before each text, behind those that begin a row.
        labels: The names of the labels, by their numbers.
        problem: What the scores of labels are.
        mask_id: The id of the mask token.
        windows: Whether the hidden states of a long text are computed in windows. Otherwise, it is truncated.
        normalize: Whether sentence embeddings have length 1.
    """

    task: str
    limit: int
    max_length: int
    pair: bool = False
    padding: int = 0
    segments: int | None = None
    cut_left: bool = False
    context_first: bool = False
    prompt: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    problem: Problem = SINGLE_LABEL
    mask_id: int | None = None
    windows: bool = True
    normalize: bool = False

    @property
    def has_pair(self) -> bool:
        """True if a row has two texts."""
        return self.pair or self.task in PAIRS

    @property
    def has_choices(self) -> bool:
        """True if the model's inputs are of shape [batch, choices, sequence]."""
        return self.task == MULTIPLE_CHOICE
