"""The tokenizer of a bundle gives the ids that transformers' tokenizer gives for the same checkpoint."""

from __future__ import annotations

import json
import string
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.tokenizer_files import COMPANIONS, character_vocabulary, write_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    *SPECIAL,
    "cafe",
    "café",
    "ada",
    "Ada",
    "##s",
    "wrote",
    "中",
    "文",
    "中文",
    ".",
    "!",
    "\u2028",
    "\x85x",
    "last",
]
TEXTS = [
    "Ada wrote cafés.",
    "a CAFE!",
    "中文",
    "ada [MASK] last",
    "[SEP] ada",
    "last \u2028 last",
    "",
    "ADA  wrote\tit",
]


def vocabulary(
    folder: Path, words: list[str] = WORDS, newline: str = "\n", config: dict[str, bool] | None = None
) -> Path:
    """A checkpoint's folder as long ago: `vocab.txt`, and perhaps `tokenizer_config.json`."""
    folder.mkdir()
    (folder / "vocab.txt").write_bytes("".join(word + newline for word in words).encode())
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def write(source: Path | None, destination: Path, vocab_size: int = 100) -> bool:
    destination.mkdir()
    return write_tokenizer(source, destination, vocab_size, 40)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
    ],
    ids=str,
)
def test_a_vocabulary_becomes_the_tokenizer_that_transformers_makes_of_it(
    config: dict[str, bool], tmp_path: Path
) -> None:
    source = vocabulary(tmp_path / "model", config=config)
    theirs = transformers.MobileBertTokenizerFast.from_pretrained(source)
    assert write(source, tmp_path / "bundle")
    ours = Tokenizer.from_file(str(tmp_path / "bundle" / "tokenizer.json"))
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
    pair = ours.encode(*TEXTS[:2])
    expected = theirs(*TEXTS[:2])
    assert (pair.ids, pair.type_ids) == (expected["input_ids"], expected["token_type_ids"])


def test_a_vocabulary_with_other_line_ends(tmp_path: Path) -> None:
    source = vocabulary(tmp_path / "model", newline="\r\n")
    write(source, tmp_path / "bundle")
    ours = Tokenizer.from_file(str(tmp_path / "bundle" / "tokenizer.json"))
    assert ours.token_to_id("last") == len(WORDS) - 1


def test_transformers_opens_what_is_written(tmp_path: Path) -> None:
    write(vocabulary(tmp_path / "model"), tmp_path / "bundle")
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    assert found("ada [MASK]")["input_ids"] == [2, 7, 4, 3]
    assert found.model_max_length == 40
    assert found.mask_token == "[MASK]"


def test_files_that_were_written_are_written_again_as_they_are(tmp_path: Path) -> None:
    write(vocabulary(tmp_path / "model"), tmp_path / "modern")
    assert write(tmp_path / "modern", tmp_path / "bundle")
    assert {path.name for path in (tmp_path / "bundle").iterdir()} <= set(COMPANIONS)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "bundle" / name).read_bytes() == (tmp_path / "modern" / name).read_bytes()


def test_a_checkpoint_without_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert not write(tmp_path / "model", tmp_path / "bundle")
    assert list((tmp_path / "bundle").iterdir()) == []


# Files that cannot be read


def test_a_tokenizer_json_that_is_none(tmp_path: Path) -> None:
    source = vocabulary(tmp_path / "model")
    (source / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read \(.*\); copy it again") as caught:
        write(source, tmp_path / "bundle")
    assert "\n" not in str(caught.value)


def test_special_tokens_that_a_vocabulary_lacks_are_added_as_transformers_adds_them(tmp_path: Path) -> None:
    source = vocabulary(tmp_path / "model", ["[PAD]", "[UNK]", "[CLS]", "ada"])
    theirs = transformers.MobileBertTokenizerFast.from_pretrained(source)
    write(source, tmp_path / "bundle")
    ours = Tokenizer.from_file(str(tmp_path / "bundle" / "tokenizer.json"))
    assert ours.encode("ada [MASK]").ids == theirs("ada [MASK]")["input_ids"]


def test_a_vocabulary_that_is_no_text(tmp_path: Path) -> None:
    source = vocabulary(tmp_path / "model")
    (source / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match=r"cannot load its tokenizer .*(?i:utf-8).*; copy its files again"):
        write(source, tmp_path / "bundle")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_tokenizer_config_that_is_no_object(text: str, tmp_path: Path) -> None:
    source = vocabulary(tmp_path / "model")
    (source / "tokenizer_config.json").write_text(text)
    with pytest.raises(CheckpointError, match="the tokenizer's files cannot be read"):
        write(source, tmp_path / "bundle")


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from mbert_onnx.model.tokenizer_files import write_tokenizer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "write_tokenizer(None, Path(sys.argv[1]), 30522, 40)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("OSError: File too large")  # what `writing` makes a line of


# Random models


def test_random_models_read_characters(tmp_path: Path) -> None:
    assert write(None, tmp_path / "bundle", vocab_size=300)
    ours = Tokenizer.from_file(str(tmp_path / "bundle" / "tokenizer.json"))
    encoding = ours.encode("Zebra, 42!")
    assert encoding.tokens == ["[CLS]", *("z", "##e", "##b", "##r", "##a"), ",", "4", "##2", "!", "[SEP]"]


def test_every_character_has_a_number_and_every_number_a_word() -> None:
    words = character_vocabulary(30522)
    assert sorted(words.values()) == list(range(30522))
    characters = string.ascii_lowercase + string.digits + string.punctuation
    assert {*SPECIAL, *characters, *(f"##{c}" for c in characters)} <= words.keys()
    assert words["[PAD]"] == 0


def test_a_small_vocabulary_has_the_special_tokens_and_what_fits() -> None:
    assert character_vocabulary(7) == {word: n for n, word in enumerate([*SPECIAL, "a", "b"])}
