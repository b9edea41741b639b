"""Choice of a learning rate by the validation reviews, from what `evaluate --json` has written.

    python -m examples.reference.choice EVALUATION.json PREFIX

prints the learning rate of the best of the models that are named PREFIX-RATE.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def rates(evaluation: Path, prefix: str) -> dict[str, float]:
    """Returns the accuracy at each learning rate, of models named `…/PREFIX-RATE/model`, in the order of the file.

    Raises OSError for a file that is missing, ValueError for one without such a model.
    """
    found = {}
    for one in json.loads(evaluation.read_text(encoding="utf-8")):
        for standing in one["standings"]:
            name = Path(standing["model"]).parent.name
            if name.startswith(f"{prefix}-"):
                found[name.removeprefix(f"{prefix}-")] = float(standing["scores"]["accuracy"]["value"])
    if not found:
        raise ValueError(f"{evaluation} has no model named {prefix}-RATE; evaluate some")
    return found


def best_rate(evaluation: Path, prefix: str) -> str:
    """Returns the learning rate with the highest accuracy; of equal ones the first."""
    found = rates(evaluation, prefix)
    return max(found, key=lambda rate: found[rate])


if __name__ == "__main__":
    try:
        print(best_rate(Path(sys.argv[1]), sys.argv[2]))
    except (OSError, ValueError) as error:
        sys.exit(f"choice: {error}")
