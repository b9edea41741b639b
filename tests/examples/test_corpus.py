"""The corpus of the built-in models: parts without overlap, and documents of packages, on small stand-ins."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from examples.reference.corpus import squad_articles
from examples.reference.corpus.build import build
from examples.reference.corpus.documents import sentences_of
from examples.reference.corpus.overlap import HeldOut
from examples.reference.corpus.packages import Package
from examples.reference.corpus.sources import Source, wordnet


def words(number: int, name: str) -> str:
    """Words that no other number and name have."""
    return " ".join(f"{name}{number}{letter}" for letter in "abcdefghij")


REVIEWS = "id\trating\ttext\n" + "".join(f"{n}\t{n % 3 - 1}\t{words(n, 'film')}\n" for n in range(1, 21))
NOUNS = """  1 the licence stands here
00001740 03 n 02 entity 0 whole_thing 0 000 | that which is perceived; "an entity"
00001930 03 n 01 object 0 000 | a thing that has a place
00002137 04 n 01 act(a) 0 000 | something that is done
"""


def package(folder: Path, name: str, files: dict[str, str]) -> Source:
    """A package that was fetched before, so that nothing is fetched."""
    for path, content in files.items():
        place = folder / "packages" / f"debian-{name}" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return Source(name, f"texts of {name}", "MIT", Package("debian", name, "1"), wordnet.read, 16)


def squad(path: Path) -> None:
    """Every article has one paragraph with two questions."""
    with gzip.open(path, "wt") as file:
        for number, article in enumerate(squad_articles.ARTICLES):
            context = f"{words(number, 'article').capitalize()}. It ends at {number}."
            for name in (article, f"{article}-second"):
                question = f"{words(number, 'question')} {name} ?"
                print(json.dumps({"id": name, "question": question, "context": context}), file=file)


def test_no_held_out_text_is_in_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "reviews.tsv").write_text(REVIEWS)
    squad(tmp_path / "squad.jsonl.gz")
    folder = tmp_path / "corpus"
    files = {f"usr/share/wordnet/data.{name}": "" for name in ("verb", "adj", "adv")}
    overlapping = f"00001000 02 n 01 x 0 000 | {words(4, 'article')}\n"
    files["usr/share/wordnet/data.noun"] = overlapping + NOUNS
    entries = build(tmp_path / "reviews.tsv", tmp_path / "squad.jsonl.gz", folder, [package(folder, "words", files)])
    summary = json.loads((folder / "corpus.json").read_text())
    assert [entry["file"] for entry in summary] == ["paragraphs.txt", "questions.txt", "reviews.txt", "words.txt"]
    parts = {}
    for part in squad_articles.PARTS:
        rows = [json.loads(line) for line in (folder / f"squad_{part}.jsonl").read_text().splitlines()]
        parts[part] = squad_articles.paragraphs_of(rows)
    assert [len(parts[part]) for part in squad_articles.PARTS] == [34, 5, 9]
    paragraphs = (folder / "paragraphs.txt").read_text().split("\n\n")
    assert [" ".join(paragraph.split("\n")).strip() for paragraph in paragraphs] == parts["train"]
    texts = "".join(path.read_text() for path in folder.glob("*.txt"))
    assert [name in texts for name in ("film3a", "film5a", "film10a")] == [True, False, False]
    assert "article4a" not in texts
    assert "question4a" not in texts
    assert (folder / "reviews_test.tsv").read_text().count("\n") == 3
    assert (folder / "reviews_train_validation.tsv").read_text().count("\n") == 19
    # The first document overlaps with a held-out article, the third would exceed the cap.
    glosses = (folder / "words.txt").read_text()
    assert glosses == 'entity, whole thing: that which is perceived; "an entity"\nobject: a thing that has a place\n'
    assert (entries[-1].words, entries[-1].overlapping, entries[-1].sampled) == (16, 1, True)


def test_an_article_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="question b is missing"):
        squad_articles.split_articles([{"id": "a"}, {"id": "c"}], ["a", "b"])
    with pytest.raises(ValueError, match="the first question is c, expected a"):
        squad_articles.split_articles([{"id": "c"}], ["a"])


@pytest.mark.parametrize(
    ("document", "overlaps"),
    [
        ("He said that one two three four FIVE six, seven eight.", True),
        ("one two three four five six seven and eight", False),
        ("Who was Tesla's father?", True),
        ("Who was Tesla's father in law?", False),
    ],
)
def test_overlap_is_an_n_gram_or_a_whole_short_text(document: str, overlaps: bool) -> None:
    held_out = HeldOut(["zero one two three four five six seven eight nine", "who was tesla 's father ?", "who ?"])
    assert held_out.overlaps([document]) == overlaps


def test_sentences_end_where_another_begins() -> None:
    text = 'It was won by  J. Smith of St. Louis in 1.5 h. "He ran." (So it is said.) The U.S. team, e.g. A. B.\nlost'
    assert sentences_of(text) == [
        "It was won by J. Smith of St. Louis in 1.5 h.",
        '"He ran."',
        "(So it is said.)",
        "The U.S. team, e.g. A. B. lost",
    ]
