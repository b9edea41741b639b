"""Baseline of the reference model: TF-IDF of words and word pairs with logistic regression, on the same split.

    python examples/reference/baseline.py REVIEWS.tsv

Its parameters are chosen by cross-validation on the training reviews.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from mbert_onnx.training.data.custom import Columns, read_custom
from mbert_onnx.training.evaluation.scores.intervals import share_interval

CHOICES = {"words__sublinear_tf": [False, True], "labels__C": [1, 3, 10, 30, 100]}


def main(reviews: Path) -> None:
    """Prints the accuracy on the held-out reviews, with scikit-learn's defaults and with the chosen parameters."""
    columns = Columns(label="rating", above=0.0, id="id", every=10)
    train = read_custom(reviews, columns, "train", part="rest")
    held_out = read_custom(reviews, columns, "held out", part="held_out")
    plain = Pipeline([("words", TfidfVectorizer(ngram_range=(1, 2))), ("labels", LogisticRegression(max_iter=1000))])
    chosen = GridSearchCV(plain, CHOICES, cv=5, n_jobs=-1)
    for name, model in {"defaults": plain, "chosen": chosen}.items():
        model.fit([row.text for row in train.examples], [row.label for row in train.examples])
        predictions = model.predict([row.text for row in held_out.examples])
        right = sum(label == row.label for label, row in zip(predictions, held_out.examples, strict=True))
        count = len(predictions)
        low, high = share_interval(right, count)
        print(f"{name}: {100 * right / count:.2f} % ({100 * low:.2f} to {100 * high:.2f}) of {count:,} texts")
    print(f"chosen by cross-validation: {chosen.best_params_}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
