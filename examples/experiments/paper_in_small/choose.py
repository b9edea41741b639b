"""Names of the models whose learning rate is the best of their arm on the validation reviews, for the test.

python -m examples.experiments.paper_in_small.choose VALIDATION.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from examples.experiments.paper_in_small.results import chosen_models

if __name__ == "__main__":
    print(" ".join(chosen_models(Path(sys.argv[1]))))
