"""SQuAD's exact match and F1, as defined by the benchmark's evaluation script (version 2.0).

Answers are compared in lower case, without punctuation and articles. If there are several correct answers, the
best match counts. If a question has no answer, only the empty answer is correct.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized_words(answer: str) -> list[str]:
    """Returns the words of an answer in lower case, without punctuation and articles."""
    return ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split()


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Returns 1 if the prediction has the words of a correct answer in the same order, else 0."""
    found = normalized_words(prediction)
    return float(any(found == normalized_words(answer) for answer in _right(answers)))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Computes the largest harmonic mean of word precision and recall over the correct answers, 0 to 1."""
    return max(_f1(normalized_words(prediction), normalized_words(answer)) for answer in _right(answers))


def _right(answers: Sequence[str]) -> Sequence[str]:
    """Returns the answers with words, or the empty answer if there are none."""
    return [answer for answer in answers if normalized_words(answer)] or [""]


def _f1(found: list[str], right: list[str]) -> float:
    if not found or not right:
        return float(found == right)
    same = sum((Counter(found) & Counter(right)).values())
    return 2 * same / (len(found) + len(right))
