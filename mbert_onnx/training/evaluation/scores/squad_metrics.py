"""SQuAD's exact match and F1, after the definitions of the benchmark's evaluation script (version 2.0).

An answer is compared in lower case, without punctuation and without articles. Of several right answers the one counts
that fits best. Where nothing is the right answer, only nothing is right.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def words_of(answer: str) -> list[str]:
    """The words of an answer that count."""
    return ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split()


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction has the words of one of the answers, in their order; else 0."""
    found = words_of(prediction)
    return float(any(found == words_of(answer) for answer in _right(answers)))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The harmonic mean of precision and recall in words, of the answer that fits best; 0 to 1."""
    return max(_f1(words_of(prediction), words_of(answer)) for answer in _right(answers))


def _right(answers: Sequence[str]) -> Sequence[str]:
    """Answers that say something; "nothing" where there are none."""
    return [answer for answer in answers if words_of(answer)] or [""]


def _f1(found: list[str], right: list[str]) -> float:
    if not found or not right:
        return float(found == right)
    same = sum((Counter(found) & Counter(right)).values())
    return 2 * same / (len(found) + len(right))
