"""Sentences with opinions, without their ratings: VADER's other texts, and reviews from npm's package `sentiment`."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from examples.reference.corpus.documents import Document

ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"

# Reviews of products and films that Kotzias et al. 2015 collected.
REVIEWS = ("amazon", "imdb")


def _vader(name: str, folder: Path) -> Iterator[Document]:
    with tarfile.open(folder / ARCHIVE) as archive:
        file = archive.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        assert file is not None
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    for line in lines:
        text = " ".join(line.split("\t", 2)[-1].split())
        if text and "\ufffd" not in text:
            yield [text]


read_products = partial(_vader, "amazonReviewSnippets")
read_editorials = partial(_vader, "nytEditorialSnippets")
read_tweets = partial(_vader, "tweets")


def read_reviews(folder: Path) -> Iterator[Document]:
    """Yields sentences of reviews of products and films."""
    for name in REVIEWS:
        for row in json.loads((folder / "package" / "test" / "fixtures" / f"{name}.json").read_text(encoding="utf-8")):
            yield [" ".join(row["text"].split())]
