"""Film reviews in three parts, by their number: training, validation and test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from examples.reference.corpus.overlap import HeldOut

PARTS = ("train", "validation", "test")

# The last digit of a review's number decides its part: all others are for training.
TEST_DIGIT, VALIDATION_DIGIT = 0, 5


@dataclass(frozen=True)
class Review:
    """A row of the data folder's `movie_reviews.tsv`: the line as it is, and its text."""

    line: str
    text: str


def part_of(number: int) -> str:
    """Returns the part of the review with that number."""
    return {TEST_DIGIT: "test", VALIDATION_DIGIT: "validation"}.get(number % 10, "train")


def split_reviews(path: Path) -> tuple[str, dict[str, list[Review]]]:
    """Returns the header of a file, and its reviews by part.

    Training reviews that overlap with validation or test are left out, and validation reviews that overlap with test:
    some sentences were rated twice, with another punctuation.
    """
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    columns = header.split("\t")
    parts: dict[str, list[Review]] = {part: [] for part in PARTS}
    for line in lines:
        cells = dict(zip(columns, line.split("\t"), strict=True))
        parts[part_of(int(cells["id"]))].append(Review(line, cells["text"]))
    parts["validation"] = _without(parts["validation"], parts["test"])
    parts["train"] = _without(parts["train"], parts["test"] + parts["validation"])
    return header, parts


def write_reviews(folder: Path, header: str, parts: dict[str, list[Review]]) -> None:
    """Writes `reviews_PART.tsv` for each part, and `reviews_train_validation.tsv`, on which the last models learn."""
    for name, chosen in {**parts, "train_validation": parts["train"] + parts["validation"]}.items():
        content = "\n".join([header, *(review.line for review in chosen)]) + "\n"
        (folder / f"reviews_{name}.tsv").write_text(content, encoding="utf-8")


def _without(reviews: Iterable[Review], others: Iterable[Review]) -> list[Review]:
    held_out = HeldOut(review.text for review in others)
    return [review for review in reviews if not held_out.overlaps([review.text])]
