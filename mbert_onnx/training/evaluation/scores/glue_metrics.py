"""GLUE's metrics as functions of labels and predictions.

Accuracy and F1 are computed here, because the checks of scikit-learn take longer than the rest of a bootstrap of a
thousand samples (half of the time of an evaluation); the others are computed by scikit-learn and SciPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

Metric = Callable[[np.ndarray, np.ndarray], float]


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Computes the share of correct predictions."""
    return float(np.mean(labels == predictions))


def f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Computes the harmonic mean of precision and recall of label 1; 0 if undefined."""
    positive, predicted = labels == 1, predictions == 1
    relevant = int(positive.sum()) + int(predicted.sum())
    return 2 * int((positive & predicted).sum()) / relevant if relevant else 0.0


def matthews_correlation(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Computes Matthews' correlation, -1 to 1; 0 if all labels or all predictions are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about samples with one label, which the bootstrap may draw
        return float(sklearn_metrics.matthews_corrcoef(labels, predictions))


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Computes Pearson's correlation, -1 to 1; 0 if labels or predictions are constant."""
    return _correlation(stats.pearsonr, labels, predictions)


def spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Computes Spearman's rank correlation, -1 to 1; 0 if labels or predictions are constant."""
    return _correlation(stats.spearmanr, labels, predictions)


def _correlation(function: Callable[..., tuple[float, float]], labels: np.ndarray, predictions: np.ndarray) -> float:
    if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(function(labels, predictions)[0])


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "f1": f1,
    "matthews_correlation": matthews_correlation,
    "pearson": pearson,
    "spearman": spearman,
}
