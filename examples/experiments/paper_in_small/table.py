"""Tables of the experiment: the arms, and the paper's claims with the difference that each was measured by.

    python -m examples.experiments.paper_in_small.table FOLDER [PAGE.md]

FOLDER has `validation.json` and `test.json` of `evaluate`, and `masked_words.json`. The tables are printed; with a
page, they replace what is between its two `paper-in-small` comments.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from examples.experiments.marked_page import write_between_marks
from examples.experiments.paper_in_small.arms import ARMS, CLAIMS, Claim
from examples.experiments.paper_in_small.results import ByArm, best_rates, masked_words, sentiment
from mbert_onnx.training.evaluation.scores.intervals import seed_interval


def tables(folder: Path) -> str:
    """Returns both tables as Markdown, ending in a line break."""
    words, teacher = masked_words(folder / "masked_words.json")
    reviews, rates = sentiment(folder / "test.json"), best_rates(folder / "validation.json")
    (_, sentences), (seeds, texts) = words["none"].shape, reviews["none"].shape
    lines = [
        f"Means over {seeds} seeds, with each seed in brackets: masked words in {sentences:,} held-out sentences, and "
        f"accuracy on {texts:,} held-out reviews after fine-tuning, at the learning rate that is the best of the arm "
        "on the validation reviews.",
        "",
        "| arm | masked words, % | reviews, % | learning rate |",
        "|---|---|---|---|",
    ]
    for name, arm in ARMS.items():
        if name in words and name in reviews:
            lines.append(f"| {arm.title} | {_mean(words[name])} | {_mean(reviews[name])} | {rates[name]} |")
    if teacher is not None:
        lines.append(f"| the teacher | {100 * teacher.mean():.2f} | | |")
    lines += [
        "",
        "Differences in points, with 95 % intervals over seeds and texts, paired by both:",
        "",
        "| the paper | masked words | reviews |",
        "|---|---|---|",
    ]
    for claim in CLAIMS:
        if {claim.better, claim.worse} <= set(words) & set(reviews):
            lines.append(f"| {claim.text} | {_difference(words, claim)} | {_difference(reviews, claim)} |")
    return "\n".join(lines) + "\n"


def _mean(values: np.ndarray) -> str:
    seeds = ", ".join(f"{100 * value:.2f}" for value in values.mean(axis=1))
    return f"{100 * values.mean():.2f} ({seeds})"


def _difference(found: ByArm, claim: Claim) -> str:
    values = found[claim.better] - found[claim.worse]
    interval = seed_interval(values)
    if interval is None:
        return f"{100 * values.mean():+.2f}, one seed"
    low, high = interval
    verdict = "**as in the paper**" if low > 0 else "**the opposite**" if high < 0 else "not decided"
    return f"{100 * values.mean():+.2f} ({100 * low:+.2f} to {100 * high:+.2f}), {verdict}"


if __name__ == "__main__":
    try:
        found = tables(Path(sys.argv[1]))
        print(found, end="")
        if len(sys.argv) > 2:
            write_between_marks(Path(sys.argv[2]), "paper-in-small", found)
    except (OSError, ValueError) as error:
        sys.exit(f"table: {error}")
