"""Articles of Wikipedia, from the shortened dump of 2016 that PyPI's package `gensim` has for its tests."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from examples.reference.corpus.documents import Document, sentences_of

DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

# A paragraph has at least so many words, and ends as a sentence does; tables and lists do not.
SHORTEST = 20
ENDS = (".", "!", "?", '"', ")")

# Tags whose content stands between words of a paragraph, and does not belong to it.
NOT_PROSE = ("ref", "table", "gallery", "math")

# Share of words that begin with a letter or a bracket; less is a table.
WORDS = 0.8


def read(folder: Path) -> Iterator[Document]:
    """Yields the paragraphs of the articles; needs `mwparserfromhell`, which `make reference-models` installs."""
    import mwparserfromhell

    with bz2.open(folder / DUMP) as file:
        pages = ElementTree.parse(file).getroot()
    for element in pages.iterfind("{*}page/{*}revision/{*}text"):
        text = element.text or ""
        if text.lstrip().lower().startswith("#redirect"):
            continue
        article = mwparserfromhell.parse(text)
        outermost = article.RECURSE_OTHERS
        for note in article.filter_tags(outermost, matches=lambda tag: str(tag.tag).strip().lower() in NOT_PROSE):
            article.replace(note, "")
        for paragraph in article.strip_code().splitlines():
            if _is_prose(paragraph.strip()):
                yield sentences_of(paragraph)


def _is_prose(line: str) -> bool:
    words = line.split()
    if len(words) < SHORTEST or not line.endswith(ENDS) or line[0] in "|!{*#:":
        return False
    return sum(word[0].isalpha() or word[0] in "(\"'" for word in words) >= WORDS * len(words)
