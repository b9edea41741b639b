"""A bundle's tokenizer is the one that transformers loads for the checkpoint, whatever its kind and settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from small_checkpoints import save_small
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mbert_onnx import export, load
from mbert_onnx.errors import BundleError, CheckpointError, VerificationError
from mbert_onnx.model import tokenizer_files
from mbert_onnx.model.checkpoint_tokenizer.check import embedding_notes, sample_texts
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.text.encoder import TextEncoder

LETTERS = "abcdefghijklmnopqrstuvwxyzA"
WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *(
        "ada",
        "Ada",
        "cafe",
        "café",
        "中",
        "中文",
        "the",
        "film",
        ".",
        "[",
        "]",
        "CLS",
        "SEP",
        "mask",
        "sep",
        "<",
        ">",
    ),
]
POSITIONS = 40
SENTENCES = ["the film was good", "who wrote it", "Ada wrote the first program"] * 3


def change(folder: Path, **settings: Any) -> None:
    """Changes keys of tokenizer_config.json."""
    path = folder / "tokenizer_config.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **settings}))


def put_words(folder: Path, words: list[str] = WORDS) -> Path:
    path = folder / "vocab.txt"
    path.write_text("".join(f"{word}\n" for word in words))
    return path


def wordpiece(folder: Path, **options: Any) -> transformers.BertTokenizerFast:
    """A tokenizer.json, a tokenizer_config.json and the vocabulary, as BertTokenizerFast saves them."""
    fast = transformers.BertTokenizerFast(str(put_words(folder)), **options)
    fast.save_pretrained(folder)
    return fast


def byte_level(folder: Path, **options: Any) -> None:
    """A byte-level BPE as RoBERTa's, with the special tokens `<s>` and others, in tokenizer.json."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    transformers.RobertaTokenizerFast(tokenizer_object=tokenizer, **options).save_pretrained(folder)


def unigram(folder: Path) -> None:
    """A Unigram as ALBERT's, of SentencePiece pieces, in tokenizer.json."""
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>")
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.AlbertTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


# Checkpoints' tokenizers


def slow_with_added_tokens(folder: Path) -> None:
    slow = transformers.BertTokenizer(str(put_words(folder)))
    slow.add_tokens(["covid", AddedToken("GPT", lstrip=True, rstrip=True, single_word=True, normalized=False)])
    slow.add_special_tokens({"additional_special_tokens": ["[ENT]"]})
    slow.save_pretrained(folder)


def added_tokens_of_old_files(folder: Path) -> None:
    """As transformers 2 wrote them: no `added_tokens_decoder`."""
    put_words(folder)
    (folder / "added_tokens.json").write_text(json.dumps({"covid": len(WORDS), "[ENT]": len(WORDS) + 1}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": ["[ENT]"]}))


def other_special_tokens(folder: Path) -> None:
    names = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}
    put_words(folder, [names.get(word, word) for word in WORDS])
    change(folder, **{f"{key[1:-1].lower()}_token": value for key, value in names.items()})


def special_tokens_in_the_map_only(folder: Path) -> None:
    other_special_tokens(folder)
    (folder / "tokenizer_config.json").rename(folder / "special_tokens_map.json")


def overriding(**settings: Any) -> Callable[[Path], None]:
    """A tokenizer.json as BertTokenizerFast saves it by default, and other settings in tokenizer_config.json."""

    def make(folder: Path) -> None:
        wordpiece(folder).save_pretrained(folder)
        change(folder, **settings)

    return make


def added_in_the_config_only(folder: Path) -> None:
    wordpiece(folder)
    token = {"content": "covid", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    config = json.loads((folder / "tokenizer_config.json").read_text())
    change(
        folder,
        added_tokens_decoder={**config.get("added_tokens_decoder", {}), str(len(WORDS)): {**token, "special": False}},
    )


def prefix_space(folder: Path) -> None:
    byte_level(folder)
    change(folder, add_prefix_space=True)


def vocabulary_and_merges(folder: Path) -> None:
    byte_level(folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("".join(f"{' '.join(merge)}\n" for merge in model["merges"]))


def of_transformers_5(folder: Path) -> None:
    wordpiece(folder)
    change(folder, tokenizer_class="TokenizersBackend", backend="tokenizers", extra_special_tokens=["[ENT]"])


def with_stale_paths(folder: Path) -> None:
    wordpiece(folder)
    change(folder, vocab_file="/nowhere/vocab.txt", tokenizer_file="/nowhere/tokenizer.json", name_or_path="/nowhere")


def with_byte_order_marks(folder: Path) -> None:
    wordpiece(folder, do_lower_case=False)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((folder / name).read_text(), encoding="utf-8-sig")


def padded_and_truncated(folder: Path) -> None:
    fast = wordpiece(folder)
    fast.backend_tokenizer.enable_truncation(12, direction="left")
    fast.backend_tokenizer.enable_padding(length=12)
    fast.save_pretrained(folder)


KINDS: dict[str, Callable[[Path], None]] = {
    "slow-with-added-tokens": slow_with_added_tokens,
    "added-tokens-of-old-files": added_tokens_of_old_files,
    "other-special-tokens": other_special_tokens,
    "special-tokens-in-the-map-only": special_tokens_in_the_map_only,
    "cased": overriding(do_lower_case=False),
    "accents": overriding(strip_accents=False),
    "no-accents-cased": overriding(do_lower_case=False, strip_accents=True),
    "chinese": overriding(tokenize_chinese_chars=False),
    "left": overriding(truncation_side="left", padding_side="left"),
    "split-special-tokens": overriding(split_special_tokens=True),
    "no-token-types": overriding(model_input_names=["input_ids", "attention_mask"]),
    "other-class": overriding(tokenizer_class="DistilBertTokenizer"),
    "generic-class": overriding(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False),
    "no-limit": overriding(model_max_length=int(1e30)),
    "added-in-the-config-only": added_in_the_config_only,
    "byte-level": byte_level,
    "prefix-space": prefix_space,
    "vocabulary-and-merges": vocabulary_and_merges,
    "unigram": unigram,
    "of-transformers-5": of_transformers_5,
    "padded-and-truncated": padded_and_truncated,
}
# A text of some kinds, and its tokens.
BY_HAND = {
    "slow-with-added-tokens": ("the [ENT] covid", ["[CLS]", "the", "[ENT]", "covid", "[SEP]"]),
    "other-special-tokens": ("the <mask>", ["<s>", "the", "<mask>", "</s>"]),
    "special-tokens-in-the-map-only": ("the <mask>", ["<s>", "the", "<mask>", "</s>"]),
    "cased": ("Ada", ["[CLS]", "Ada", "[SEP]"]),
    "accents": ("CAFÉ", ["[CLS]", "café", "[SEP]"]),
    "no-accents-cased": ("café Ada", ["[CLS]", "cafe", "Ada", "[SEP]"]),
    "chinese": ("中文", ["[CLS]", "中文", "[SEP]"]),
    "split-special-tokens": ("[SEP]", ["[CLS]", "[", "sep", "]", "[SEP]"]),
    "added-in-the-config-only": ("the covid", ["[CLS]", "the", "covid", "[SEP]"]),
    "prefix-space": ("the", ["<s>", "Ġthe", "</s>"]),
}
# Files that transformers itself does not load.
TOLERATED: dict[str, Callable[[Path], None]] = {
    "stale-paths": with_stale_paths,
    "byte-order-marks": with_byte_order_marks,
    "limit-as-text": overriding(model_max_length="512"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "mobilebert"}')
    return folder


def written(source: Path) -> Path:
    """Writes the tokenizer of a checkpoint into a bundle's folder."""
    bundle = source.with_name("bundle")
    bundle.mkdir()
    assert write_tokenizer(source, bundle, 0, POSITIONS)
    return bundle


def encoder_of(bundle: Path) -> TextEncoder:
    return TextEncoder(bundle / "tokenizer.json", POSITIONS)


def row_of(encoder: TextEncoder, text: str, pair: str | None = None) -> tuple[list[int], list[int]]:
    row = encoder.row(encoder.encode(text).ids, None if pair is None else encoder.encode(pair).ids)
    return row.ids, row.type_ids


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_transformers(kind: str, source: Path) -> None:
    KINDS[kind](source)
    if kind == "of-transformers-5" and transformers.__version__ < "5":  # which it does not read
        theirs = transformers.PreTrainedTokenizerFast.from_pretrained(source, extra_special_tokens={})
        theirs.add_special_tokens({"additional_special_tokens": ["[ENT]"]})
    else:
        theirs = transformers.AutoTokenizer.from_pretrained(source)
    bundle = written(source)
    encoder = encoder_of(bundle)
    for subject in (theirs, transformers.AutoTokenizer.from_pretrained(bundle)):
        for text, pair in (
            ("Ada wrote it", None),
            ("covid, COVID and covids; a GPT GPTs", None),
            ("a [ENT]b", None),
            ("CAFÉ cafe\u0301 中文", "Ada"),
            ("[SEP] </s> a <mask>[MASK]", "[CLS]<s>"),
            ("", None),
            (" the  film\x00", "b"),
        ):
            # Transformers 5 gives token types only where the class, or the bundle's settings, say so.
            generic = {"return_token_type_ids": True} if kind in ("of-transformers-5", "generic-class") else {}
            expected = subject(text, pair, **generic)
            types = expected.get("token_type_ids", [0] * len(expected["input_ids"]))
            assert row_of(encoder, text, pair) == (expected["input_ids"], types), (text, pair)
        long = "Ada wrote the film " * 30
        for texts in ((long,), (long, "a b"), ("a b", long)):
            cut = subject(*texts, truncation=True, max_length=POSITIONS)
            assert encoder.truncated(*texts)[0].ids == cut["input_ids"]
    assert encoder.tokenizer.token_to_id(encoder.mask_token) == theirs.mask_token_id
    text, tokens = BY_HAND.get(kind, ("", None))
    assert tokens is None or [encoder.tokenizer.id_to_token(number) for number in row_of(encoder, text)[0]] == tokens


@pytest.mark.parametrize("kind", TOLERATED)
def test_files_that_only_look_wrong(kind: str, source: Path) -> None:
    TOLERATED[kind](source)
    cased = kind == "byte-order-marks"
    assert row_of(encoder_of(written(source)), "Ada")[0] == [2, WORDS.index("Ada" if cased else "ada"), 3]


def test_limits_are_those_of_the_model(source: Path) -> None:
    for limit, expected in ((1e30, POSITIONS), (16, 16)):
        overriding(model_max_length=limit)(source)
        bundle = written(source)
        assert json.loads((bundle / "tokenizer_config.json").read_text())["model_max_length"] == expected
        shutil.rmtree(bundle)


def test_a_bundle_contains_no_paths_of_the_machine(source: Path) -> None:
    with_stale_paths(source)
    bundle = written(source)
    assert "/" not in (bundle / "tokenizer_config.json").read_text()


def test_no_file_outside_of_the_checkpoint_is_read(source: Path, tmp_path: Path) -> None:
    put_words(source)
    secret = tmp_path / "secret.txt"
    secret.write_text("\n".join([*WORDS[:5], "secret"]))
    change(source, vocab_file=str(secret), init_inputs=[str(secret)], tokenizer_class="BertTokenizer")
    bundle = written(source)
    assert "secret" not in (bundle / "tokenizer.json").read_text()


def test_the_texts_exercise_the_tokenizers_own_tokens(source: Path) -> None:
    slow_with_added_tokens(source)
    texts = sample_texts(transformers.AutoTokenizer.from_pretrained(source))
    assert texts == sample_texts(transformers.AutoTokenizer.from_pretrained(source))
    everything = "\n".join(texts)
    for part in ("covid", "COVID", "[ENT]", "[SEP]", "É", "e\u0301", "中", "\x00", "\u200b"):
        assert part in everything
    assert "" in texts


# What is refused


def test_a_tokenizer_that_gives_other_ids_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wordpiece(source)
    save = tokenizer_files._save_loaded

    def save_cased(tokenizer: Any, folder: Path, *options: Any) -> None:
        save(tokenizer, folder, *options)
        path = folder / "tokenizer.json"
        path.write_text(path.read_text().replace('"lowercase": true', '"lowercase": false'))
        change(folder, do_lower_case=False)

    monkeypatch.setattr(tokenizer_files, "_save_loaded", save_cased)
    save_small(source, num_hidden_layers=1, vocab_size=len(WORDS))
    with pytest.raises(VerificationError) as caught:
        export(source, source.with_name("bundle"))
    message = str(caught.value)
    assert f"{source}: the bundle's tokenizer is not the checkpoint's, nothing is written: for 'Ada" in message
    ada = f"token 1 is {WORDS.index('Ada')} ('Ada', token type 0), in transformers {WORDS.index('ada')} ('ada', "
    assert ada in message
    assert "\n" not in message
    assert sorted(path.name for path in source.parent.iterdir()) == ["model"]


def python_only(folder: Path) -> None:
    put_words(folder)
    change(folder, tokenizer_class="ProphetNetTokenizer")
    (folder / "vocab.txt").rename(folder / "prophetnet.tokenizer")
    put_words(folder)


def sentencepiece_only(folder: Path) -> None:
    (folder / "spiece.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    change(folder, tokenizer_class="AlbertTokenizer")


def own_code(folder: Path) -> None:
    put_words(folder)
    change(folder, tokenizer_class="MyTokenizer", auto_map={"AutoTokenizer": ["own.MyTokenizer", None]})
    (folder / "own.py").write_text("raise SystemExit('this ran')")


def generic_without_file(folder: Path) -> None:
    put_words(folder)
    change(folder, tokenizer_class="PreTrainedTokenizerFast")


def unknown_side(folder: Path) -> None:
    overriding(truncation_side="middle")(folder)


def names_that_are_none(folder: Path) -> None:
    overriding(model_input_names=3)(folder)


def no_merges(folder: Path) -> None:
    (folder / "vocab.json").write_text('{"a": 0}')
    change(folder, tokenizer_class="RobertaTokenizer")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (sentencepiece_only, r"save it with a tokenizer\.json where sentencepiece is installed"),
        (generic_without_file, r"names a class that needs a tokenizer\.json: copy that file, too"),
        (own_code, r"code of the checkpoint \(auto_map\), which is not run; save it as"),
        (unknown_side, "cannot load its tokenizer .*'right' and 'left'.*copy its files again, or correct"),
        (no_merges, "cannot load its tokenizer"),
        (
            names_that_are_none,
            r"model_input_names in tokenizer_config\.json is 3; expected a list|cannot load its tokenizer",
        ),
        (python_only, "transformers has in Python only|cannot load its tokenizer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tokenizers_that_no_bundle_can_have(make: Callable[[Path], None], says: str, source: Path) -> None:
    make(source)
    (source.with_name("bundle")).mkdir()
    with pytest.raises(CheckpointError, match=says) as caught:
        write_tokenizer(source, source.with_name("bundle"), 0, POSITIONS)
    assert str(caught.value).startswith(f"{source}: ")
    assert "\n" not in str(caught.value)
    assert "mbert-onnx-" not in str(caught.value)  # the temporary folder


# Tokens without a word embedding


def test_added_tokens_without_embedding_are_reported(source: Path) -> None:
    fast = wordpiece(source)
    fast.add_tokens(["covid", *(f"new{number}" for number in range(9))])
    fast.save_pretrained(source)
    bundle, rows = written(source), len(WORDS)
    [note] = embedding_notes(bundle / "tokenizer.json", rows, "model")
    assert note.startswith(f"the model has {rows} word embeddings, none for 'covid' (token {rows}), 'new0' (token ")
    assert "and 2 others; a text with such a token is refused" in note
    assert f"model.resize_token_embeddings({rows + 10})" in note
    encoder = TextEncoder(bundle / "tokenizer.json", POSITIONS, vocab_size=rows)
    assert encoder.truncated("the film")[0].ids
    with pytest.raises(BundleError, match=rf"The text has 'covid' \(token {rows}\), but.*resize_token_embeddings"):
        encoder.truncated("the covid film")
    assert embedding_notes(bundle / "tokenizer.json", rows + 10, "model") == []


def test_a_vocabulary_larger_than_the_model_is_reported(source: Path) -> None:
    put_words(source, [*WORDS, "extra1"])
    bundle = written(source)
    [note] = embedding_notes(bundle / "tokenizer.json", len(WORDS), "model")
    assert "'extra1'" in note
    assert "put the tokenizer with which the checkpoint was trained into its folder" in note
    encoder = TextEncoder(bundle / "tokenizer.json", POSITIONS, vocab_size=len(WORDS))
    with pytest.raises(BundleError, match="larger vocabulary than the model"):
        encoder.truncated("the extra1")


def test_special_tokens_without_embedding_are_refused(source: Path) -> None:
    put_words(source, [word for word in WORDS if word != "[SEP]"])
    bundle = written(source)
    with pytest.raises(
        CheckpointError, match=r"each row of its tokenizer has '\[SEP\]' \(token \d+\), but the model has"
    ):
        embedding_notes(bundle / "tokenizer.json", len(WORDS) - 1, "model")


@pytest.mark.usefixtures("traced_once")
def test_an_export_reports_tokens_without_embedding(source: Path, tmp_path: Path) -> None:
    fast = wordpiece(source)
    save_small(source, num_hidden_layers=1, vocab_size=len(fast))
    fast.add_tokens(["covid"])
    fast.save_pretrained(source)
    report = export(source, tmp_path / "bundle")
    assert [note for note in report.notes if f"none for 'covid' (token {len(WORDS)})" in note]
    model = load(tmp_path / "bundle")
    assert model.answer("Who wrote it?", "the film")
    with pytest.raises(BundleError, match=r"The context has 'covid'.*resize_token_embeddings"):
        model.answer("Who wrote it?", "the covid film")
