"""Baseline of the sentiment model: TF-IDF of words and word pairs with logistic regression, on the same texts.

    python -m examples.reference.baseline CORPUS OUTPUT.json

Its parameters are chosen by cross-validation on the training and validation reviews; scikit-learn's defaults stand
beside.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from mbert_onnx.training.data.custom import Columns, read_custom
from mbert_onnx.training.evaluation.scores.intervals import share_interval

CHOICES = {"words__sublinear_tf": [False, True], "labels__C": [1, 3, 10, 30, 100]}


def main(corpus: Path, output: Path) -> None:
    """Writes accuracy and interval on the test reviews, by the way in which the parameters are set."""
    columns = Columns(label="rating", above=0.0, id="id")
    train = read_custom(corpus / "reviews_train_validation.tsv", columns, "train").examples
    test = read_custom(corpus / "reviews_test.tsv", columns, "test").examples
    plain = Pipeline([("words", TfidfVectorizer(ngram_range=(1, 2))), ("labels", LogisticRegression(max_iter=1000))])
    results = {}
    for name, model in {"chosen": GridSearchCV(plain, CHOICES, cv=5, n_jobs=-1), "defaults": plain}.items():
        model.fit([row.text for row in train], [row.label for row in train])
        predictions = model.predict([row.text for row in test])
        right = sum(label == row.label for label, row in zip(predictions, test, strict=True))
        low, high = share_interval(right, len(test))
        results[name] = {"value": right / len(test), "low": low, "high": high}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
