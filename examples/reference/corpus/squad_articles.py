"""SQuAD 1.1's development set in three parts, by article, so that no article is in two of them.

The file of the data folder has no titles, but its questions stand in the order of the articles.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PARTS = ("train", "validation", "test")

# Id of the first question of each of the 48 articles.
ARTICLES = {
    "56be4db0acb8001400a502ec": "Super Bowl 50",
    "5733a5f54776f41900660f45": "Warsaw",
    "56ddde6b9a695914005b9628": "Normans",
    "56df9e2838dc4217001520f6": "Nikola Tesla",
    "56e16182e3433e1400422e28": "Computational complexity theory",
    "56e7477700c9c71400d76f23": "Teacher",
    "56f7c651aef2371900625bf5": "Martin Luther",
    "5705e26d75f01819005e76d4": "Southern California",
    "57092322efce8f15003a7db0": "Sky UK",
    "570d2417fed7b91900d45c3d": "Victoria (Australia)",
    "57105da9a58dae1900cd699e": "Huguenots",
    "57112686b654c5140001fbd3": "Steam engine",
    "571a484210f8ca1400304fbd": "Oxygen",
    "5725b33f6a3fe71400b8952d": "1973 oil crisis",
    "5725b41838643c19005acb7f": "Apollo program",
    "5725b7f389a1e219009abd5c": "European Union law",
    "5725b81b271a42140099d097": "Amazon rainforest",
    "5725b9db38643c19005acbe1": "Ctenophora",
    "5725ce4d38643c19005acd4d": "Fresno, California",
    "5725d34089a1e219009abf50": "Packet switching",
    "57264684708984140094c123": "Black Death",
    "572657d9dd62a815002e8230": "Geology",
    "5726642f5951b619008f7157": "Newcastle upon Tyne",
    "5726710b708984140094c61d": "Victoria and Albert Museum",
    "57267b755951b619008f7433": "American Broadcasting Company",
    "57269e8a5951b619008f77f5": "Genghis Khan",
    "5726d8bd708984140094d35b": "Pharmacy",
    "5726e65e708984140094d53d": "Immune system",
    "57271c235951b619008f860b": "Civil disobedience",
    "57273a465951b619008f86ff": "Construction",
    "572746addd62a815002e9a5e": "Private school",
    "5727aa413acd2414000de921": "Harvard University",
    "5727c94bff5b5019007d954a": "Jacksonville, Florida",
    "5727e6cbff5b5019007d97ee": "Economic inequality",
    "5727efabff5b5019007d98e2": "Doctor Who",
    "57283c464b864d19001647c8": "University of Chicago",
    "57285ed5ff5b5019007da1b6": "Yuan dynasty",
    "5728dab94b864d1900164f96": "Kenya",
    "57293b843f37b31900478133": "Intergovernmental Panel on Climate Change",
    "572953013f37b3190047824d": "Chloroplast",
    "57296d571d04691400779413": "Prime number",
    "572f5533a23a5019007fc55b": "Rhine",
    "572fac17947a6a140053cb54": "Scottish Parliament",
    "572ff626947a6a140053ce8e": "Islamism",
    "573060b48ab72b1400f9c4c6": "Imperialism",
    "5730982f396df919000961e2": "United Methodist Church",
    "5733cf61d058e614000b62e9": "French and Indian War",
    "573735e8c3c5551400e51e71": "Force",
}

# Every fifth article, from the fifth on, is held out for the test; every tenth, from the second on, for validation.
TEST_EVERY, FIRST_TEST = 5, 4
VALIDATION_EVERY, FIRST_VALIDATION = 10, 1


def part_of(article: int) -> str:
    """Returns the part of the article with that number, from 0."""
    if article % TEST_EVERY == FIRST_TEST:
        return "test"
    return "validation" if article % VALIDATION_EVERY == FIRST_VALIDATION else "train"


def split_articles(rows: Iterable[Row], articles: Iterable[str] = tuple(ARTICLES)) -> dict[str, list[Row]]:
    """Returns the questions of each part.

    Args:
        rows: Questions with `id` and `context`, in the order of the articles.
        articles: Id of the first question of each article, in this order.

    Raises ValueError if an article is missing, or the rows begin with another one.
    """
    parts: dict[str, list[Row]] = {part: [] for part in PARTS}
    remaining = list(articles)
    number = -1
    for row in rows:
        if remaining and row["id"] == remaining[0]:
            remaining.pop(0)
            number += 1
        if number < 0:
            raise ValueError(f"the first question is {row['id']}, expected {remaining[0]}; give SQuAD 1.1's dev set")
        parts[part_of(number)].append(row)
    if remaining:
        raise ValueError(f"question {remaining[0]} is missing, the first of an article; give SQuAD 1.1's dev set")
    return parts


def read_rows(path: Path) -> list[Row]:
    """Reads the questions of a `.jsonl.gz`: id, question, context, answers."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def paragraphs_of(rows: Iterable[Row]) -> list[str]:
    """Returns the paragraphs, each once, in order."""
    return list(dict.fromkeys(row["context"] for row in rows))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes questions as `.jsonl`, for `evaluate --task retrieval`."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
