"""Calibration texts: the texts on which fp16 and int8 are chosen, and the held-out texts that measure their damage.

Activation ranges are measured on `fit`, the damage of the lower precision on `held_out`. The texts are those of
`--calibrate FILE`, or built in. The split is deterministic: the same file always gives the same texts.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mbert_onnx.errors import CalibrationError, UsageError
from mbert_onnx.text import builtin_sentences
from mbert_onnx.text.encoder import Row, TextEncoder
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MASKED,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TOKEN_CLASSIFICATION,
    Task,
)
from mbert_onnx.text.text_files import FEWEST, CalibrationText, count_of, read_text_file, texts_of

BUILT_IN = "built-in sentences"

# Ranges hardly grow after a few dozen texts, and each text costs a run of the float model that keeps every activation.
# The damage is a mean over tokens, which needs fewer texts.
MAX_FIT, MAX_HELD_OUT = 64, 32
# Every third text is held out, which gives 64 and 32.
HELD_OUT_EVERY = 3
# Below this number of texts the ranges may depend on single texts, so a note recommends more.
FEW = 32
# Largest share of unknown tokens: text in the vocabulary's language has below 1 %, text in another script almost 100 %.
MAX_UNKNOWN = 0.25
# Number of choices where the graph has a dynamic one: the smallest possible.
CHOICES = 2
# Every seventh token is masked for models that fill masks: close to the 15 % of BERT's training.
MASK_EVERY = 7

# Tasks that read one text at a time: the two texts of a pair become separate texts.
SINGLE_TASKS = (TOKEN_CLASSIFICATION, FILL_MASK, FEATURE_EXTRACTION, SENTENCE_SIMILARITY)
# Tasks that read two texts: a text without a pair is paired with the next one.
PAIR_TASKS = (NEXT_SENTENCE_PREDICTION, PRETRAINING)

# The kind of the texts of `bench --texts`.
BENCHMARK = "benchmark"


@dataclass(frozen=True)
class CalibrationTexts:
    """Calibration texts, split into two parts.

    Args:
        source: The file's name, or "built-in sentences".
        fit: Texts for the activation ranges; at most 64.
        held_out: Texts for the damage; at most 32. Neither they nor their contexts are in `fit`.
        notes: Notes for the user, one line each.
    """

    source: str
    fit: list[CalibrationText]
    held_out: list[CalibrationText]
    notes: list[str]


@dataclass(frozen=True)
class Feeds:
    """Texts as inputs of a model.

    Args:
        feeds: One feed a text: `input_ids`, `attention_mask` and `token_type_ids`, int64 `[1, length]`, or
            `[1, choices, length]` for multiple choice.
        tokens: Number of tokens, without special tokens and padding.
        unknown: Share of unknown tokens among them, 0 to 1.
        notes: Notes for the user, one line each.
        cut: Number of texts that were truncated to the model's length.
        dropped: Number of texts that were left out because they have no token.
    """

    feeds: list[dict[str, np.ndarray]]
    tokens: int
    unknown: float
    cut: int = 0
    dropped: int = 0
    notes: list[str] = field(default_factory=list)


def read_calibration(path: Path | None, task: Task) -> CalibrationTexts:
    """Returns the calibration texts of a file, or the built-in ones for None, in the form that `task` reads.

    The file may be `.txt` (one text a line), `.tsv` or `.csv` (with or without a header), `.jsonl`, or `.json` in
    SQuAD's layout, each also gzipped. A large file is sampled at equal distances.

    Raises CalibrationError for a file that cannot be read, has fewer than 8 different texts, or has no pairs where
    `task` answers questions.
    """
    if path is None:
        note = "ranges were measured on built-in English sentences; --calibrate FILE with texts of your own is better"
        return _split(BUILT_IN, BUILT_IN, _unique(_for_task(_built_in(task), task)), [note], task)
    file = read_text_file(path)
    found = _unique(texts_of(file))
    texts = _unique(_for_task(found, task))
    if not found:
        raise CalibrationError(f"{path} has no text, expected at least {FEWEST}. Give a file with texts.")
    if not texts:
        raise CalibrationError(
            f"{path} has no question with a context, which {task.name} needs. "
            "Give a .jsonl or .tsv with question and context, or SQuAD's own .json."
        )
    if len(texts) < FEWEST:
        raise CalibrationError(
            f"{path} has {count_of(len(texts), 'different text')}, expected at least {FEWEST}, better {FEW}. "
            "Add texts such as the model will read."
        )
    notes = list(file.notes)
    if len(texts) < FEW:
        notes.append(f"{path.name} has only {len(texts)} different texts; {FEW} or more give safer ranges")
    return _split(path.name, str(path), texts, notes, task)


def read_first(path: Path, task: Task, count: int) -> list[CalibrationText]:
    """Returns the first `count` texts of the file of `--texts` in the form that `task` reads, or all if it has fewer.

    Raises CalibrationError for a file that cannot be read or has no text.
    """
    texts = list(itertools.islice(_for_task(texts_of(read_text_file(path, "--texts")), task), count))
    if not texts:
        raise CalibrationError(f"{path} has no text that {task.name} reads. Give a file with texts.")
    return texts


def encode(
    texts: Sequence[CalibrationText],
    tokenizer: TextEncoder,
    task: Task,
    *,
    seq_len: int | None,
    max_positions: int,
    choices: int | None,
    pad_token_id: int | None = None,
    kind: str = "calibration",
) -> Feeds:
    """Encodes texts as feeds, one a text.

    Args:
        texts: Texts from `read_calibration`.
        tokenizer: The bundle's encoder; its own `max_length` is not used.
        task: For multiple choice, the choices of a text are its pair and the texts after it; for mask filling, every
            seventh token is masked.
        seq_len: Fixed length of the graph; None if it is dynamic, and each text keeps its own length.
        max_positions: Largest number of tokens that the model takes.
        choices: Fixed number of choices of the graph; None if it is dynamic, or for a task without choices.
        pad_token_id: Id of padding; None for the encoder's, or 0 without one.
        kind: What the texts are, for notes and errors: `calibration`, `BENCHMARK`, or another word before "texts".

    Raises CalibrationError if more than a quarter of the tokens are unknown or there is no token, and any error of
    `TextEncoder.truncated`.
    """
    encoder = copy.copy(tokenizer)
    encoder.max_length = min(seq_len or max_positions, max_positions)
    usable = [text for text in texts if _has_tokens(encoder, text)]
    if not usable:
        raise CalibrationError(f"No {kind} text has a token that the model reads. Give other texts.")
    padding = (encoder.padding_id or 0) if pad_token_id is None else pad_token_id
    specials = set(encoder.tokenizer.encode("").ids)
    unknown_id = encoder.tokenizer.token_to_id(encoder.unknown_token or "")
    feeds, total, unknown, cut = [], 0, 0, 0
    for number in range(len(usable)):
        rows = []
        cuts = []
        for first, second in _rows_of(usable, number, (choices or CHOICES) if task.has_choices else None):
            row, was_cut = encoder.truncated(first, second)
            places = [place for place, token in enumerate(row.ids) if token not in specials]
            total += len(places)
            unknown += row.ids.count(unknown_id)
            cuts.append(was_cut)
            rows.append(_masked(row, places, encoder) if task in MASKED else row)
        cut += any(cuts)
        feeds.append(_feed(rows, seq_len, padding, task))
    share = unknown / max(total, 1)  # texts may be special tokens only
    if share > MAX_UNKNOWN:
        raise CalibrationError(
            f"{share:.0%} of the tokens of the {kind} texts are {encoder.unknown_token}, expected at "
            f"most {MAX_UNKNOWN:.0%}: the model does not know their language or script. "
            f"Give texts in the model's language, with {'--texts' if kind == BENCHMARK else '--calibrate'} FILE."
        )
    dropped = len(texts) - len(usable)
    notes = []
    if cut:
        notes.append(f"{cut} of {len(texts)} {kind} texts were cut to {encoder.max_length} tokens")
    if dropped:
        notes.append(f"{dropped} of {len(texts)} {kind} texts were left out: the tokenizer drops all of them")
    return Feeds(feeds, total, share, cut, dropped, notes)


# Selection of texts


def _built_in(task: Task) -> list[CalibrationText]:
    pairs = [CalibrationText(*pair) for pair in builtin_sentences.questions()]
    if task is QUESTION_ANSWERING:
        return pairs
    singles = [CalibrationText(text) for text in builtin_sentences.texts()]
    contexts = {pair.pair: pair for pair in pairs}
    step = -(-len(singles) // len(contexts))
    texts: list[CalibrationText] = []
    for number, pair in enumerate(contexts.values()):
        texts += [*singles[number * step : (number + 1) * step], pair]
    return texts


def _for_task(texts: Iterable[CalibrationText], task: Task) -> Iterator[CalibrationText]:
    """Yields the texts that the task can read, in the form that it reads."""
    for text in texts:
        if task in SINGLE_TASKS:
            yield CalibrationText(text.text)
            if text.pair is not None:
                yield CalibrationText(text.pair)
        elif task is not QUESTION_ANSWERING or text.pair is not None:
            yield text


def _unique(texts: Iterable[CalibrationText]) -> list[CalibrationText]:
    return list(dict.fromkeys(texts))


def _evenly_spaced(texts: list[CalibrationText], most: int) -> list[CalibrationText]:
    """Returns at most `most` of the texts, at equal distances."""
    count = min(most, len(texts))
    return [texts[number * len(texts) // count] for number in range(count)]


def _split(source: str, where: str, texts: list[CalibrationText], notes: list[str], task: Task) -> CalibrationTexts:
    """Samples the texts and splits the sample in two. Texts that share a context are in the same part."""
    sample = _evenly_spaced(texts, MAX_FIT + MAX_HELD_OUT)
    if len(sample) < len(texts):
        notes = [*notes, f"{len(sample)} of the {len(texts)} different texts in {source} are used, evenly spread"]
    # Several questions share a context and several hypotheses a premise; the shared text is the longer one.
    by_pair = sum(len(text.pair or "") for text in sample) > sum(len(text.text) for text in sample)
    groups: dict[str, int] = {}
    fit: list[CalibrationText] = []
    held_out: list[CalibrationText] = []
    for text in sample:
        shared = text.pair if by_pair and text.pair is not None else text.text
        number = groups.setdefault(shared, len(groups))
        (held_out if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else fit).append(text)
    if not held_out:
        raise CalibrationError(
            f"{where} has {len(texts)} pairs, but they share {count_of(len(groups), 'context')}, expected at least "
            f"{HELD_OUT_EVERY}: one is held out to measure the damage. Add pairs with other contexts."
        )
    fit, held_out = _evenly_spaced(fit, MAX_FIT), _evenly_spaced(held_out, MAX_HELD_OUT)
    if task in PAIR_TASKS:
        fit, held_out = _paired_with_next(fit), _paired_with_next(held_out)
    return CalibrationTexts(source, fit, held_out, notes)


def _paired_with_next(texts: list[CalibrationText]) -> list[CalibrationText]:
    """Pairs each text that has no pair with the next text."""
    after = [*texts[1:], *texts[:1]]
    return [
        text if text.pair is not None else replace(text, pair=other.text)
        for text, other in zip(texts, after, strict=True)
    ]


# Model inputs


def _has_tokens(encoder: TextEncoder, text: CalibrationText) -> bool:
    """True if any token is left: the tokenizer drops control characters and combining marks."""
    try:
        for part in (text.text, text.pair):
            if part is not None:
                encoder.tokens(part)
    except UsageError:
        return False
    return True


def _rows_of(texts: Sequence[CalibrationText], number: int, choices: int | None) -> Sequence[tuple[str, str | None]]:
    """Returns the first and the second text of each row of a feed."""
    text = texts[number]
    if choices is None:
        return [(text.text, text.pair)]
    after = [texts[(number + step) % len(texts)] for step in range(1, choices + 1)]
    endings = [] if text.pair is None else [text.pair]
    endings += [other.text if other.pair is None else other.pair for other in after]
    return [(text.text, ending) for ending in endings[:choices]]


def _masked(row: Row, places: list[int], encoder: TextEncoder) -> Row:
    """Masks every seventh of the given positions, from the middle of the first seven on."""
    mask_id = encoder.tokenizer.token_to_id(encoder.mask_token)
    if mask_id is None:
        return row
    chosen = set(places[MASK_EVERY // 2 :: MASK_EVERY])
    return Row([mask_id if place in chosen else token for place, token in enumerate(row.ids)], row.type_ids)


def _feed(rows: list[Row], seq_len: int | None, pad_token_id: int, task: Task) -> dict[str, np.ndarray]:
    length = seq_len or max(map(len, rows))
    shape = (len(rows), length)
    feed = {
        "input_ids": np.full(shape, pad_token_id, np.int64),
        "attention_mask": np.zeros(shape, np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
    }
    for place, row in enumerate(rows):
        feed["input_ids"][place, : len(row)] = row.ids
        feed["attention_mask"][place, : len(row)] = 1
        feed["token_type_ids"][place, : len(row)] = row.type_ids
    return {name: values[np.newaxis] if task.has_choices else values for name, values in feed.items()}
